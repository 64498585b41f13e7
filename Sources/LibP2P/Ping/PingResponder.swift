/// The answering side of ping: every 32 bytes are sent back.
///
/// A ping that the peer's end cuts short is not answered.
/// **Source** libp2p/specs ping; WIRE section 8.
package struct PingResponder: StreamResponder {
    private var partial: [UInt8] = []
    private var lastPing: Duration

    /// A stream without a whole ping for this long is reset; go's limit.
    package static let idleTimeout: Duration = .seconds(60)

    /// Starts with an empty stream.
    package init(now: Duration) { lastPing = now }

    package var nextDeadline: Duration { lastPing + Self.idleTimeout }

    /// Takes bytes of the stream, in any pieces.
    ///
    /// - Returns: the bytes to send back: whole pings only, perhaps none.
    package mutating func receive(_ bytes: ArraySlice<UInt8>, now: Duration) -> ArraySlice<UInt8> {
        let byteCount = PingAsker.byteCount
        guard !partial.isEmpty || !bytes.count.isMultiple(of: byteCount) else {
            lastPing = now
            return bytes
        }
        partial += bytes
        let whole = partial.prefix(partial.count - partial.count % byteCount)
        guard !whole.isEmpty else { return [] }
        lastPing = now
        partial = Array(partial[whole.endIndex...])
        return whole
    }
}
