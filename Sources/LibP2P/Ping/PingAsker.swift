/// The asking side of ping: sends 32 random bytes and measures how long their echo takes.
///
/// One ping is under way at a time; the stream is kept for the next.
/// **Source** libp2p/specs ping; WIRE section 8.
package struct PingAsker: Sendable {
    /// What the driver has to do.
    package enum Action: Equatable, Sendable {
        case send([UInt8])
        /// The echo is whole and right.
        case measured(roundTrip: Duration)
        /// Reset the stream; always the last action.
        case fail(PingFault)
    }

    private enum State {
        case idle
        case waiting(payload: [UInt8], receivedCount: Int, sentAt: Duration)
        case failed
    }

    private var state = State.idle

    /// Length of a ping in bytes.
    package static let byteCount = 32
    /// How long an echo may take.
    package static let timeout: Duration = .seconds(10)
    /// Protocol id.
    package static let protocolID = "/ipfs/ping/1.0.0"

    /// Starts without a ping under way.
    package init() {}

    /// When `deadlineReached` has to be called; `nil` when nothing is awaited.
    package var nextDeadline: Duration? {
        if case .waiting(_, _, let sentAt) = state { sentAt + Self.timeout } else { nil }
    }

    /// Sends a ping.
    ///
    /// - Parameters:
    ///   - payload: 32 random bytes, so that an echo cannot be guessed.
    ///   - now: time since an origin that the driver chose.
    /// - Returns: the bytes to send; nothing while a ping is under way.
    package mutating func ping(payload: [UInt8], now: Duration) -> [Action] {
        precondition(payload.count == Self.byteCount, "a ping of \(payload.count) bytes")
        guard case .idle = state else { return [] }
        state = .waiting(payload: payload, receivedCount: 0, sentAt: now)
        return [.send(payload)]
    }

    /// Takes bytes of the stream, in any pieces.
    package mutating func receive(_ bytes: some Collection<UInt8>, now: Duration) -> [Action] {
        switch state {
        case .failed: return []
        case .idle: return bytes.isEmpty ? [] : fail(.unasked)
        case .waiting(let payload, let count, let sentAt):
            guard bytes.count <= payload.count - count else { return fail(.unasked) }
            guard payload[count...].starts(with: bytes) else { return fail(.mismatch) }
            guard count + bytes.count == payload.count else {
                state = .waiting(payload: payload, receivedCount: count + bytes.count, sentAt: sentAt)
                return []
            }
            state = .idle
            return [.measured(roundTrip: now - sentAt)]
        }
    }

    /// The stream ended.
    package mutating func end() -> [Action] {
        if case .waiting = state { return fail(.ended) }
        return []
    }

    /// The time of `nextDeadline` came.
    package mutating func deadlineReached(now: Duration) -> [Action] {
        guard let nextDeadline, now >= nextDeadline else { return [] }
        return fail(.timeout)
    }

    private mutating func fail(_ fault: PingFault) -> [Action] {
        state = .failed
        return [.fail(fault)]
    }
}

/// Why a ping came to nothing.
package enum PingFault: Error, Equatable, Sendable {
    /// The echo has other bytes.
    case mismatch
    /// Bytes came that answer no ping.
    case unasked
    case timeout
    case ended
}
