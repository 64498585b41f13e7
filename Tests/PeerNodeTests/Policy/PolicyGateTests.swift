import Glibc
import Multiformats
import Testing

@testable import PeerNode

@Suite("Policy file") final class PolicyGateTests {
    private let home: HomeFolder
    private let peer = PeerID.numbered(1)

    init() throws {
        var template = Array("/tmp/peernode-policy-XXXXXX".utf8CString)
        home = HomeFolder(path: String(cString: try #require(mkdtemp(&template))))
    }

    deinit { _ = system("rm -rf '\(home.path)'") }

    private func gate() -> PolicyGate { PolicyGate(home: home, inPrivateNetwork: false) }

    private func write(_ text: String) throws {
        let file = try #require(fopen(home.policy, "w"))
        fputs(text, file)
        fclose(file)
    }

    @Test("a change holds at once and for the next process, and leaves nothing beside the file")
    func change() throws {
        let gate = gate()
        #expect(gate.grant(of: peer) == .nothing)
        try gate.set(PolicyGrant([.builtin], slots: 2), for: .peer(peer))
        #expect(gate.grant(of: peer).slots == 2)
        #expect(try self.gate().policy() == gate.policy())
        try gate.set(nil, for: .peer(peer))
        #expect(try self.gate().policy() == Policy())
        var status = stat()
        #expect(stat(home.policy, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
        #expect(stat(home.policy + ".new", &status) == -1)
        try gate.reset()
        #expect(stat(home.policy, &status) == -1)
    }

    @Test("a change keeps what was written by hand meanwhile")
    func handWritten() throws {
        let gate = gate()
        _ = try gate.policy()
        try write(#"{"others": {"engines": ["builtin"]}}"#)
        try gate.set(.nothing, for: .peer(peer))
        #expect(try gate.policy().others == PolicyGrant([.builtin]))
    }

    @Test("a change is in force before another one can be made")
    func changesInOrder() throws {
        let file = PolicyFile(home)
        let folder = open(home.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        defer { close(folder) }
        var published: [Policy] = []
        func othersCanChange() -> Bool { flock(folder, LOCK_EX | LOCK_NB) == 0 }
        try file.update({ policy in policy.others = PolicyGrant([.builtin]) }) { policy in
            published.append(policy)
            #expect(!othersCanChange())
        }
        try file.remove {
            published.append(Policy())
            #expect(!othersCanChange())
        }
        #expect(published == [Policy(others: PolicyGrant([.builtin])), Policy()])
        #expect(othersCanChange())
    }

    @Test("changes at once leave the same in force as in the file")
    func changesAtOnce() async throws {
        let gate = gate()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for slots in 1...16 {
                group.addTask { [peer] in
                    try gate.set(PolicyGrant([.builtin], slots: slots), for: .peer(peer))
                }
            }
            try await group.waitForAll()
        }
        #expect(try gate.policy() == self.gate().policy())
    }

    @Test("a sandbox that is not whole is tried again, but not all the time")
    func trials() {
        let gate = gate()
        let start = ContinuousClock.now
        #expect(gate.isSandboxTrialDue(now: start))
        gate.sandbox = .tried(missing: ["seccomp"])
        #expect(gate.isSandboxTrialDue(now: start))
        #expect(!gate.isSandboxTrialDue(now: start))
        #expect(gate.isSandboxTrialDue(now: start + PolicyGate.sandboxTrialInterval))
        gate.sandbox = .tried(missing: [])
        #expect(!gate.isSandboxTrialDue(now: start + PolicyGate.sandboxTrialInterval * 10))
    }

    @Test("a wrong file allows nothing, is not written over, and can be reset")
    func wrongFile() throws {
        try write("{\"network\": {\"engines\": [\"everything\"]}}")
        let gate = gate()
        #expect(throws: NodeError.self) { try gate.policy() }
        #expect(gate.grant(of: peer) == .nothing)
        #expect(throws: PolicyRefusal.self) { try gate.admit(nil, from: nil) }
        #expect(throws: NodeError.self) { try gate.set(.sandboxed, for: .peer(peer)) }
        try gate.reset()
        #expect(try gate.policy() == Policy())
        _ = try gate.admit(nil, from: nil)
        #expect(gate.refusalCount == 1)
    }

    @Test("commands are not allowed to everybody", arguments: [PolicySubject.network, .others])
    func commands(subject: PolicySubject) throws {
        let error = #expect(throws: NodeError.self) { try gate().set(.everything, for: subject) }
        #expect(error?.code == .invalidArgument)
    }
}
