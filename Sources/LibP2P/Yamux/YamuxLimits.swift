/// What a session allows itself and its peer.
package struct YamuxLimits: Equatable, Sendable {
    /// Window of every stream and direction at its start, in bytes; fixed by the protocol.
    package static let initialWindowByteCount = 262_144
    /// Queued bytes of a stream at or below which its writer is told to go on.
    package static let lowWaterByteCount = 131_072
    /// Largest body that the scheduler puts in one frame: with its header it fills one Noise message exactly.
    package static let maxFrameBodyByteCount = 65_519 - YamuxHeader.byteCount
    /// Smallest body worth starting when a message is nearly full.
    package static let minFrameBodyByteCount = 4_096

    /// Largest receive window that auto-tuning reaches, in bytes a stream.
    package var maxWindowByteCount = 16 << 20
    /// Bytes by which all windows of a session together may exceed their initial size.
    package var maxTunedByteCount = 64 << 20
    /// Bytes that wait in a stream's queue before its writer is held back.
    package var maxQueuedByteCount = 262_144
    /// Streams that the peer may have open at once; more are refused with RST.
    package var maxInboundStreamCount = 512
    /// Streams that this end opens at once.
    package var maxOutboundStreamCount = 1_024
    /// Opened streams that the peer has not acknowledged; go refuses what exceeds 256.
    package var maxUnacknowledgedCount = 256
    /// Control frames waiting to be sent before the peer counts as flooding.
    package var maxControlFrameCount = 8_192
    /// Silence after which the peer is pinged.
    package var keepaliveInterval = Duration.seconds(30)
    /// Silence after a ping at which the session ends.
    package var keepaliveTimeout = Duration.seconds(10)
    /// Pings of the peer: at once, and per second over time.
    package var pings = AbuseBudget.Rate(burst: 256, perSecond: 16)
    /// Streams that the peer opens and resets: at once, and per second over time.
    package var resets = AbuseBudget.Rate(burst: 4_096, perSecond: 2_048)
    /// Frames that carry nothing (no body, grant or flag): at once, and per second over time.
    package var emptyFrames = AbuseBudget.Rate(burst: 1_024, perSecond: 128)

    package init() {}
}

/// Counts what a peer does too often; refills as time passes.
package struct AbuseBudget: Equatable, Sendable {
    /// How often something may happen.
    package struct Rate: Equatable, Sendable {
        package var burst: Int
        package var perSecond: Int

        package init(burst: Int, perSecond: Int) {
            self.burst = burst
            self.perSecond = perSecond
        }
    }

    private let rate: Rate
    private var left: Double
    private var refilled: Duration

    package init(_ rate: Rate, now: Duration) {
        self.rate = rate
        left = Double(rate.burst)
        refilled = now
    }

    /// Counts one event; `false` when it is one too many.
    package mutating func spend(now: Duration) -> Bool {
        let elapsed = (now - refilled) / .seconds(1)
        refilled = now
        left = min(Double(rate.burst), left + elapsed * Double(rate.perSecond))
        guard left >= 1 else { return false }
        left -= 1
        return true
    }
}

/// Why a session or one of its streams failed.
package enum YamuxFault: Error, Equatable, Sendable {
    // Scope: the session.
    case version(UInt8)
    case frameType(UInt8)
    /// A session frame (ping, go away) names a stream, or a stream frame names none.
    case streamID(YamuxStreamID)
    /// The peer opened a stream with an id of this end's kind.
    case parity(YamuxStreamID)
    /// The peer opened an id that it had opened before.
    case duplicateStream(YamuxStreamID)
    case windowExceeded(YamuxStreamID, allowed: Int, received: Int)
    case tooManyPings
    case tooManyResets
    case tooManyEmptyFrames
    case tooManyControlFrames
    case keepaliveTimeout
    /// The peer said go away: 0 normal, others an error of its own.
    case remoteGoAway(UInt32)
}

/// Why a stream could not be opened.
package enum YamuxOpenFault: Error, Equatable, Sendable {
    /// One end said go away, or the session is over.
    case closing
    /// `maxOutboundStreamCount` are open.
    case tooManyStreams
    /// `maxUnacknowledgedCount` wait for the peer.
    case tooManyUnacknowledged
    /// All ids were used.
    case idsExhausted
}

extension YamuxFault: CustomStringConvertible {
    /// What is wrong, in words.
    package var description: String {
        switch self {
        case .version(let number): "yamux of version \(number)"
        case .frameType(let number): "a frame of unknown type \(number)"
        case .streamID(let id): "a frame is wrong for stream \(id)"
        case .parity(let id): "stream \(id) has an id of this end's kind"
        case .duplicateStream(let id): "stream \(id) was opened twice"
        case .windowExceeded(let id, let allowed, let received):
            "\(received) bytes on stream \(id), whose window has \(allowed)"
        case .tooManyPings: "too many pings"
        case .tooManyResets: "too many streams opened and reset"
        case .tooManyEmptyFrames: "too many empty frames"
        case .tooManyControlFrames: "too many control frames"
        case .keepaliveTimeout: "it does not answer pings any more"
        case .remoteGoAway(let code):
            code == 0 ? "the peer went away" : "the peer went away with error \(code)"
        }
    }
}
