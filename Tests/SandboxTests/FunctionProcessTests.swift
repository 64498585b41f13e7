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
        let probe = try Probe()
        try probe.attempt(["a", "log", "b", "count"])
        try probe.attempt(["c"])
        #expect(probe.keys == ["a", "b", "c"])
        #expect(probe.log == "a line\n")
        #expect(probe.counters == [CounterIncrement(group: "probe", name: "asked", amount: 2)])
    }

    @Test("A function that fails leaves a helper for the next attempt")
    func failureIsNotTheEnd() throws {
        let probe = try Probe()
        let failure = fault { try probe.attempt(["a", "throw", "b"]) }
        #expect(failure == .function(FunctionFault(.threw, "the probe was told to throw")))
        #expect(probe.process.isUsable)
        try probe.attempt(["c"])
        #expect(probe.keys == ["c"])
    }

    @Test("Input and output of many times the socket's room pass each other")
    func bothDirections() throws {
        let probe = try Probe()
        let record = String(repeating: "x", count: 100_000)
        try probe.attempt(Array(repeating: record, count: 200))
        #expect(probe.keys == Array(repeating: record, count: 200))
    }

    @Test("A function that is refused while it loads says why, and costs the helper")
    func invalidFunction() throws {
        let failure = fault { _ = try Probe(program: "invalid") }
        #expect(
            failure
                == .function(FunctionFault(.invalid, "the probe was told to be invalid", line: 1, column: 2))
        )
    }

    @Test("A helper that is not there is named")
    func missingHelper() {
        let failure = #expect(throws: FunctionFault.self) {
            try FunctionProcess(.probe, executable: "/nowhere/peersandbox")
        }
        #expect(failure?.code == .sandbox)
        #expect(failure?.message.contains("/nowhere/peersandbox") == true)
    }

    @Test("A program that is no helper is told from one by what it says")
    func wrongProgram() throws {
        let process = try FunctionProcess(.probe, executable: "/bin/cat")
        let preparation = Preparation(engine: .probe, roles: .map, name: "probe", program: [])
        let failure = fault { _ = try process.prepare(preparation) }
        #expect(message(of: failure)?.contains("ended: status") == true, "\(String(describing: failure))")
        #expect(!process.isUsable)
    }

    @Test("Output over its limits ends the attempt and the helper")
    func outputLimits() throws {
        let byBytes = try Probe(limits: FunctionLimits(outputByteCount: 10))
        let first = fault { try byBytes.attempt(["12345", "67890", "1"]) }
        #expect(message(of: first) == "the attempt passed its limit on output, 10 bytes")
        let byPairs = try Probe(limits: FunctionLimits(outputPairCount: 2))
        let second = fault { try byPairs.attempt(["1", "2", "3"]) }
        #expect(message(of: second) == "the attempt passed its limit on emitted pairs, 2 pairs")
        #expect(!byPairs.process.isUsable)
        #expect(kill(byPairs.process.identifier, 0) == -1)
    }
}
