import FunctionProtocol
import MRProtocol

/// Pairs of which only the sums of each key's numbers are wanted: they are added up in a table as they come.
///
/// The table holds integers of up to 64 bits. From the first value on that is none, or the first sum that is larger, until
/// the store is drained, pairs are kept as they come: the combine adds them up, or finds what is wrong with them. So it is
/// also when of the first `sampleCount` pairs nearly each has a key of its own, as from a function that adds up itself:
/// sorting them is less work than looking each up first. Where keys turn out to come again later, it is not done again.
final class PairSums: PackedPairStore {
    private static let sampleCount = 8_192

    /// The table, which others may use between two rounds.
    let table: WordCounts
    private let pairs: PairBuffer
    /// Where the keys of a batch lie in the packed pairs, and their numbers.
    private let bounds: UnsafeMutablePointer<UInt32> = .allocate(capacity: 2 * WordTable.batchCount)
    private let numbers: UnsafeMutablePointer<Int> = .allocate(capacity: WordTable.batchCount)

    /// Pairs added to the table while its keys are watched; `nil` when enough were seen.
    private var watchedCount: Int? = 0
    /// Pairs that were kept had keys of their own for the most part.
    private var keepingPays = true

    init(partitionCount: Int) {
        table = WordCounts(partitionCount: partitionCount)
        pairs = PairBuffer(partitionCount: partitionCount, combine: .builtIn(.sum))
    }

    deinit {
        bounds.deallocate()
        numbers.deallocate()
    }

    var isEmpty: Bool { table.isEmpty && pairs.isEmpty }
    var byteCount: Int { pairs.isEmpty ? table.byteCount : pairs.byteCount }

    /// Forgets all pairs.
    func removeAll() {
        table.removeAll()
        pairs.removeAll()
        watchedCount = 0
    }

    func add(packed packedPairs: UnsafeRawBufferPointer) -> Int {
        guard pairs.isEmpty, let base = packedPairs.baseAddress?.assumingMemoryBound(to: UInt8.self) else {
            return pairs.add(packed: packedPairs)
        }
        var count = 0
        var position = 0
        while position < packedPairs.count {
            let gathered = gather(packedPairs, from: position)
            let added = table.add(
                base,
                byteCount: packedPairs.count,
                bounds: bounds,
                numbers: numbers,
                count: gathered.count
            )
            count += added
            position = gathered.end
            if added < gathered.count { position = Int(bounds[2 * added]) - PackedPairs.headByteCount }
            let isStopped = added < WordTable.batchCount && position < packedPairs.count
            if isTableIdle(with: added) || isStopped {
                table.drain(into: pairs)
                return count + pairs.add(packed: UnsafeRawBufferPointer(rebasing: packedPairs[position...]))
            }
        }
        return count
    }

    /// Whether so many pairs were added to the table that it is known to add up nearly nothing: one of 16 at most.
    private func isTableIdle(with added: Int) -> Bool {
        guard keepingPays, let watched = watchedCount.map({ $0 + added }) else { return false }
        watchedCount = watched < PairSums.sampleCount ? watched : nil
        return watchedCount == nil && 16 * (watched - table.count) <= watched
    }

    func drain(to run: RunFileWriter) throws(TaskFault) {
        if pairs.isEmpty {
            try table.drain(to: run)
        } else {
            let (kept, before) = (UInt64(pairs.count), run.pairCount)
            try pairs.drain(to: run)
            keepingPays = keepingPays && 2 * (run.pairCount - before) >= kept
        }
        watchedCount = 0
    }

    /// Finds the next pairs that the table can take, at most a batch, and where the pair behind them begins.
    @inline(__always)
    private func gather(_ packedPairs: UnsafeRawBufferPointer, from start: Int) -> (count: Int, end: Int) {
        var count = 0
        var position = start
        while count < WordTable.batchCount, position < packedPairs.count {
            let key = position + PackedPairs.headByteCount
            let value =
                key + Int(packedPairs.loadUnaligned(fromByteOffset: position, as: UInt32.self).littleEndian)
            let mark = packedPairs.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self).littleEndian
            guard mark != PackedPairs.noValue else { break }
            let end = value + Int(mark)
            guard let number = DecimalText.short(UnsafeRawBufferPointer(rebasing: packedPairs[value..<end]))
            else { break }
            bounds[2 * count] = UInt32(truncatingIfNeeded: key)
            bounds[2 * count + 1] = UInt32(truncatingIfNeeded: value)
            numbers[count] = number
            count += 1
            position = end
        }
        return (count, position)
    }
}
