/// What an attempt read, made and wrote; sums over attempts give the job's counters.
public struct TaskCounters: Hashable, Sendable {
    /// Records that the map got.
    public var inputRecords: UInt64 = 0
    /// File bytes of the leaves mapped.
    public var inputBytes: UInt64 = 0
    /// Pairs that the map emitted, before combining.
    public var mapOutputPairs: UInt64 = 0
    /// Pairs left after combining.
    public var combinedPairs: UInt64 = 0
    /// Bytes of run files that reduces read.
    public var shuffledBytes: UInt64 = 0
    /// Pairs that reduces read.
    public var reduceInputPairs: UInt64 = 0
    /// Different keys that reduces read.
    public var reduceInputKeys: UInt64 = 0
    /// Records written to the result.
    public var outputRecords: UInt64 = 0
    /// Bytes written to the result.
    public var outputBytes: UInt64 = 0
    /// Bytes written to the store because memory was short.
    public var spilledBytes: UInt64 = 0
    /// Records over the limit that were skipped.
    public var skippedRecords: UInt64 = 0
    /// Records that were skipped because a function failed on them.
    public var badRecords: UInt64 = 0
    /// Counters of user functions, by group, a tab, and name.
    public var user: [String: Int64] = [:]

    /// Most counters of user functions in an attempt, and in a job.
    public static let maxUserCount = 256
    /// Longest group and name together, in UTF-8 bytes.
    public static let maxUserNameByteCount = 256

    /// All zero.
    public init() {}

    /// The sum, or the nearest number that fits.
    package static func add(_ left: Int64, _ right: Int64) -> Int64 {
        let (sum, overflow) = left.addingReportingOverflow(right)
        return overflow ? (right < 0 ? .min : .max) : sum
    }

    /// Adds the counters of another attempt; sums stop at the greatest number.
    public static func += (sum: inout TaskCounters, other: TaskCounters) {
        sum.inputRecords.addClamped(other.inputRecords)
        sum.inputBytes.addClamped(other.inputBytes)
        sum.mapOutputPairs.addClamped(other.mapOutputPairs)
        sum.combinedPairs.addClamped(other.combinedPairs)
        sum.shuffledBytes.addClamped(other.shuffledBytes)
        sum.reduceInputPairs.addClamped(other.reduceInputPairs)
        sum.reduceInputKeys.addClamped(other.reduceInputKeys)
        sum.outputRecords.addClamped(other.outputRecords)
        sum.outputBytes.addClamped(other.outputBytes)
        sum.spilledBytes.addClamped(other.spilledBytes)
        sum.skippedRecords.addClamped(other.skippedRecords)
        sum.badRecords.addClamped(other.badRecords)
        sum.user.merge(other.user, uniquingKeysWith: TaskCounters.add)
    }
}

extension TaskCounters {
    /// The counters of one group, by name.
    public struct UserGroup: Hashable, Sendable {
        /// Name of the group.
        public var name: String
        /// Its counters in order of their names.
        public var counters: [UserCounter]
    }

    /// One counter of a user function.
    public struct UserCounter: Hashable, Sendable {
        /// Name within the group.
        public var name: String
        /// Sum over the tasks that count.
        public var value: Int64
    }

    /// Counters of user functions in order of their groups and names.
    public var userGroups: [UserGroup] {
        var groups: [UserGroup] = []
        for (key, value) in user.sorted(by: { $0.key < $1.key }) {
            let parts = key.split(separator: "\t", maxSplits: 1, omittingEmptySubsequences: false)
            let counter = UserCounter(name: String(parts.last ?? ""), value: value)
            let group = parts.count > 1 ? String(parts[0]) : ""
            if groups.last?.name == group {
                groups[groups.count - 1].counters.append(counter)
            } else {
                groups.append(UserGroup(name: group, counters: [counter]))
            }
        }
        return groups
    }
}
