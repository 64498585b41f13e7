package import LibP2P
package import Multiformats

/// Figures of the exchange for `status`.
package struct ExchangeStatus: Equatable, Sendable {
    package var receivedBlockCount: UInt64 = 0
    package var receivedByteCount: UInt64 = 0
    package var sentBlockCount: UInt64 = 0
    package var sentByteCount: UInt64 = 0
    /// Blocks that came twice, late or unasked, and were dropped.
    package var unwantedBlockCount: UInt64 = 0
    /// Streams that ended in bytes that are no bitswap messages.
    package var badMessageCount: UInt64 = 0
    /// Inbound streams over the limit of their peer.
    package var refusedStreamCount: UInt64 = 0
    /// Wants of peers that asked for more than is remembered for one.
    package var droppedWantCount: UInt64 = 0
    /// Messages read later than they could have been, as their peers sent wants faster than their rate.
    package var heldBackMessageCount: UInt64 = 0
    /// Peers that lied or kept silent, and are not asked any more.
    package var distrustedPeerCount: UInt64 = 0
    /// Blocks asked for and not here yet.
    package var wantCount = 0
    /// Peers that can be asked.
    package var peerCount = 0
    /// What the fetches that wait for long wait for.
    package var waits: [FetchWait] = []
}

/// Things worth a line in the log.
package enum ExchangeEvent: Equatable, Sendable {
    case distrusted(PeerID, BitswapDistrust)
    /// It sent bytes that are no message, which end its stream.
    case badMessage(PeerID, reason: String)
    /// It held parts of messages for too long, or too many of them.
    case hoarding(PeerID)
}
