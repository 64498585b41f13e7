/// Who a node is.
public struct NodeIdentity: Hashable, Sendable {
    /// `12D3KooW…`.
    public var peerID: String
    /// Addresses it listens on, each ending in `/p2p/…`.
    public var addresses: [String]
    /// Program and version.
    public var agent: String
    /// Protocols it speaks.
    public var protocols: [String]

    /// Describes a node.
    public init(peerID: String, addresses: [String], agent: String, protocols: [String]) {
        self.peerID = peerID
        self.addresses = addresses
        self.agent = agent
        self.protocols = protocols
    }
}

/// What a node is doing, at a glance.
public struct NodeStatus: Hashable, Sendable {
    /// Who the node is.
    public var identity: NodeIdentity
    /// Whether a daemon answered, or this process alone.
    public var isDaemon: Bool
    /// Milliseconds since 1970 when the node was started.
    public var startedAt: Int64
    /// What its store holds.
    public var repository: RepositoryStatistics
    /// Attempts that may run at once.
    public var slotCount: Int
    /// Other nodes that it knows.
    public var peers: [PeerInfo]
    /// Unfinished jobs, newest first.
    public var activeJobs: [JobStatus]
    /// What was refused, dropped or failed in the network, by part and reason.
    public var counters: [String: [String: UInt64]] = [:]
    /// The bootstrap addresses and how they fare.
    public var bootstrap: [BootstrapInfo] = []
    /// Blocks that are waited for.
    public var waits: [String] = []
    /// What is known of the sandbox of functions.
    public var sandbox = SandboxState.unknown
    /// Functions of other nodes run even where a part of the sandbox is missing.
    public var allowsUnconfined = false

    /// Describes a node.
    public init(
        identity: NodeIdentity,
        isDaemon: Bool,
        startedAt: Int64,
        repository: RepositoryStatistics,
        slotCount: Int,
        peers: [PeerInfo],
        activeJobs: [JobStatus]
    ) {
        self.identity = identity
        self.isDaemon = isDaemon
        self.startedAt = startedAt
        self.repository = repository
        self.slotCount = slotCount
        self.peers = peers
        self.activeJobs = activeJobs
    }
}

/// Another node that this one knows.
public struct PeerInfo: Hashable, Sendable {
    /// The node's libp2p peer id.
    public var peerID: String
    /// A multiaddr.
    public var address: String
    /// `connected`, `alive`, `suspect`, `dead`.
    public var state: String
    /// The last round trip measured; `nil`: none was.
    public var roundTripMilliseconds: Double?
    /// Name and version of its program; empty: not known.
    public var agent: String
    /// Attempts that it runs at once; `nil`: it did not say.
    public var slotCount: Int?
    /// Slots that execute something, when it said so.
    public var busySlotCount: Int?
    /// Protocols that it speaks.
    public var protocols: [String] = []

    /// Describes a peer.
    public init(
        peerID: String,
        address: String,
        state: String,
        roundTripMilliseconds: Double? = nil,
        agent: String = "",
        slotCount: Int? = nil
    ) {
        self.peerID = peerID
        self.address = address
        self.state = state
        self.roundTripMilliseconds = roundTripMilliseconds
        self.agent = agent
        self.slotCount = slotCount
    }
}

/// An address that a node was told to begin with.
public struct BootstrapInfo: Hashable, Sendable {
    /// A multiaddr.
    public var address: String
    /// Whether a connection to it is open.
    public var isConnected: Bool
    /// Attempts that failed since it was last connected.
    public var failureCount: Int
    /// What the last failed attempt met; empty when connected.
    public var lastFailure: String

    /// Describes an address.
    public init(address: String, isConnected: Bool, failureCount: Int, lastFailure: String) {
        self.address = address
        self.isConnected = isConnected
        self.failureCount = failureCount
        self.lastFailure = lastFailure
    }
}
