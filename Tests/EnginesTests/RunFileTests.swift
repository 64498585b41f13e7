import Engines
import MRProtocol
import PeerTestKit
import Testing

struct RunFileTests {
    private let spec = JobSpec(
        map: .builtIn("sort"),
        combine: nil,
        reduce: .builtIn("identity"),
        reduceCount: 2,
        recordFormat: .lines,
        inputs: []
    )

    private func runFile() throws -> [UInt8] {
        let leaves = MemoryLeaves()
        let text = Array("pear\napple\n\nfig\nan apple a day\nplum".utf8)
        let segment = MapSegment(
            fileIndex: 0,
            fileName: "f",
            fileOffset: 0,
            leaves: leaves.add(text, leafByteCount: 10),
            lookahead: [],
            reachesEndOfFile: true
        )
        let output = MemoryFile()
        _ = try BuiltInEngine.make(spec).executeMap(
            MapAssignment(segments: [segment]),
            leaves: leaves,
            output: output,
            spills: MemorySpillSpace(),
            limits: AttemptLimits(memoryByteCount: 1 << 20)
        )
        return output.bytes
    }

    private func reduce(_ run: [UInt8], _ partition: Int) throws(TaskFault) -> UInt64 {
        try BuiltInEngine.make(spec).executeReduce(
            partition: partition,
            runs: [MemoryFile(run), MemoryFile(run)],
            output: MemoryFile(),
            spills: MemorySpillSpace(),
            limits: AttemptLimits(memoryByteCount: 1 << 20)
        ).outputRecords
    }

    @Test("A run file cut at any byte is refused with its position among the runs")
    func truncation() throws {
        let run = try runFile()
        for count in 0..<run.count {
            do throws(TaskFault) {
                _ = try reduce(Array(run.prefix(count)), 0)
                Issue.record("\(count) bytes were accepted")
            } catch {
                guard case .malformedMapOutput(runIndex: 0, _) = error else {
                    Issue.record("\(error)")
                    continue
                }
            }
        }
    }

    @Test("A run file with any byte damaged is refused or read within its bounds")
    func corruption() throws {
        let run = try runFile()
        for position in run.indices {
            for flip in [0x01, 0x10, 0x80, 0xff] as [UInt8] {
                var damaged = run
                damaged[position] ^= flip
                for partition in 0..<2 {
                    do throws(TaskFault) {
                        let count = try reduce(damaged, partition)
                        #expect(count <= 12)
                    } catch {
                        guard case .malformedMapOutput = error else {
                            Issue.record("\(error)")
                            continue
                        }
                    }
                }
            }
        }
    }
}
