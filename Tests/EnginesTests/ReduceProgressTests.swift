import Engines
import MRProtocol
import PeerTestKit
import Synchronization
import Testing

/// What an attempt told of how far it is.
private final class Told: Sendable {
    private let told = Mutex<[Int]>([])
    var steps: [Int] { told.withLock { $0 } }
    var byteCount: UInt64 { steps.reduce(0) { $0 + UInt64($1) } }
    func limits(_ memoryByteCount: Int) -> AttemptLimits {
        AttemptLimits(
            memoryByteCount: memoryByteCount,
            progress: { count in self.told.withLock { $0.append(count) } }
        )
    }
}

/// A reduce of many runs.
struct ReduceCase: Sendable, CustomTestStringConvertible {
    var testDescription: String
    /// Words are counted, else lines sorted.
    var countsWords = false
    var reduceCount = 1
    var memoryByteCount = 64 << 20
    /// Bytes of each record.
    var recordByteCount = 20
    /// Least number of steps.
    var leastStepCount = 10
    /// Least share of the partition that is told.
    var leastShare = 1.0
}

@Suite("What a reduce tells of how far it is")
struct ReduceProgressTests {
    private static let runCount = 20
    private static let runByteCount = 64 << 10

    private func runs(_ job: ReduceCase, _ spec: JobSpec) throws -> [any RunBytes] {
        let leaves = MemoryLeaves()
        var random = SeededRandom(seed: 1)
        return try (0..<Self.runCount).map { _ in
            var text: [UInt8] = []
            while text.count < Self.runByteCount {
                let number = "\(random.next())"
                let padding = String(repeating: "x", count: max(0, job.recordByteCount - number.utf8.count))
                text += Array((number + padding + "\n").utf8)
            }
            let segment = MapSegment(
                fileIndex: 0,
                fileName: "f",
                fileOffset: 0,
                leaves: leaves.add(text, leafByteCount: text.count),
                lookahead: [],
                reachesEndOfFile: true
            )
            return try BuiltInEngine.make(spec).executeMap(
                MapAssignment(segments: [segment]),
                leaves: leaves,
                output: MemoryFile(),
                spills: MemorySpillSpace(),
                limits: AttemptLimits(memoryByteCount: 64 << 20)
            ).run
        }
    }

    private func spec(_ job: ReduceCase) -> JobSpec {
        JobSpec(
            map: .builtIn(job.countsWords ? "wc" : "sort"),
            combine: job.countsWords ? .builtIn("sum") : nil,
            reduce: .builtIn(job.countsWords ? "sum" : "identity"),
            reduceCount: job.reduceCount,
            recordFormat: job.countsWords ? .words : .lines,
            inputs: []
        )
    }

    @Test(
        "adds up to what it reads, and no more, in steps",
        arguments: [
            ReduceCase(testDescription: "one merge"),
            ReduceCase(testDescription: "of three partitions each", reduceCount: 3, leastStepCount: 5),
            ReduceCase(testDescription: "long records", recordByteCount: 60_000),
            ReduceCase(testDescription: "numbers in a table", countsWords: true),
            ReduceCase(
                testDescription: "a table that grows over the limit, so that all is merged after all",
                countsWords: true,
                memoryByteCount: 2 << 20
            ),
            // Index and footer of what is written between passes are told of by no merge.
            ReduceCase(testDescription: "two passes", memoryByteCount: 64 << 10, leastShare: 0.98),
            ReduceCase(testDescription: "three passes", memoryByteCount: 32 << 10, leastShare: 0.98),
        ]
    )
    func addsUp(_ job: ReduceCase) throws {
        let spec = spec(job)
        let runs = try runs(job, spec)
        for partition in 0..<job.reduceCount {
            let told = Told()
            let counters = try BuiltInEngine.make(spec).executeReduce(
                partition: partition,
                runs: runs,
                output: MemoryFile(),
                spills: MemorySpillSpace(),
                limits: told.limits(job.memoryByteCount)
            )
            #expect(counters.shuffledBytes > 0)
            #expect(told.byteCount <= counters.shuffledBytes)
            #expect(Double(told.byteCount) >= job.leastShare * Double(counters.shuffledBytes))
            #expect(told.steps.allSatisfy { $0 > 0 })
            #expect(told.steps.count >= job.leastStepCount)
        }
    }

    @Test("a map that spills tells its leaves once, and nothing of its merges")
    func mapTellsLeaves() throws {
        let text = (0..<60_000).flatMap { Array("w\($0) ".utf8) }
        let leaves = MemoryLeaves()
        let segment = MapSegment(
            fileIndex: 0,
            fileName: "f",
            fileOffset: 0,
            leaves: leaves.add(text, leafByteCount: 64 << 10),
            lookahead: [],
            reachesEndOfFile: true
        )
        let told = Told()
        let spec = spec(ReduceCase(testDescription: "words", countsWords: true))
        let (_, counters) = try BuiltInEngine.make(spec).executeMap(
            MapAssignment(segments: [segment]),
            leaves: leaves,
            output: MemoryFile(),
            spills: MemorySpillSpace(),
            limits: told.limits(128 << 10)
        )
        #expect(counters.spilledBytes > 0)
        #expect(told.steps == segment.leaves.map(\.byteCount))
    }
}
