import Engines
import MRProtocol
import PeerTestKit
import Synchronization
import Testing

/// Counts the bytes that are read of a run file.
private final class CountingRun: RunBytes {
    private let file: MemoryFile
    private let count = Mutex(UInt64(0))

    init(_ file: MemoryFile) { self.file = file }

    var byteCount: UInt64 { file.byteCount }
    var residentByteCount: Int { file.residentByteCount }
    var readByteCount: UInt64 { count.withLock { $0 } }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(TaskFault) {
        count.withLock { $0 += UInt64(buffer.count) }
        try file.read(at: offset, into: buffer)
    }
}

struct BoundedWorkTests {
    /// A text in which hardly any word comes twice.
    private func distinctWords(_ count: Int) -> [UInt8] {
        (0..<count).flatMap { Array("w\($0 &* 7919 % 1_000_003) ".utf8) }
    }

    private func wordCount(reduceCount: Int) -> JobSpec {
        JobSpec(
            map: .builtIn("wc"),
            combine: .builtIn("sum"),
            reduce: .builtIn("sum"),
            reduceCount: reduceCount,
            recordFormat: .words,
            inputs: []
        )
    }

    @Test("With far too little memory a word count spills each pair a few times, not more and more often")
    func spillsAreBounded() throws {
        let text = distinctWords(60_000)
        var job = LocalJob(wordCount(reduceCount: 4))
        job.groupLeafCount = 1 << 20
        let expected = try job.run([("f", text)])
        #expect(expected.counters.spilledBytes == 0)
        job.memoryByteCount = 128 << 10
        let outcome = try job.run([("f", text)])
        #expect(outcome.parts == expected.parts)
        #expect(outcome.counters.spilledBytes > 0)
        #expect(outcome.counters.spilledBytes < 6 * UInt64(text.count))
    }

    @Test("A thousand reduces give the result of one")
    func manyReduces() throws {
        let text = distinctWords(5_000)
        var job = LocalJob(wordCount(reduceCount: 1))
        job.leafByteCount = 1 << 10
        let expected = try job.run([("f", text)]).merged
        job.spec.reduceCount = 1_000
        #expect(try job.run([("f", text)]).merged == expected)
    }

    @Test("The reduces of a job read a run once, its index among it")
    func indexIsReadOnce() throws {
        let engine = try BuiltInEngine.make(wordCount(reduceCount: 500))
        let leaves = MemoryLeaves()
        let segment = MapSegment(
            fileIndex: 0,
            fileName: "f",
            fileOffset: 0,
            leaves: leaves.add(distinctWords(2_000), leafByteCount: 4 << 10),
            lookahead: [],
            reachesEndOfFile: true
        )
        let limits = AttemptLimits(memoryByteCount: 1 << 20)
        let file = MemoryFile()
        _ = try engine.executeMap(
            MapAssignment(segments: [segment]),
            leaves: leaves,
            output: file,
            spills: MemorySpillSpace(),
            limits: limits
        )
        let run = CountingRun(file)
        var records: UInt64 = 0
        for partition in 0..<500 {
            records += try engine.executeReduce(
                partition: partition,
                runs: [run],
                output: MemoryFile(),
                spills: MemorySpillSpace(),
                limits: limits
            ).outputRecords
        }
        #expect(records == 2_000)
        #expect(run.readByteCount == run.byteCount)
    }
}
