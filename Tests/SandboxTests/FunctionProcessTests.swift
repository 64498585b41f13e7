import Engines
import FunctionProtocol
import Glibc
import MRProtocol
import PeerTestKit
import Testing

@Suite("Function process")
struct FunctionProcessTests {
    @Test("Attempts run one after the other, and each ends with all of its output")
    func attempts() throws {
        let helper = try Helper(.probe)
        try helper.map(["a\nlog\n", "b\ncount\n"])
        try helper.map(["c"])
        #expect(helper.pairs == ["a", "b", "c"])
        #expect(helper.log == "a line\n")
        #expect(helper.counters == [CounterIncrement(group: "probe", name: "asked", amount: 2)])
    }

    @Test("A function that fails leaves a helper for the next attempt")
    func failureIsNotTheEnd() throws {
        let helper = try Helper(.probe)
        let failure = fault { try helper.map(["a\nthrow\nb\n"] + Array(repeating: "c\n", count: 1000)) }
        #expect(failure == FunctionFault(.threw, "the probe was told to throw"))
        #expect(helper.process.isUsable)
        try helper.map(["d\n"])
        #expect(helper.pairs == ["d"])
    }

    @Test("Input and output of many times the socket's room pass each other")
    func bothDirections() throws {
        let helper = try Helper(.probe)
        let record = String(repeating: "x", count: 100_000)
        try helper.map(Array(repeating: record, count: 200))
        #expect(helper.pairs == Array(repeating: record, count: 200))
    }

    @Test("A function that is refused while it loads says why, and costs the helper")
    func invalidFunction() throws {
        let failure = fault { _ = try Helper(.probe, "invalid") }
        #expect(failure == FunctionFault(.invalid, "the probe was told to be invalid", line: 1, column: 2))
    }

    @Test("A helper that is not there is named")
    func missingHelper() {
        let failure = #expect(throws: FunctionFault.self) {
            try FunctionProcess(.probe, executable: "/nowhere/peersandbox")
        }
        #expect(failure?.code == .sandbox)
        #expect(failure?.message.contains("/nowhere/peersandbox") == true)
    }

    @Test("A helper that dies between attempts is a fault of the next")
    func deathBetweenAttempts() throws {
        let helper = try Helper(.probe)
        try helper.map(["a\n"])
        #expect(kill(helper.process.identifier, SIGKILL) == 0)
        let failure = fault { try helper.map(["b\n"]) }
        #expect(failure?.message.contains("killed by signal 9") == true, "\(failure?.message ?? "")")
        #expect(!helper.process.isUsable && helper.pairs == ["a"])
    }

    @Test("A cancelled attempt ends although its function never does")
    func cancellation() throws {
        // Not before the attempt: a busy machine may look often while the helper starts.
        var isRunning = false
        var asked = 0
        let helper = try Helper(.probe) {
            if isRunning { asked += 1 }
            return asked > 2
        }
        isRunning = true
        #expect(throws: FunctionProcess.Fault.task(.cancelled)) { try helper.map(["loop\n"]) }
        #expect(!helper.process.isUsable && !helper.isAlive)
    }

    @Test("What the taker of answers throws comes out of the call, and ends the helper")
    func takerThrows() throws {
        let helper: String = try #require(BuiltHelper.path)
        let process = try FunctionProcess(.probe, executable: helper)
        _ = try process.prepare(Preparation(engine: .probe, roles: .map, name: "", program: []))
        try process.begin(TaskStart(role: .map, seed: []))
        let record = RecordChunk(format: .lines, input: "", offset: 0, bytes: []).head + Array("a".utf8)
        #expect(throws: FunctionProcess.Fault.task(.store("full"))) {
            try process.send(.records, head: record, bytes: UnsafeRawBufferPointer(start: nil, count: 0)) {
                _ in
            }
            try process.end { _ throws(TaskFault) in throw .store("full") }
        }
        #expect(!process.isUsable)
    }

    @Test("A process that has a function takes no second one")
    func secondFunction() throws {
        let helper = try FunctionHelper.script("function map(key, value, emit) { emit(value); }")
        let refusal = fault {
            try helper.prepareAgain { $0.program = Array("function map(key, value, emit) {}".utf8) }
        }
        #expect(refusal == FunctionFault(.protocolViolation, "a second function in one process"))
        #expect(!helper.process.isUsable)
    }
}
