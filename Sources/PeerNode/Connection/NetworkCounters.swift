import Multiformats

/// Counts what was refused or failed, by reason, for `status`, and tells the log of some of each.
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
    private var ration = LogRation()
    private let onFault: @Sendable (NetworkFault) -> Void

    /// Counters; `onFault` takes what belongs into the log and must not block.
    nonisolated init(onFault: @escaping @Sendable (NetworkFault) -> Void = { _ in }) {
        self.onFault = onFault
    }

    /// Counts a fault, and tells of it unless the log has heard enough of its like.
    ///
    /// - Parameters:
    ///   - kind: what was refused or closed.
    ///   - name: why, as it is counted.
    ///   - reason: why, in words.
    ///   - remote: the transport address at the other end.
    ///   - peer: who it is, if known.
    ///   - isMisbehaviour: the other end did what nobody does who keeps to the protocols.
    ///   - now: the time.
    func count(
        _ kind: Kind,
        _ name: String,
        because reason: String,
        at remote: Multiaddr,
        peer: PeerID? = nil,
        isMisbehaviour: Bool = false,
        now: ContinuousClock.Instant = .now
    ) {
        count(kind, name)
        // What is ordinary must not use up the lines of what is not.
        let key = "\(kind.rawValue)\n\(isMisbehaviour)\n\(name)"
        guard let untoldCount = ration.spend(key, now: now) else { return }
        onFault(
            NetworkFault(
                kind: kind.rawValue,
                name: name,
                reason: reason,
                remote: remote,
                peer: peer,
                isMisbehaviour: isMisbehaviour,
                untoldCount: untoldCount
            )
        )
    }

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
