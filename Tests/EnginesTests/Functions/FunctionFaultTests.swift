import Engines
import FunctionProtocol
import MRProtocol
import PeerTestKit
import Testing

@Suite("Functions that misbehave", .enabled(if: Available.commands))
struct FunctionFaultTests {
    private static let input = [(name: "text", bytes: Array("a b\nc\na\n".utf8))]

    private func job(
        map: String = "tr ' ' '\\n'",
        combine: String? = nil,
        reduce: String = "cat"
    ) -> FunctionJob {
        FunctionJob(map: .command(map), combine: combine.map(Function.command), reduce: .command(reduce))
    }

    @Test("A command that ends with a status names itself, its role and the status")
    func status() throws {
        let failure = try #require(job(map: "echo trouble >&2; exit 3").failure(FunctionFaultTests.input))
        #expect(failure.kind == .threw)
        #expect(failure.role == "map")
        #expect(failure.function == "echo trouble >&2; exit 3")
        #expect(failure.message.contains("status 3"))
        let reduce = try #require(job(reduce: "exit 4").failure(FunctionFaultTests.input))
        #expect(reduce.role == "reduce")
    }

    @Test(
        "A combine that changes keys is refused and named",
        arguments: ["tr abc xyz", "sort -r", "sed 's/^/a/'", "echo zebra"]
    )
    func combine(_ command: String) throws {
        let failure = try #require(job(combine: command).failure(FunctionFaultTests.input))
        #expect(failure.kind == .wrongOutput)
        #expect(failure.function == command)
        #expect(failure.role == "combine")
    }

    @Test("A combine may drop pairs and emit several")
    func combineMayDrop() throws {
        let outcome = try job(combine: "grep -v c; true").run(FunctionFaultTests.input)
        #expect(outcome.merged == Array("a\t\na\t\nb\t\n".utf8))
        let doubled = try job(combine: "sed p").run(FunctionFaultTests.input)
        #expect(doubled.merged == Array("a\t\na\t\na\t\na\t\nb\t\nb\t\nc\t\nc\t\n".utf8))
    }

    @Test("A function that runs or emits without end is stopped by its limit")
    func limits() throws {
        var endless = job(map: "while :; do :; done")
        endless.limits.cpuMilliseconds = 200
        let loop = try #require(endless.failure(FunctionFaultTests.input))
        #expect(loop.kind == .limit)
        #expect(loop.message.contains("processor time"))
        var bomb = job(map: "yes")
        bomb.limits.outputPairCount = 10_000
        let output = try #require(bomb.failure(FunctionFaultTests.input))
        #expect(output.kind == .limit)
        #expect(output.message.contains("emitted pairs"))
        // What follows is served as before.
        #expect(try job().run(FunctionFaultTests.input).merged == Array("a\t\na\t\nb\t\nc\t\n".utf8))
    }

    @Test("Counters are summed over attempts, and too many or too long ones refused")
    func counters() throws {
        let count = "sed 's/.*/reporter:counter:my group,lines,2/' >&2"
        let outcome = try job(map: count).run(FunctionFaultTests.input)
        #expect(outcome.counters.user == ["my group\tlines": 6])
        let many = "for i in $(seq 300); do echo \"reporter:counter:g,c$i,1\" >&2; done"
        #expect(try #require(job(map: many).failure(FunctionFaultTests.input)).kind == .limit)
        let long = "printf 'reporter:counter:g,%0300d,1\\n' 0 >&2"
        #expect(try #require(job(map: long).failure(FunctionFaultTests.input)).message.contains("256 bytes"))
    }

    @Test("The log and the status of an attempt are told")
    func report() throws {
        let job = job(map: "echo hello >&2; echo reporter:status:half done >&2; cat")
        _ = try job.run(FunctionFaultTests.input)
        let content = job.report.content
        #expect(String(decoding: content.log, as: UTF8.self).contains("hello\n"))
        #expect(content.status == "half done")
    }

    @Test("A command is told the file it reads and finds an empty folder")
    func environment() throws {
        let job = job(map: "ls -A; echo left > behind; echo $mapreduce_map_input_file; cat > /dev/null")
        let two = [(name: "one", bytes: [UInt8](repeating: 0x0a, count: 1)), (name: "two", bytes: [0x61])]
        #expect(try job.run(two).merged == Array("one\t\ntwo\t\n".utf8))
    }

    @Test("A record limit over a frame is refused for a map of one's own")
    func recordLimit() {
        var job = job()
        job.job.spec.recordByteLimit = 65 << 20
        #expect(throws: TaskFault.self) { try job.run(FunctionFaultTests.input) }
    }
}
