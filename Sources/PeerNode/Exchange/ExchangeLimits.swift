/// Bounds of the exchange, beside those of the bitswap machines.
package enum ExchangeLimits {
    /// Blocks that one fetch has asked for and not stored, as bytes; the count follows from the size of its blocks.
    package static let windowByteCount = 16 << 20
    /// Fewest blocks under way in one fetch.
    package static let minWindowBlockCount = 8
    /// Most blocks under way in one fetch.
    package static let maxWindowBlockCount = 256
    /// Fetches at a time.
    package static let maxFetchCount = 1024
    /// Inbound streams of one peer; each may hold one message in memory.
    package static let maxInboundStreamsPerPeer = 16
    /// Bytes of messages of all peers that are not whole yet; above it the peer with the most has a stream reset.
    package static let maxPartialByteCount = 64 << 20
    /// How long one message may take to arrive.
    package static let messageTimeout: Duration = .seconds(120)
    /// Wants and cancels that wait to be written to one peer; above it the peer's stream is given up.
    package static let maxQueuedWantsPerPeer = 8192
    /// Tasks that wait to be started.
    package static let maxQueuedWorkCount = 16_384
    /// Bytes taken from a stream at a time.
    package static let readByteCount = 256 << 10
    /// Links that a walk remembers as not visited.
    package static let maxPendingLinkCount = 4 << 20
    /// Blocks stored between two commits that make them visible.
    package static let blocksPerFlush = 4096
    /// How long one message may take to be written.
    package static let writeTimeout: Duration = .seconds(60)
    /// How long opening a stream may take.
    package static let openTimeout: Duration = .seconds(15)
    /// Silence after which a fetch says what it waits for, and says so again.
    package static let noticeDelay: Duration = .seconds(2)
    /// How often the connected peers are looked at again, in case an event was lost.
    package static let reconcileInterval: Duration = .seconds(10)
    /// How often blocks that peers wait for are looked up again: somebody else may have stored them.
    package static let lookupInterval: Duration = .seconds(1)
    /// Blocks looked up again at a time.
    package static let lookupCount = 4096
    /// Longest sleep of the clock while something is awaited, so that a nearer deadline is not missed by more.
    package static let clockTick: Duration = .milliseconds(20)
}
