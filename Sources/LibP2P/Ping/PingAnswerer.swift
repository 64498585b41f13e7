/// The answering side of ping: every 32 bytes are sent back.
///
/// **Source** libp2p/specs ping; WIRE section 8.
package struct PingAnswerer: Sendable {
    private var partial: [UInt8] = []
    private var lastActivity: Duration

    /// Streams that one peer may have open at once; the driver resets further ones.
    package static let maxStreamsPerPeer = 2
    /// A stream without a whole ping for this long is reset.
    package static let idleTimeout: Duration = .seconds(60)

    /// Starts with an empty stream.
    package init(now: Duration) { lastActivity = now }

    /// When the stream is to be reset unless a ping comes.
    package var nextDeadline: Duration { lastActivity + Self.idleTimeout }

    /// Takes bytes of the stream, in any pieces.
    ///
    /// - Returns: the bytes to send back: whole pings only, perhaps none.
    package mutating func receive(_ bytes: some Collection<UInt8>, now: Duration) -> [UInt8] {
        partial += bytes
        let wholeCount = partial.count - partial.count % PingAsker.byteCount
        guard wholeCount > 0 else { return [] }
        lastActivity = now
        defer { partial.removeFirst(wholeCount) }
        return Array(partial.prefix(wholeCount))
    }
}
