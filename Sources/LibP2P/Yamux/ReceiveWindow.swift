/// How many bytes the peer may still send on a stream, and when to let it send more.
///
/// A grant waits until half the target was consumed by the application, then restores the target in one update. When
/// that half went by within four round trips the window was the bottleneck, so the target doubles.
///
///     announced = remaining + waiting for the application;  grant = target − announced
///
/// **Source** go-yamux 4 (the rule), libp2p/specs yamux "Flow control"; WIRE section 6.
struct ReceiveWindow: Equatable, Sendable {
    /// Bytes the peer may send now.
    private(set) var remaining = YamuxLimits.initialWindowByteCount
    /// Bytes received that the application has not consumed.
    private(set) var unconsumed = 0
    private(set) var target = YamuxLimits.initialWindowByteCount
    private var lastGrant: Duration

    init(now: Duration) { lastGrant = now }

    /// Bytes by which the target has grown.
    var tunedByteCount: Int { target - YamuxLimits.initialWindowByteCount }

    /// Counts a body; `false` when it exceeds what was granted.
    mutating func receive(_ byteCount: Int) -> Bool {
        guard byteCount <= remaining else { return false }
        remaining -= byteCount
        unconsumed += byteCount
        return true
    }

    /// Counts what the application took.
    ///
    /// - Parameters:
    ///   - byteCount: at most what was received and not consumed yet.
    ///   - now: the time.
    ///   - roundTrip: the session's, if it is known.
    ///   - maxTarget: as far as the target may grow now.
    /// - Returns: the grant to announce; `nil` while less than half the target is due.
    mutating func consume(
        _ byteCount: Int,
        now: Duration,
        roundTrip: Duration?,
        maxTarget: Int
    ) -> UInt32? {
        precondition(byteCount <= unconsumed, "\(byteCount) bytes consumed of \(unconsumed)")
        unconsumed -= byteCount
        guard target - remaining - unconsumed >= target / 2 else { return nil }
        if let roundTrip, now - lastGrant < roundTrip * 4 { target = max(target, min(target * 2, maxTarget)) }
        lastGrant = now
        let grant = target - remaining - unconsumed
        remaining += grant
        return UInt32(grant)
    }
}

/// How many bytes this end may still send on a stream.
struct SendWindow: Equatable, Sendable {
    /// Grants beyond this change nothing; in 64 bits no peer overflows it.
    static let maxByteCount: UInt64 = 1 << 40

    private(set) var remaining = UInt64(YamuxLimits.initialWindowByteCount)

    mutating func grow(_ grant: UInt32) {
        remaining = min(Self.maxByteCount, remaining + UInt64(grant))
    }

    /// Takes up to `wanted` bytes.
    mutating func take(_ wanted: Int) -> Int {
        let taken = min(UInt64(wanted), remaining)
        remaining -= taken
        return Int(taken)
    }
}
