import Engines
import FunctionProtocol
import Testing

/// What a function uses too much of, and the limit that stops it.
struct Excess: Sendable, CustomTestStringConvertible {
    var request: String
    var limits: FunctionLimits
    /// What the fault names.
    var limit: String

    var testDescription: String { request }

    /// Starts 511 processes, faster than they can be looked at; without an end it would be a danger to other tests where
    /// the system does not stop it.
    static let bomb = """
        bomb() { [ $1 -gt 0 ] || exec sleep 1000; bomb $(($1 - 1)) & bomb $(($1 - 1)) & wait; }; bomb 8
        """
}

@Suite("Limits")
struct LimitTests {
    static let excesses = [
        Excess(
            request: "loop",
            limits: FunctionLimits(cpuMilliseconds: 200),
            limit: "processor time, 200 ms"
        ),
        Excess(
            request: "wait",
            limits: FunctionLimits(stallMilliseconds: 200),
            limit: "time without progress, 200 ms"
        ),
        Excess(
            request: "take memory",
            limits: FunctionLimits(memoryByteCount: 100 << 20),
            limit: "memory, 100 MiB"
        ),
        Excess(
            request: "emit for ever",
            limits: FunctionLimits(outputByteCount: 10 << 20),
            limit: "output, 10 MiB"
        ),
        Excess(
            request: "emit nothing for ever",
            limits: FunctionLimits(outputByteCount: 10 << 20),
            limit: "output, 10 MiB"
        ),
        Excess(
            request: "emit for ever",
            limits: FunctionLimits(outputPairCount: 100_000),
            limit: "emitted pairs, 100000"
        ),
        Excess(request: "log for ever", limits: FunctionLimits(), limit: "log, 64 KiB"),
        Excess(
            request: "report for ever",
            limits: FunctionLimits(cpuMilliseconds: 200),
            limit: "processor time, 200 ms"
        ),
    ]

    @Test(
        "An attempt that passes a limit ends with the limit's name, and the helper with it",
        arguments: excesses
    )
    func stopped(excess: Excess) throws {
        let helper = try Helper(.probe, limits: excess.limits)
        let failure = fault { try helper.map([excess.request]) }
        #expect(failure?.code == .limit)
        #expect(failure?.message == "the attempt passed its limit on \(excess.limit)")
        #expect(!helper.process.isUsable && !helper.isAlive)
    }

    @Test("A function that fits no frame is refused before it is sent")
    func tooLargeForAFrame() throws {
        let program = [UInt8](repeating: 0x20, count: Frame.maxBodyByteCount)
        let failure = fault { _ = try FunctionHelper(.javaScript, program, name: "large.js") }
        #expect(failure?.code == .invalid)
    }

    @Test("A helper that crashes is told from one that fails")
    func crash() throws {
        let helper = try Helper(.probe)
        let failure = fault { try helper.map(["crash"]) }
        #expect(failure?.code == .threw)
        #expect(failure?.message.contains("signal 11") == true, "\(failure?.message ?? "")")
        #expect(!helper.process.isUsable && !helper.isAlive)
    }
}

/// Programs in the place of the helper that do not keep the protocol.
@Suite("Hostile helpers")
struct HostileHelperTests {
    /// What the program does, and what is said of it.
    static let behaviours: [(behaviour: String, shell: String, message: String)] = [
        ("never answers", "exec sleep 1000", "the attempt passed its limit on time without progress, 300 ms"),
        (
            "sends what is no frame", #"printf 'HTTP/1.1 200 OK\r\n' >&3; exec cat <&3"#,
            "bytes that are no frame"
        ),
        (
            "announces too much", #"printf '\377\377\377\377\202' >&3; exec cat <&3"#,
            "bytes that are no frame"
        ),
        (
            "sends a node's frame", #"printf '\001\000\000\000\005' >&3; exec cat <&3"#,
            "kind end where there is none"
        ),
        (
            "is done before it is ready", #"printf '\001\000\000\000\207' >&3; exec cat <&3"#,
            "kind done where there"
        ),
        (
            "is ready with too little", #"printf '\002\000\000\000\201\001' >&3; exec cat <&3"#,
            "a malformed answer"
        ),
        ("hangs up", "exec 3>&-; exec sleep 1000", "ended: killed by signal 9"),
        ("ends", "echo cannot go on >&2; exit 7", "ended: status 7: cannot go on"),
        ("kills itself", "kill -SEGV $$", "ended: killed by signal 11"),
    ]

    @Test("A helper that does not keep the protocol is a fault, and ends", arguments: behaviours)
    func hostile(behaviour: String, shell: String, message: String) throws {
        let folder = try TemporaryFolder()
        let process = try FunctionProcess(.probe, executable: folder.script("#!/bin/sh\n\(shell)\n"))
        var preparation = Preparation(engine: .probe, roles: .map, name: "", program: [])
        preparation.limits.stallMilliseconds = 300
        let failure = fault { _ = try process.prepare(preparation) }
        #expect(failure?.message.contains(message) == true, "\(behaviour): \(failure?.message ?? "no fault")")
        #expect(!process.isUsable)
    }
}
