import Engines

/// Which outputs are worth remembering (docs/scheduling.md).
enum RememberingPolicy {
    /// Least input of a map output, in bytes: below it, mapping again costs no more than looking.
    static let minGroupByteCount: UInt64 = 64 << 10
    /// Least input of a job whose reduces are remembered, in bytes.
    static let minJobByteCount: UInt64 = 1 << 20
    /// A run in memory is stored when its input is at least this many times as long.
    static let minShrinkage: UInt64 = 4

    /// The run saves more than it costs.
    static func isWorth(_ run: any RunBytes, inputByteCount: UInt64) -> Bool {
        guard inputByteCount >= minGroupByteCount else { return false }
        // A run that is in the store already costs only its room.
        if run is RemoteRun { return false }
        if run is StoredRun { return run.byteCount <= inputByteCount }
        return run.byteCount <= inputByteCount / minShrinkage
    }
}
