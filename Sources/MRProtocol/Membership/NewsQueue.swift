import Multiformats

/// What was heard lately and is still told to others: each item a few times, in turn.
struct NewsQueue: Sendable {
    enum Item: Hashable, Sendable {
        case record(PeerID)
        case suspicion(GossipMessage.Suspicion)
    }

    /// How often each item is still told.
    private var remaining: [Item: Int] = [:]
    /// Items by turn; those that are not in `remaining` were taken back.
    private var turns: [Item] = []

    var isEmpty: Bool { remaining.isEmpty }

    func contains(_ item: Item) -> Bool { remaining[item] != nil }

    /// Puts in an item, or starts an old one over; the item whose turn is next makes room in a full queue.
    mutating func add(_ item: Item, repetitions: Int) {
        if remaining.updateValue(repetitions, forKey: item) != nil { return }
        if turns.count >= MembershipSettings.maxNewsCount { remaining[turns.removeFirst()] = nil }
        turns.append(item)
        remaining[item] = repetitions
    }

    mutating func remove(_ item: Item) {
        guard remaining.removeValue(forKey: item) != nil else { return }
        turns.removeAll { $0 == item }
    }

    /// Somebody has the same table as we: records are told half as often, so that news that is everywhere dies out.
    mutating func calm() {
        for case .record(let peer) in turns { halve(.record(peer)) }
        turns.removeAll { remaining[$0] == nil }
    }

    private mutating func halve(_ item: Item) {
        let left = remaining[item, default: 0] / 2
        remaining[item] = left == 0 ? nil : left
    }

    /// Items to tell a peer, within the bounds of one message.
    ///
    /// - Parameters:
    ///   - peer: whose own record is not told.
    ///   - records: whether to tell records at all; suspicions are told in any case.
    ///   - size: length of a peer's record in bytes; `nil` when it is gone.
    /// - Returns: the items, which count as told.
    mutating func take(for peer: PeerID, records: Bool, size: (PeerID) -> Int?) -> [Item] {
        var taken: [Item] = []
        var later: [Item] = []
        var recordBudget = records ? MembershipSettings.newsBudgetByteCount : 0
        var suspicionBudget = MembershipSettings.maxNewsSuspicionCount
        var seen = 0
        for item in turns where recordBudget > 0 || suspicionBudget > 0 {
            seen += 1
            switch item {
            case .record(let subject) where recordBudget > 0 && subject != peer:
                guard let size = size(subject) else {
                    remaining[item] = nil
                    continue
                }
                recordBudget -= size
            case .suspicion where suspicionBudget > 0: suspicionBudget -= 1
            default:
                later.append(item)
                continue
            }
            taken.append(item)
        }
        turns.removeFirst(seen)
        turns.insert(contentsOf: later, at: 0)
        for item in taken {
            guard let left = remaining[item], left > 1 else {
                remaining[item] = nil
                continue
            }
            remaining[item] = left - 1
            turns.append(item)
        }
        return taken
    }
}
