/// The policy in force on a node, and what it rests on.
public struct PolicyReport: Hashable, Sendable {
    /// What is allowed to whom.
    public var policy: Policy
    /// Path of the policy file.
    public var path: String
    /// There is a file; otherwise these are the defaults.
    public var hasFile: Bool
    /// The node has a swarm key, so that every connected peer is of its private network; `nil`: it runs as no daemon.
    public var isInPrivateNetwork: Bool?
    /// What is known of the sandbox.
    public var sandbox: SandboxState

    /// Describes a policy.
    public init(
        policy: Policy,
        path: String,
        hasFile: Bool,
        isInPrivateNetwork: Bool?,
        sandbox: SandboxState
    ) {
        self.policy = policy
        self.path = path
        self.hasFile = hasFile
        self.isInPrivateNetwork = isInPrivateNetwork
        self.sandbox = sandbox
    }
}

/// What is known of the sandbox of this machine.
public enum SandboxState: Hashable, Sendable {
    /// It was not tried.
    case unknown
    /// Parts that the kernel lacks; none: it is whole.
    case tried(missing: [String])
    /// Functions cannot run at all.
    case unavailable(String)

    /// What an operator should know; `nil`: nothing is wrong.
    public func warning(allowsUnconfined: Bool) -> String? {
        switch self {
        case .unknown, .tried(missing: []): return nil
        case .unavailable(let reason): return "functions cannot run: \(reason)"
        case .tried(let missing):
            let rest = allowsUnconfined ? "run here without it" : "are refused"
            return "the kernel lacks \(missing.joined(separator: ", ")): functions of other nodes \(rest)"
        }
    }
}
