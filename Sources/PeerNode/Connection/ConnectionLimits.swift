package import LibP2P

/// The limits of one host that a test or an operator may tighten.
package struct HostLimits: Sendable {
    /// Security and muxer of a connection, in and out.
    package var upgradeTimeout = ConnectionLimits.upgradeTimeout
    /// Negotiation of a stream, in and out.
    package var negotiationTimeout = ConnectionLimits.negotiationTimeout
    /// Connections in all.
    package var maxConnectionCount = ConnectionLimits.maxConnectionCount
    /// Connections of one peer.
    package var maxConnectionCountPerPeer = ConnectionLimits.maxConnectionCountPerPeer
    /// Inbound connections of one network address.
    package var maxInboundCountPerAddress = ConnectionLimits.maxInboundCountPerAddress
    /// Inbound connections in their handshake.
    package var maxUpgradingCount = ConnectionLimits.maxUpgradingCount
    /// Inbound connections of one network address in their handshake.
    package var maxUpgradingCountPerAddress = ConnectionLimits.maxUpgradingCountPerAddress
    /// Streams, windows and floods of one connection.
    package var muxer = YamuxLimits()

    package init() {}
}

/// What one node allows its connections; durations are go-libp2p's (WIRE section 10).
package enum ConnectionLimits: Sendable {
    /// TCP connect of one address.
    package static let connectTimeout = Duration.seconds(5)
    /// A whole dial: connect, security and muxer.
    package static let dialTimeout = Duration.seconds(15)
    /// Security and muxer of an inbound connection.
    package static let upgradeTimeout = Duration.seconds(15)
    /// Negotiation of an inbound stream, and of one opened here.
    package static let negotiationTimeout = Duration.seconds(10)
    /// A socket that takes no bytes for this long is closed; checked every `watchInterval`.
    package static let writeStallTimeout = Duration.seconds(10)
    /// How often a connection is looked after when nothing else is due.
    package static let watchInterval = Duration.seconds(5)
    /// Connections in all.
    package static let maxConnectionCount = 1_024
    /// Connections of one peer.
    package static let maxConnectionCountPerPeer = 8
    /// Inbound connections of one network address: a hundred nodes on one machine have two each.
    package static let maxInboundCountPerAddress = 512
    /// Inbound connections in their handshake; a new one takes the place of the oldest of the address with the most.
    package static let maxUpgradingCount = 256
    /// Inbound connections of one network address in their handshake; a new one takes the place of the oldest.
    ///
    /// As many as the nodes of a cluster on one machine that all start at once.
    package static let maxUpgradingCountPerAddress = 128
    /// Addresses being dialed at once.
    package static let maxDialCount = 64
    /// Inbound streams of one protocol and peer, unless the protocol says otherwise.
    package static let maxStreamCountPerProtocol = 256
    /// Connections that the kernel holds until they are accepted.
    static let acceptBacklog: Int32 = 512
    /// Bytes asked of the kernel at once, and handed to it at once.
    static let socketBatchByteCount = 256 * 1024
    /// Control frames waiting for the writer above which nothing more is read.
    static let maxWaitingControlFrameCount = 1_024
    /// Remembered failed addresses.
    static let maxBackoffCount = 1_024
    /// First delay after a failed dial; grows with the square of the failures.
    static let backoffBase = Duration.seconds(5)
    /// Longest delay after failed dials.
    static let maxBackoff = Duration.seconds(300)
    /// Lines in the log about one kind of fault for one reason within `logInterval`; further ones are only counted.
    static let maxLogLineCount = 10
    /// Time after which faults that were only counted are written about again.
    static let logInterval = Duration.seconds(60)
    /// Events that a slow reader of `peerEvents` may fall behind.
    static let maxPeerEventCount = 1_024
}
