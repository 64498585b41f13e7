import Multiformats

/// Leaves addresses alone for a while after they failed: 5 s + n² s, at most 5 min.
///
/// **Source** WIRE section 10.
struct DialBackoff {
    private var failures: [TCPEndpoint: (count: Int, until: ContinuousClock.Instant)] = [:]

    /// Whether an address may be dialed again.
    func allows(_ endpoint: TCPEndpoint, now: ContinuousClock.Instant) -> Bool {
        failures[endpoint].map { $0.until <= now } ?? true
    }

    /// Counts a failure.
    mutating func failed(_ endpoint: TCPEndpoint, now: ContinuousClock.Instant) {
        if failures[endpoint] == nil, failures.count >= ConnectionLimits.maxBackoffCount {
            makeRoom(now: now)
        }
        let count = (failures[endpoint]?.count ?? 0) + 1
        let delay = ConnectionLimits.backoffBase + .seconds(min(count * count, 300))
        failures[endpoint] = (count, now + min(delay, ConnectionLimits.maxBackoff))
    }

    /// Forgets an address's failures.
    mutating func succeeded(_ endpoint: TCPEndpoint) {
        failures[endpoint] = nil
    }

    private mutating func makeRoom(now: ContinuousClock.Instant) {
        failures = failures.filter { $0.value.until > now }
        guard failures.count >= ConnectionLimits.maxBackoffCount else { return }
        if let soonest = failures.min(by: { $0.value.until < $1.value.until })?.key {
            failures[soonest] = nil
        }
    }
}
