/// Chooses of many like faults those that the log hears of: who can cause them without end must not fill it.
///
/// Of each kind `ConnectionLimits.maxLogLineCount` are told within `ConnectionLimits.logInterval`.
struct LogRation {
    /// Most kinds that are told apart; nothing is told of further ones.
    static let maxKindCount = 64

    private struct Kind {
        var since: ContinuousClock.Instant
        var toldCount = 0
        var untoldCount: UInt64 = 0
    }

    private var kinds: [String: Kind] = [:]

    /// Counts a fault.
    ///
    /// - Returns: how many of its kind were not told since the last that was; `nil`: it is not told either.
    mutating func spend(_ name: String, now: ContinuousClock.Instant) -> UInt64? {
        guard kinds[name] != nil || kinds.count < Self.maxKindCount else { return nil }
        var kind = kinds[name] ?? Kind(since: now)
        defer { kinds[name] = kind }
        if now - kind.since >= ConnectionLimits.logInterval {
            kind = Kind(since: now, untoldCount: kind.untoldCount)
        }
        guard kind.toldCount < ConnectionLimits.maxLogLineCount else {
            kind.untoldCount += 1
            return nil
        }
        kind.toldCount += 1
        defer { kind.untoldCount = 0 }
        return kind.untoldCount
    }
}
