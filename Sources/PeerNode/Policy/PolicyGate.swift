package import MRProtocol
package import Multiformats
import Synchronization

/// The policy in force on a node: decides about each job, and follows changes at once.
package final class PolicyGate: Sendable {
    private struct State: Sendable {
        /// `nil`: the file has not been read yet.
        var policy: Policy?
        var sandbox = SandboxState.unknown
        /// When the sandbox may be tried again; `nil`: it was not tried.
        var nextTrial: ContinuousClock.Instant?
        /// Jobs refused since the start.
        var refusalCount: UInt64 = 0
    }

    private let file: PolicyFile?
    private let isPrivate: Bool
    private let state: Mutex<State>

    /// A gate that keeps to the policy of a home, which is read at the first use.
    ///
    /// - Parameters:
    ///   - home: where `policy.json` is.
    ///   - isPrivate: the node has a swarm key, so that every connected peer is of its private network.
    init(home: HomeFolder, inPrivateNetwork isPrivate: Bool) {
        file = PolicyFile(home)
        self.isPrivate = isPrivate
        state = Mutex(State())
    }

    /// A gate with a policy of its own and no file.
    package init(_ policy: Policy, inPrivateNetwork isPrivate: Bool) {
        file = nil
        self.isPrivate = isPrivate
        state = Mutex(State(policy: policy))
    }

    /// The policy in force.
    ///
    /// - Throws: `NodeError` with code `file` when the file is wrong: nothing is allowed then.
    package func policy() throws(NodeError) -> Policy {
        if let policy = state.withLock({ $0.policy }) { return policy }
        let read = try file?.read() ?? Policy()
        return state.withLock { state in
            // A change may have come in between.
            let policy = state.policy ?? read
            state.policy = policy
            return policy
        }
    }

    /// What there is to show of the policy.
    func report(asDaemon isDaemon: Bool) throws(NodeError) -> PolicyReport {
        PolicyReport(
            policy: try policy(),
            path: file?.path ?? "",
            hasFile: file?.exists ?? false,
            isInPrivateNetwork: isDaemon ? isPrivate : nil,
            sandbox: sandbox
        )
    }

    /// Shortest time between two trials of a sandbox that was not whole.
    static let sandboxTrialInterval = Duration.seconds(30)

    /// Whether the sandbox is to be tried: it never was, or it was not whole and some time has passed.
    ///
    /// Who gets `true` tries it.
    func isSandboxTrialDue(now: ContinuousClock.Instant = .now) -> Bool {
        state.withLock { state in
            if state.sandbox == .unknown { return true }
            guard state.sandbox != .tried(missing: []), state.nextTrial.map({ $0 <= now }) ?? true else {
                return false
            }
            state.nextTrial = now + PolicyGate.sandboxTrialInterval
            return true
        }
    }

    /// Parts of the sandbox that this machine lacks, as found last.
    package var sandbox: SandboxState {
        get { state.withLock { $0.sandbox } }
        set { state.withLock { $0.sandbox = newValue } }
    }

    /// Jobs refused since the start.
    package var refusalCount: UInt64 { state.withLock { $0.refusalCount } }

    // MARK: Decisions

    /// Admits a job before anything of it is fetched.
    ///
    /// - Parameters:
    ///   - spec: what is asked; `nil`: any job at all.
    ///   - peer: who asks; `nil`: this node's own user.
    /// - Returns: what the submitter may use.
    /// - Throws: why the job is refused.
    package func admit(_ spec: JobSpec?, from peer: PeerID?) throws(PolicyRefusal) -> PolicyGrant {
        try deciding { policy throws(PolicyRefusal) in
            let grant = try policy.admit(spec, from: peer, inPrivateNetwork: isPrivate)
            if spec?.functions.contains(where: { if case .file = $0 { true } else { false } }) == true {
                try policy.admitConfined(from: peer, sandbox)
            }
            return grant
        }
    }

    /// Admits functions from files, as far as they would be confined here.
    ///
    /// - Parameters:
    ///   - peer: whose they are; `nil`: this node's own user's.
    ///   - state: what is known of the sandbox.
    /// - Throws: why they are refused.
    package func admitConfined(from peer: PeerID?, _ state: SandboxState) throws(PolicyRefusal) {
        try deciding { policy throws(PolicyRefusal) in try policy.admitConfined(from: peer, state) }
    }

    /// Admits the engine of a function whose file has arrived.
    package func admit(_ engine: PolicyEngine, from peer: PeerID?) throws(PolicyRefusal) {
        try deciding { policy throws(PolicyRefusal) in
            try policy.admit(engine, from: peer, inPrivateNetwork: isPrivate)
        }
    }

    /// What a peer may have this node run.
    package func grant(of peer: PeerID) -> PolicyGrant {
        guard let policy = try? policy() else { return .nothing }  // a wrong file allows nothing
        return policy[policy.subject(of: peer, inPrivateNetwork: isPrivate)]
    }

    private func deciding<Value>(_ body: (Policy) throws(PolicyRefusal) -> Value) throws(PolicyRefusal)
        -> Value
    {
        do throws(PolicyRefusal) {
            let policy: Policy
            do throws(NodeError) { policy = try self.policy() } catch { throw PolicyRefusal(error.message) }
            return try body(policy)
        } catch {
            state.withLock { $0.refusalCount += 1 }
            throw error
        }
    }

    // MARK: Changes

    /// Sets what a subject may do, `nil` being as if it were not named, and writes it down.
    func set(_ grant: PolicyGrant?, for subject: PolicySubject) throws(NodeError) {
        try change { policy throws(NodeError) in
            switch subject {
            case .peer(let peer):
                policy.peers[peer] = grant
                guard policy.peers.count <= Policy.maxPeerCount else {
                    throw NodeError(.tooMuch, "the policy names \(Policy.maxPeerCount) peers already")
                }
            case .own, .network, .others:
                policy[subject] = grant ?? Policy()[subject]
                if grant?.engines.contains(.command) == true, subject != .own {
                    throw NodeError(
                        .invalidArgument,
                        "commands read what the user of this node can read: allow them to named peers only"
                    )
                }
            }
        }
    }

    /// Goes back to the defaults.
    func reset() throws(NodeError) {
        guard let file else { return publish(Policy()) }
        try file.remove { publish(Policy()) }
    }

    /// Changes file and policy in force in one go, so that of two changes at once the later is in both.
    private func change(_ body: (inout Policy) throws(NodeError) -> Void) throws(NodeError) {
        if let file { return try file.update(body) { publish($0) } }
        var changed = try self.policy()
        try body(&changed)
        publish(changed)
    }

    private func publish(_ policy: Policy) { state.withLock { $0.policy = policy } }
}
