public import Multiformats

/// Who may have this node run what: the operator's word, kept in `policy.json` (docs/policy.md).
///
/// A value without I/O; `PolicyGate` keeps the one in force.
public struct Policy: Hashable, Sendable {
    /// This node's own user, through the control socket or embedded.
    public var own: PolicyGrant
    /// Peers of the same private network: everybody who is connected, when this node has a swarm key.
    public var network: PolicyGrant
    /// Peers that are named; what stands here replaces what they would have otherwise.
    public var peers: [PeerID: PolicyGrant]
    /// Everybody else.
    public var others: PolicyGrant
    /// Functions of other nodes run even where the kernel lacks a part of the sandbox.
    public var allowsUnconfined: Bool

    /// Most peers that are named.
    public static let maxPeerCount = 4_096

    /// The safe defaults, and what differs from them.
    public init(
        own: PolicyGrant = .everything,
        network: PolicyGrant = .sandboxed,
        peers: [PeerID: PolicyGrant] = [:],
        others: PolicyGrant = .nothing,
        allowsUnconfined: Bool = false
    ) {
        self.own = own
        self.network = network
        self.peers = peers
        self.others = others
        self.allowsUnconfined = allowsUnconfined
    }

    /// Whose rule applies to a job: of `peer`, or of this node's own user when that is `nil`.
    public func subject(of peer: PeerID?, inPrivateNetwork isPrivate: Bool) -> PolicySubject {
        guard let peer else { return .own }
        if peers[peer] != nil { return .peer(peer) }
        return isPrivate ? .network : .others
    }

    /// What a subject may do; a peer that is not named may do nothing.
    public subscript(subject: PolicySubject) -> PolicyGrant {
        get {
            switch subject {
            case .own: own
            case .network: network
            case .peer(let peer): peers[peer] ?? .nothing
            case .others: others
            }
        }
        set {
            switch subject {
            case .own: own = newValue
            case .network: network = newValue
            case .peer(let peer): peers[peer] = newValue
            case .others: others = newValue
            }
        }
    }
}

/// Whom a rule is about.
public enum PolicySubject: Hashable, Sendable {
    case own
    case network
    case peer(PeerID)
    case others

    /// Reads `network`, `others`, `self` or a peer id.
    ///
    /// - Throws: `NodeError` with code `invalidArgument`.
    public init(parsing text: String) throws(NodeError) {
        switch text {
        case "self": self = .own
        case "network": self = .network
        case "others": self = .others
        default:
            guard let peer = PeerID(text) else {
                throw NodeError(
                    .invalidArgument,
                    "«\(text)» is not a peer id such as 12D3KooW…, nor `network` or `others`"
                )
            }
            self = .peer(peer)
        }
    }

    /// As it is parsed.
    public var text: String {
        switch self {
        case .own: "self"
        case .network: "network"
        case .peer(let peer): peer.description
        case .others: "others"
        }
    }
}

/// What runs functions, as a policy names it.
public enum PolicyEngine: String, Hashable, Sendable, CaseIterable {
    /// Functions of this program.
    case builtin
    case javascript
    case webassembly
    /// Programs of the machine: not sandboxed, so only for this node's own user and for peers that are named.
    case command

    /// Those that cannot do harm.
    public static let sandboxed: Set<PolicyEngine> = [.builtin, .javascript, .webassembly]
}

/// What somebody may have this node run.
public struct PolicyGrant: Hashable, Sendable {
    /// Engines that they may use; none: no job of theirs runs here.
    public var engines: Set<PolicyEngine>
    /// Most of this node's slots at a time; `nil`: all of them.
    public var slots: Int?
    /// Upper bounds for each attempt of a function.
    public var limits: PolicyLimits

    /// Allows engines, with bounds.
    public init(_ engines: Set<PolicyEngine>, slots: Int? = nil, limits: PolicyLimits = PolicyLimits()) {
        self.engines = engines
        self.slots = slots
        self.limits = limits
    }

    /// No job at all.
    public static let nothing = PolicyGrant([])
    /// Built-ins and what runs in the sandbox.
    public static let sandboxed = PolicyGrant(PolicyEngine.sandboxed)
    /// Commands too.
    public static let everything = PolicyGrant(Set(PolicyEngine.allCases))
}
