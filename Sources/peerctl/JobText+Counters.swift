import MRProtocol
import PeerNode

/// Counters of a job, as `run` and `status` show them.
extension JobText {
    /// Counters of the node's own that are not zero, as rows of a table.
    static func counters(_ counters: TaskCounters) -> [[String]] {
        (counters.json.members ?? []).compactMap { member in
            guard let value = member.value.unsigned, value > 0 else { return nil }
            return [member.name, "\(value)"]
        }
    }

    /// Counters of user functions: `group: name`, and the sum.
    static func userCounters(_ counters: TaskCounters) -> [[String]] {
        counters.userGroups.flatMap { group in
            group.counters.map { counter in
                [group.name.isEmpty ? counter.name : "\(group.name): \(counter.name)", "\(counter.value)"]
            }
        }
    }
}
