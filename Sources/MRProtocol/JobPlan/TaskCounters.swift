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
    /// Counters of user functions, by name.
    public var user: [String: UInt64] = [:]

    /// All zero.
    public init() {}

    /// Adds the counters of another attempt.
    public static func += (sum: inout TaskCounters, other: TaskCounters) {
        sum.inputRecords += other.inputRecords
        sum.inputBytes += other.inputBytes
        sum.mapOutputPairs += other.mapOutputPairs
        sum.combinedPairs += other.combinedPairs
        sum.shuffledBytes += other.shuffledBytes
        sum.reduceInputPairs += other.reduceInputPairs
        sum.reduceInputKeys += other.reduceInputKeys
        sum.outputRecords += other.outputRecords
        sum.outputBytes += other.outputBytes
        sum.spilledBytes += other.spilledBytes
        sum.skippedRecords += other.skippedRecords
        sum.user.merge(other.user, uniquingKeysWith: +)
    }
}
