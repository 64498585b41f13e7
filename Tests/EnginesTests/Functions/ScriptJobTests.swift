import Engines
import FunctionProtocol
import MRProtocol
import PeerTestKit
import Testing

@Suite("Jobs of JavaScript functions", .enabled(if: Available.javaScript))
struct ScriptJobTests {
    private static let input = [(name: "log", bytes: Array("1\nx\n3\n".utf8))]

    private static let numbers = Function.script(
        """
        export function map(key, line, emit) {
            const number = Number(line)
            if (Number.isNaN(number)) {
                throw new TypeError("no number: " + line)
            }
            counter("numbers", "seen")
            emit("sum", number)
        }
        """
    )

    @Test("An exception tells function, line, record and offset")
    func exception() throws {
        let job = FunctionJob(map: ScriptJobTests.numbers, reduce: .builtIn("sum"))
        let failure = try #require(job.failure(ScriptJobTests.input))
        #expect(failure.kind == .threw)
        #expect(failure.line == 4)
        #expect(failure.message.contains("no number: x"))
        #expect(failure.input == "log")
        #expect(failure.offset == 2)
        #expect(failure.excerpt.starts(with: Array("x".utf8)))
    }

    @Test("A file that does not come to its end is given up after the time without progress that it may have")
    func endlessFile() throws {
        var job = FunctionJob(
            map: .script("export function map() {}; for (;;);"),
            reduce: .builtIn("identity")
        )
        job.limits.stallMilliseconds = 500
        let failure = try #require(job.failure(ScriptJobTests.input))
        #expect(failure.kind == .limit)
        #expect(failure.message.hasPrefix("it was not loaded within 500 ms"))
    }

    @Test("A function that never returns from a record is told with the record")
    func endlessRecord() throws {
        var job = FunctionJob(
            map: .script("export function map(_, v, emit) { if (v === 'bad one') for (;;); emit(v) }"),
            reduce: .builtIn("identity")
        )
        job.limits.cpuMilliseconds = 300
        let inputs = [
            (name: "a", bytes: Array("1\n2\n3\n".utf8)), (name: "b", bytes: Array("ok\nbad one\nx\n".utf8)),
        ]
        let failure = try #require(job.failure(inputs))
        #expect(failure.kind == .limit)
        #expect(failure.input == "b")
        #expect(failure.offset == 3)
        #expect(failure.excerpt == Array("bad one".utf8))
    }

    @Test("A combine that is killed while the map goes on is not told with the map's record")
    func endlessCombine() throws {
        var job = FunctionJob(
            map: .script("export function map(_, v, emit) { emit(v, v) }"),
            combine: .script("export function combine(key, values, emit) { for (;;); }"),
            reduce: .builtIn("identity")
        )
        job.limits.cpuMilliseconds = 300
        // Every frame of output spills, and what is spilled is combined.
        job.job.memoryByteCount = 1
        job.job.leafByteCount = 1 << 20
        let lines = (0..<20_000).map { "line \($0) of many\n" }.joined()
        let failure = try #require(job.failure([(name: "text", bytes: Array(lines.utf8))]))
        #expect(failure.kind == .limit)
        #expect(failure.role == "combine")
        #expect(failure.input.isEmpty)
    }

    @Test("Bad records are skipped as far as allowed, counted and named")
    func skipBad() throws {
        var job = FunctionJob(map: ScriptJobTests.numbers, reduce: .builtIn("sum"))
        job.job.spec.skipBad = 1
        let outcome = try job.run(ScriptJobTests.input)
        #expect(outcome.merged == Array("sum\t4\n".utf8))
        #expect(outcome.counters.badRecords == 1)
        #expect(outcome.counters.user["numbers\tseen"] == 2)
        #expect(job.report.content.skipped.map(\.offset) == [2])
    }

    @Test("Random numbers are the same in every attempt at a task")
    func random() throws {
        let script = Function.script(
            "export function map(key, line, emit) { emit(line, Math.random()) }"
        )
        let job = FunctionJob(map: script, reduce: .builtIn("identity"))
        let first = try job.run(ScriptJobTests.input).merged
        #expect(try job.run(ScriptJobTests.input).merged == first)
    }
}
