import MRProtocol

/// The indexes of the run files that an engine has opened.
///
/// Each reduce of a job reads the same runs: without it, R reduces of n runs would read R · n indexes of R entries.
/// It keeps no run alive.
final class RunIndexCache {
    /// Entries of all indexes together; above it the cache starts anew.
    static let maxEntryCount = 1 << 18

    private struct Known {
        weak var run: (any RunBytes)?
        var index: RunIndex
    }

    private var known: [ObjectIdentifier: Known] = [:]
    private var entryCount = 0

    /// The index of `run`, if it was kept.
    func index(of run: any RunBytes) -> RunIndex? {
        // Another run may have taken the place of one that is gone.
        guard let found = known[ObjectIdentifier(run)], found.run === run else { return nil }
        return found.index
    }

    /// Keeps `index` for as long as `run` lives and there is room.
    func keep(_ index: RunIndex, of run: any RunBytes) {
        if entryCount + index.entries.count > RunIndexCache.maxEntryCount {
            known = [:]
            entryCount = 0
        }
        known[ObjectIdentifier(run)] = Known(run: run, index: index)
        entryCount += index.entries.count
    }
}
