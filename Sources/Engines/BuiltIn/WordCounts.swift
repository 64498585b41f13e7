import MRProtocol

/// Counts keys: what a map that emits 1 for each of its keys leaves after summing.
final class WordCounts: PairStore {
    private let partitionCount: Int
    private let table = WordTable()

    init(partitionCount: Int) { self.partitionCount = partitionCount }

    /// Number of keys.
    var count: Int { table.count }
    var isEmpty: Bool { count == 0 }
    var byteCount: Int { table.byteCount + 2 * table.count * MemoryLayout<SortEntry>.stride }

    /// Counts each word of a batch once.
    @inline(__always)
    func add(_ base: UnsafePointer<UInt8>, byteCount: Int, bounds: UnsafePointer<UInt32>, wordCount: Int) {
        table.add(base, byteCount: byteCount, bounds: bounds, wordCount: wordCount) {
            $0.pointee.payload += 1
        }
    }

    /// Counts a key `count` times.
    @inline(__always)
    func add(key: UnsafePointer<UInt8>, byteCount: Int, isRoomy: Bool, count: UInt64) {
        table.slot(of: key, byteCount: byteCount, isRoomy: isRoomy).pointee.payload += count
    }

    /// Forgets everything, as an attempt that failed may have left something.
    func removeAll() {
        if table.count > 0 { table.removeAll() }
    }

    /// Adds a number to the count of each key of a batch.
    ///
    /// - Returns: how many were added: all, unless a sum is over 64 bits; that number and those behind it are not added.
    @inline(__always)
    func add(
        _ base: UnsafePointer<UInt8>,
        byteCount: Int,
        bounds: UnsafePointer<UInt32>,
        numbers: UnsafePointer<Int>,
        count: Int
    ) -> Int {
        var index = 0
        var added = 0
        table.add(base, byteCount: byteCount, bounds: bounds, wordCount: count) { slot in
            let known = Int(bitPattern: UInt(slot.pointee.payload))
            let (sum, overflow) = known.addingReportingOverflow(numbers[index])
            if added == index, !overflow {
                slot.pointee.payload = UInt64(UInt(bitPattern: sum))
                added += 1
            }
            index += 1
        }
        return added
    }

    /// Adds a number to the count of a key; `false` when the sum is over 64 bits.
    @inline(__always)
    func add(number: Int, to key: UnsafeRawBufferPointer) -> Bool {
        guard let start = key.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return false }
        let slot = table.slot(of: start, byteCount: key.count, isRoomy: true)
        let (sum, overflow) = Int(bitPattern: UInt(slot.pointee.payload)).addingReportingOverflow(number)
        slot.pointee.payload = UInt64(UInt(bitPattern: sum))
        return !overflow
    }

    /// Hands all keys and their counts to `fold`, in byte order, and forgets them.
    func drain(into fold: Fold) throws(TaskFault) {
        let digits = GrowingBytes()
        try table.forEachSorted(partitionCount: 1, begin: { _ in }) { (key, slot) throws(TaskFault) in
            digits.removeAll()
            DecimalText.append(Int(bitPattern: UInt(slot.pointee.payload)), to: digits)
            try fold.add(key: key, value: digits.bytes)
        }
        table.removeAll()
    }

    /// Moves all keys and their counts into `pairs`.
    func drain(into pairs: PairBuffer) {
        let digits = GrowingBytes()
        table.forEach { key, slot in
            digits.removeAll()
            DecimalText.append(Int(bitPattern: UInt(slot.pointee.payload)), to: digits)
            pairs.add(key: key, value: digits.bytes)
        }
        table.removeAll()
    }

    func drain(to run: RunFileWriter) throws(TaskFault) {
        let digits = UnsafeMutablePointer<UInt8>.allocate(capacity: 20)
        defer { digits.deallocate() }
        try table.forEachSorted(partitionCount: partitionCount, begin: { run.begin(partition: $0) }) {
            (key, slot) throws(TaskFault) in
            let count = DecimalText.write(Int(bitPattern: UInt(slot.pointee.payload)), to: digits)
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
