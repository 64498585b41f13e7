import MRProtocol

/// Counts keys: what a map that emits 1 for each of its keys leaves after summing.
final class WordCounts: PairStore {
    private let partitionCount: Int
    private let table = WordTable()

    init(partitionCount: Int) { self.partitionCount = partitionCount }

    var isEmpty: Bool { table.count == 0 }
    var byteCount: Int { table.byteCount + 2 * table.count * MemoryLayout<SortEntry>.stride }

    /// Counts each word of a batch once.
    @inline(__always)
    func add(_ base: UnsafePointer<UInt8>, byteCount: Int, bounds: UnsafePointer<UInt32>, wordCount: Int) {
        table.add(base, byteCount: byteCount, bounds: bounds, wordCount: wordCount) { $0.pointee.payload += 1 }
    }

    /// Counts a key `count` times.
    @inline(__always)
    func add(key: UnsafePointer<UInt8>, byteCount: Int, isRoomy: Bool, count: UInt64) {
        table.slot(of: key, byteCount: byteCount, isRoomy: isRoomy).pointee.payload += count
    }

    func drain(to run: RunFileWriter) throws(TaskFault) {
        let digits = UnsafeMutablePointer<UInt8>.allocate(capacity: 20)
        defer { digits.deallocate() }
        try table.forEachSorted(partitionCount: partitionCount, begin: { run.begin(partition: $0) }) {
            (key, slot) throws(TaskFault) in
            let count = DecimalText.write(Int(slot.pointee.payload), to: digits)
            try run.append(key: key, value: UnsafeRawBufferPointer(start: digits, count: count))
        }
        table.removeAll()
    }
}

extension WordTable {
    /// Hands out all keys by partition and in byte order.
    func forEachSorted(
        partitionCount: Int,
        begin: (Int) -> Void,
        _ body: (UnsafeRawBufferPointer, UnsafeMutablePointer<WordSlot>) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        let entries = UnsafeMutablePointer<SortEntry>.allocate(capacity: max(1, 2 * count))
        defer { entries.deallocate() }
        let scratch = entries + count
        collect(into: entries)
        let groups = PartitionGroups(entries, count: count, scratch: scratch, partitionCount: partitionCount)
        for group in groups.nonEmpty {
            KeySorter.sort(entries + group.start, count: group.count, scratch: scratch)
            begin(group.partition)
            for index in group.start..<group.start + group.count {
                let entry = entries[index]
                let key = UnsafeRawBufferPointer(start: entry.key, count: Int(entry.keyByteCount))
                try body(key, slots + Int(entry.tail))
            }
        }
    }
}
