import CLinux
import Engines
import FunctionProtocol
import Glibc
import PeerTestKit
import Testing

/// Tries what a function's code must not be able to do, natively, from inside the confined process.
@Suite("Escapes")
struct EscapeTests {
    /// Refused otherwise than by the list of system calls.
    private static let otherRefusals = [
        "start by clone3": ENOSYS, "take 16 GiB of addresses": ENOMEM, "start 1,000 threads": EAGAIN,
        "use another descriptor": EBADF,
    ]
    /// Tries in the suite; fewer means that some were lost.
    private static let tryCount = 77

    @Test("Each is refused", .enabled(if: Privileges.canConfine, "needs a root that can become another user"))
    func escapes() throws { try check(Helper(.probe)) }

    @Test(
        "Each is refused to an ordinary user's process",
        .enabled(if: Privileges.canStartAsAnotherUser, "needs root and setpriv")
    )
    func escapesOfAnOrdinaryUser() throws {
        let folder = try TemporaryFolder()
        let built: String = try #require(BuiltHelper.path)
        let script = try folder.script(
            "#!/bin/sh\nexec /usr/bin/setpriv --reuid=61234 --regid=61234 --clear-groups '\(built)' \"$@\"\n"
        )
        let helper = try Helper(.probe, executable: script)
        #expect(status(of: helper, "Uid") == "61234")
        try check(helper)
    }

    private func check(_ helper: Helper) throws {
        // What no seccomp refuses is not held against a machine without it.
        guard !helper.readiness.missing.contains("seccomp") else { return }
        try helper.map(["escape"])
        #expect(helper.pairs.count == EscapeTests.tryCount)
        for pair in helper.pairs {
            let fields = pair.split(separator: "\t")
            let refusal = EscapeTests.otherRefusals[String(fields[0])] ?? EPERM
            #expect(fields.count == 2 && fields[1] == String(cString: strerror(refusal)), "\(pair)")
        }
    }

    @Test(
        "The process has given up what it does not need, unless the system lacks the part",
        .enabled(if: Privileges.canConfine, "needs a root that can become another user")
    )
    func confinement() throws {
        let helper = try Helper(.probe)
        let missing = helper.readiness.missing
        #expect(status(of: helper, "NoNewPrivs") == "1")
        #expect(status(of: helper, "CapEff") == "0000000000000000")
        #expect(status(of: helper, "CapPrm") == "0000000000000000")
        #expect(status(of: helper, "Seccomp") == "2" || missing.contains("seccomp"))
        #expect(status(of: helper, "Uid") != "0" || missing.contains("user namespace"))
        #expect(landlock_version() > 0 || missing.contains("landlock"))
    }

    @Test(
        "The process has namespaces of its own, unless the system lacks them",
        .enabled(if: geteuid() == 0, "only root sees another process's namespaces"),
        arguments: [("user", "user namespace"), ("net", "network namespace"), ("ipc", "IPC namespace")]
            + [("uts", "host name namespace")]
    )
    func namespaces(file: String, part: String) throws {
        let helper = try Helper(.probe)
        let own = link("/proc/self/ns/\(file)")
        #expect(own != nil)
        #expect(
            link("/proc/\(helper.process.identifier)/ns/\(file)") != own
                || helper.readiness.missing.contains(part)
        )
    }

    /// The first value of a field in /proc/PID/status.
    private func status(of helper: Helper, _ field: String) -> String? {
        guard let file = fopen("/proc/\(helper.process.identifier)/status", "r") else { return nil }
        defer { fclose(file) }
        var line = [CChar](repeating: 0, count: 4096)
        while fgets(&line, Int32(line.count), file) != nil {
            let words = String(decoding: line.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self)
                .split { $0.isWhitespace || $0 == ":" }
            if words.first == field[...] { return words.dropFirst().first.map(String.init) }
        }
        return nil
    }

    private func link(_ path: String) -> String? {
        var target = [CChar](repeating: 0, count: 256)
        let count = readlink(path, &target, target.count)
        return count < 0
            ? nil : String(decoding: target[..<count].map(UInt8.init(bitPattern:)), as: UTF8.self)
    }
}
