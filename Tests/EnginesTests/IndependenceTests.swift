import Engines
import MRProtocol
import PeerTestKit
import Testing

struct IndependenceTests {
    @Test("The parts depend on nothing but specification and input", arguments: Equivalence.all)
    func sameParts(_ equivalence: Equivalence) throws {
        var generator = TextGenerator(seed: 11)
        let files = (0..<4).map { ("f\($0)", generator.text(byteCount: 900, isBinary: true)) }
        var job = LocalJob(try equivalence.spec(reduceCount: 4))
        job.spec.recordByteLimit = 2000
        let expected = try job.run(files).parts
        for (group, merge, memory) in [(1, 1, 1), (3, 2, 4096), (100, 1, 40_000), (2, 5, 1), (7, 3, 1 << 30)]
        {
            job.groupLeafCount = group
            job.mergeCount = merge
            job.memoryByteCount = memory
            let parts = try job.run(files).parts
            #expect(parts == expected, "groups of \(group), merges of \(merge), \(memory) bytes")
        }
    }

    @Test(
        "What may be merged in any order gives the same parts when it is",
        arguments: Equivalence.all,
        [1, 1 << 30]
    )
    func scatteredMerges(_ equivalence: Equivalence, memoryByteCount: Int) throws {
        var generator = TextGenerator(seed: 12)
        let files = (0..<4).map { ("f\($0)", generator.text(byteCount: 900, isBinary: true)) }
        var job = LocalJob(try equivalence.spec(reduceCount: 4))
        try #require(
            BuiltInEngine.mergesInAnyOrder(job.spec) == (job.spec.combine != nil),
            "every built-in combine"
        )
        guard BuiltInEngine.mergesInAnyOrder(job.spec) else { return }
        job.spec.recordByteLimit = 2000
        let expected = try job.run(files).parts
        job.memoryByteCount = memoryByteCount
        job.mergesScattered = true
        for count in [2, 3, 100] {
            job.mergeCount = count
            #expect(try job.run(files).parts == expected, "\(count) runs a merge")
        }
    }

    @Test("Pairs of a kv result come back through kv records", arguments: [1, 4])
    func kvRoundTrip(_ reduceCount: Int) throws {
        var generator = TextGenerator(seed: 5)
        let text = generator.text(byteCount: 2000, isBinary: true)
        var count = LocalJob(
            try #require(Equivalence.all.first { $0.map == "count" }).spec(reduceCount: reduceCount)
        )
        let expected = try count.run([("f", text)]).merged
        count.spec.outputFormat = .kv
        let pairs = try count.run([("f", text)]).merged
        var again = count
        again.spec.map = .builtIn("identity")
        again.spec.recordFormat = .kv
        again.spec.outputFormat = .kv
        #expect(try again.run([("pairs", pairs)]).merged == pairs)
        again.spec.outputFormat = .text
        #expect(try again.run([("pairs", pairs)]).merged == expected)
    }
}

struct RecordLimitTests {
    private func job(skips: Bool) throws -> LocalJob {
        var job = LocalJob(
            JobSpec(
                map: .builtIn("sort"),
                combine: nil,
                reduce: .builtIn("identity"),
                reduceCount: 1,
                recordFormat: .lines,
                inputs: []
            )
        )
        job.spec.recordByteLimit = 10
        job.spec.skipsLongRecords = skips
        return job
    }

    private let text = Array("short\n0123456789\n01234567890\nlast one\n".utf8)

    @Test("A record over the limit fails with its file, offset and the limit", arguments: [1, 4, 7, 64])
    func fails(_ leafByteCount: Int) throws {
        var job = try job(skips: false)
        job.leafByteCount = leafByteCount
        #expect(throws: TaskFault.recordTooLong(file: "f", offset: 17, limit: 10)) {
            try job.run([("f", text)])
        }
    }

    @Test("It is skipped and counted once when asked", arguments: [1, 4, 7, 64], [1, 3, 100])
    func skips(_ leafByteCount: Int, _ group: Int) throws {
        var job = try job(skips: true)
        job.leafByteCount = leafByteCount
        job.groupLeafCount = group
        let outcome = try job.run([("f", text)])
        #expect(outcome.merged == Array("0123456789\nlast one\nshort\n".utf8))
        #expect(outcome.counters.skippedRecords == 1)
        #expect(outcome.counters.inputRecords == 3)
    }
}

struct ArgumentTests {
    @Test(
        "Wrong functions and arguments are named",
        arguments: [
            ("nope", [:], "map"), ("grep", [:], "pattern"), ("grep", ["pattern": "("], "pattern"),
            ("grep", ["pattern": "a", "output": "x"], "output"), ("wc", ["n": "1"], "n"),
            ("sort", ["colour": "red"], "colour"),
        ] as [(String, [String: String], String)]
    )
    func wrong(_ map: String, _ arguments: [String: String], _ name: String) {
        let spec = JobSpec(
            map: .builtIn(map),
            combine: nil,
            reduce: .builtIn("identity"),
            reduceCount: 1,
            recordFormat: .lines,
            arguments: arguments,
            inputs: []
        )
        do throws(TaskFault) {
            _ = try BuiltInEngine.make(spec)
            Issue.record("accepted")
        } catch {
            guard case .argument(name, _) = error else {
                Issue.record("\(error)")
                return
            }
        }
    }
}
