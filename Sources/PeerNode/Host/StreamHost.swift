package import Multiformats

/// What the services of a node (exchange, gossip, jobs) need of its connections: streams to peers, by protocol id.
///
/// `Host` implements it over TCP, Noise and Yamux; tests over memory. Services know nothing below it.
package protocol StreamHost: Sendable {
    /// This node's own id.
    var localPeer: PeerID { get }

    /// Peers with a live connection now.
    func connectedPeers() async -> [ConnectedPeer]

    /// Connections coming and going, from now on; ends when the host stops. A slow reader loses the oldest events past
    /// the host's limit and must look at `connectedPeers()` again.
    func peerEvents() async -> AsyncStream<PeerEvent>

    /// Serves a protocol: `handler` runs in a child task of the host for every inbound stream; the stream is reset
    /// when it throws and closed when it returns.
    func serve(
        _ protocolID: String,
        _ handler: @escaping @Sendable (PeerID, any PeerStream) async throws -> Void
    ) async

    /// Opens a stream to a peer, dialing it first when no connection is up and an address is known.
    ///
    /// - Parameters:
    ///   - peer: whom to ask.
    ///   - protocolIDs: in order of preference.
    /// - Returns: a stream on which the peer agreed, or is known to agree, to one of them.
    /// - Throws: `HostError`.
    func openStream(to peer: PeerID, protocolIDs: [String]) async throws -> any PeerStream

    /// Makes sure that a connection is up; `addresses` are tried before those already known.
    func connect(to peer: PeerID, addresses: [Multiaddr]) async throws

    /// Makes sure that a connection to whoever answers at an address is up, at once even after failures.
    ///
    /// - Parameter address: may end in `/p2p/…`; then another peer there is an error.
    /// - Returns: the peer that answered.
    /// - Throws: `HostError`.
    func connect(to address: Multiaddr) async throws -> PeerID

    /// Closes all connections of a peer.
    func disconnect(_ peer: PeerID) async
}

/// A peer with a live connection, as identify and the ping service know it.
package struct ConnectedPeer: Hashable, Sendable {
    package var id: PeerID
    /// Where it was dialed, or dialed from.
    package var address: Multiaddr
    package var isInbound: Bool
    /// Empty until identify is done.
    package var agent: String
    package var protocols: [String]
    package var roundTripTime: Duration?

    package init(
        id: PeerID,
        address: Multiaddr,
        isInbound: Bool,
        agent: String = "",
        protocols: [String] = [],
        roundTripTime: Duration? = nil
    ) {
        self.id = id
        self.address = address
        self.isInbound = isInbound
        self.agent = agent
        self.protocols = protocols
        self.roundTripTime = roundTripTime
    }
}

/// A change among the connected peers.
package enum PeerEvent: Hashable, Sendable {
    /// The first connection of a peer is up (before identify).
    case connected(PeerID)
    /// Identify is done; its signed peer record, when it sent a valid one, as envelope bytes.
    case identified(PeerID, protocols: [String], signedRecord: [UInt8]?)
    /// Its last connection is gone.
    case disconnected(PeerID)
}

/// One stream to a peer; reads and writes suspend while there is nothing or no room.
///
/// One task may read while another writes; not more than one each.
package protocol PeerStream: Sendable {
    /// The next bytes, at most `maxByteCount`; `nil` after the peer's half-close.
    func read(atMost maxByteCount: Int) async throws -> [UInt8]?
    /// Writes all bytes; returns when they are queued within the stream's window.
    func write(_ bytes: [UInt8]) async throws
    /// Half-close: no more writes, reads go on.
    func closeWrite() async throws
    /// Ends both directions at once; what is unsent is dropped.
    func reset() async
}
