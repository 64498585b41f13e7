/// Counts what was refused or failed, by reason, for `status`.
@NetworkActor
final class NetworkCounters {
    /// What kind of thing is counted.
    enum Kind: String {
        case connectionOpened = "connections opened"
        case connectionEnded = "connections ended"
        case upgradeFailed = "inbound handshakes failed"
        case dialFailed = "dials failed"
        case streamRefused = "streams refused"
        case handlerFailed = "streams failed"
        case identifyFailed = "identify failed"
    }

    /// Most reasons kept a kind; others are counted together.
    static let maxReasonCount = 64

    private var counts: [Kind: [String: UInt64]] = [:]

    nonisolated init() {}

    func count(_ kind: Kind, _ reason: String) {
        let isKnown = counts[kind]?[reason] != nil
        let isFull = (counts[kind]?.count ?? 0) >= Self.maxReasonCount
        counts[kind, default: [:]][isKnown || !isFull ? reason : "other", default: 0] += 1
    }

    /// Kind, reason and count of everything counted.
    var snapshot: [String: [String: UInt64]] {
        Dictionary(uniqueKeysWithValues: counts.map { ($0.key.rawValue, $0.value) })
    }
}
