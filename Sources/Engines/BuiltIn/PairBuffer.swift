import CLinux
import FunctionProtocol
import MRProtocol

/// Pairs held together in memory until they are written as one sorted run.
protocol PairStore: AnyObject {
    /// Bytes of memory that the pairs take.
    var byteCount: Int { get }
    var isEmpty: Bool { get }
    /// Writes all pairs, sorted and combined, and forgets them.
    func drain(to run: RunFileWriter) throws(TaskFault)
}

/// Takes pairs as functions emit them.
protocol PackedPairStore: PairStore {
    /// Adds packed pairs, whole ones; returns how many they are.
    func add(packed pairs: UnsafeRawBufferPointer) -> Int
}

/// Pairs of any kind, each kept.
final class PairBuffer: PackedPairStore {
    private static let noValue = UInt32.max
    private static let firstRoomCount = 256
    /// Most entries whose room is kept for later ones: 12 MiB with that for sorting them.
    private static let largestKeptCapacity = 1 << 18
    /// How far ahead of an entry that is written keys are fetched.
    private static let aheadCount = 12

    private let partitionCount: Int
    private let combine: Combine
    private let arena = KeyArena()
    /// Room for `capacity` entries, and for as many while they are sorted.
    private var entries: UnsafeMutablePointer<SortEntry>
    private var capacity = PairBuffer.firstRoomCount
    private(set) var count = 0

    init(partitionCount: Int, combine: Combine) {
        self.partitionCount = partitionCount
        self.combine = combine
        entries = PairBuffer.makeRoom(for: capacity)
    }

    deinit { entries.deallocate() }

    var isEmpty: Bool { count == 0 }
    /// Twice the entries: sorting needs as much again.
    var byteCount: Int { arena.byteCount + 2 * count * MemoryLayout<SortEntry>.stride }

    /// Copies bytes that keys will point into.
    func store(_ bytes: UnsafeRawBufferPointer) -> UnsafePointer<UInt8> {
        let place = arena.reserve(bytes.count)
        UnsafeMutableRawPointer(place).copyMemory(
            from: bytes.baseAddress ?? UnsafeRawPointer(place),
            byteCount: bytes.count
        )
        return UnsafePointer(place)
    }

    /// Adds a key without a value that lies in bytes which `store` returned.
    @inline(__always)
    func addStored(key: UnsafePointer<UInt8>, byteCount: Int) {
        addEntry(SortEntry(key: key, keyByteCount: byteCount, tail: PairBuffer.noValue))
    }

    /// Adds a pair, copied.
    func add(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) {
        let valueByteCount = value?.count ?? 0
        let place = arena.reserve(key.count + valueByteCount)
        let target = UnsafeMutableRawPointer(place)
        if let start = key.baseAddress { target.copyMemory(from: start, byteCount: key.count) }
        if let start = value?.baseAddress {
            (target + key.count).copyMemory(from: start, byteCount: valueByteCount)
        }
        let tail = value == nil ? PairBuffer.noValue : UInt32(truncatingIfNeeded: valueByteCount)
        addEntry(SortEntry(key: UnsafePointer(place), keyByteCount: key.count, tail: tail))
    }

    /// Copies them all at once, with what lies between them: a value is right behind its key, as entries want it.
    func add(packed pairs: UnsafeRawBufferPointer) -> Int {
        let before = count
        let copy = UnsafeRawBufferPointer(start: store(pairs), count: pairs.count)
        _ = PackedPairs.forEach(in: copy) { key, value in
            // Not `nil`: it lies in the copy.
            guard let start = key.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
            let tail = value.map { UInt32(truncatingIfNeeded: $0.count) } ?? PairBuffer.noValue
            addEntry(SortEntry(key: start, keyByteCount: key.count, tail: tail))
        }
        return count - before
    }

    func drain(to run: RunFileWriter) throws(TaskFault) {
        let scratch = entries + capacity
        let groups = PartitionGroups(entries, count: count, scratch: scratch, partitionCount: partitionCount)
        let combined = try combine.begin(into: run)
        for group in groups.nonEmpty {
            let sorted = entries + group.start
            KeySorter.sort(sorted, count: group.count, scratch: scratch)
            if let combined {
                for index in 0..<group.count {
                    fetchKey(behind: index, of: sorted, count: group.count)
                    try combined.add(key: key(sorted[index]), value: value(sorted[index]))
                }
            } else {
                run.begin(partition: group.partition)
                try write(sorted, group.count, to: run)
            }
        }
        try combined?.finish()
        count = 0
        arena.removeAll()
    }

    /// Forgets all pairs; keeps the room for entries unless it is large.
    func removeAll() {
        if capacity > PairBuffer.largestKeptCapacity {
            entries.deallocate()
            capacity = PairBuffer.firstRoomCount
            entries = PairBuffer.makeRoom(for: capacity)
        }
        count = 0
        arena.removeAll()
    }

    private func write(
        _ sorted: UnsafeMutablePointer<SortEntry>,
        _ count: Int,
        to run: RunFileWriter
    ) throws(TaskFault) {
        guard case .builtIn(let kind) = combine else {
            for index in 0..<count {
                fetchKey(behind: index, of: sorted, count: count)
                try run.append(key: key(sorted[index]), value: value(sorted[index]))
            }
            return
        }
        let fold = Fold(kind, isReduce: false, output: run, memoryByteCount: Int.max)
        var isFirstOfKey = true
        for index in 0..<count {
            fetchKey(behind: index, of: sorted, count: count)
            let (key, value) = (key(sorted[index]), value(sorted[index]))
            if kind == .sum {
                let isLastOfKey = index + 1 == count || !sorted[index].hasKey(of: sorted[index + 1])
                let isAlone = isFirstOfKey && isLastOfKey
                isFirstOfKey = isLastOfKey
                if isAlone, let value, DecimalText.isPlain(value) {
                    // What the fold would make of it.
                    try fold.finish()
                    try run.append(key: key, value: value)
                    continue
                }
            }
            try fold.add(key: key, value: value)
        }
        try fold.finish()
    }

    /// Has the key of an entry to come fetched from memory while others are written: once sorted, they lie anywhere.
    @inline(__always)
    private func fetchKey(behind index: Int, of sorted: UnsafeMutablePointer<SortEntry>, count: Int) {
        prefetch_for_reading(sorted[min(index + PairBuffer.aheadCount, count - 1)].key)
    }

    @inline(__always)
    private func key(_ entry: SortEntry) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: entry.key, count: Int(entry.keyByteCount))
    }

    @inline(__always)
    private func value(_ entry: SortEntry) -> UnsafeRawBufferPointer? {
        guard entry.tail != PairBuffer.noValue else { return nil }
        return UnsafeRawBufferPointer(start: entry.key + Int(entry.keyByteCount), count: Int(entry.tail))
    }

    @inline(__always)
    private func addEntry(_ entry: SortEntry) {
        if count == capacity { grow() }
        entries[count] = entry
        count += 1
    }

    private func grow() {
        let larger = PairBuffer.makeRoom(for: 2 * capacity)
        larger.update(from: entries, count: count)
        entries.deallocate()
        entries = larger
        capacity *= 2
    }

    private static func makeRoom(for capacity: Int) -> UnsafeMutablePointer<SortEntry> {
        let room = LargePages.allocate(
            byteCount: 2 * capacity * MemoryLayout<SortEntry>.stride,
            alignment: MemoryLayout<SortEntry>.alignment
        )
        return room.bindMemory(to: SortEntry.self, capacity: 2 * capacity)
    }
}

/// Entries brought together by partition, in their order.
struct PartitionGroups {
    struct Group {
        var partition: Int
        var start: Int
        var count: Int
    }

    private(set) var nonEmpty: [Group] = []

    /// Reorders `entries` so that partitions follow one another.
    init(
        _ entries: UnsafeMutablePointer<SortEntry>,
        count: Int,
        scratch: UnsafeMutablePointer<SortEntry>,
        partitionCount: Int
    ) {
        guard partitionCount > 1 else {
            if count > 0 { nonEmpty = [Group(partition: 0, start: 0, count: count)] }
            return
        }
        var sizes = [Int](repeating: 0, count: partitionCount)
        var partitions = [UInt16](repeating: 0, count: count)
        for index in 0..<count {
            let key = UnsafeRawBufferPointer(
                start: entries[index].key,
                count: Int(entries[index].keyByteCount)
            )
            let partition = Partitioner.partition(of: key, count: partitionCount)
            partitions[index] = UInt16(truncatingIfNeeded: partition)
            sizes[partition] += 1
        }
        var start = 0
        for partition in 0..<partitionCount where sizes[partition] > 0 {
            nonEmpty.append(Group(partition: partition, start: start, count: sizes[partition]))
            let size = sizes[partition]
            sizes[partition] = start
            start += size
        }
        for index in 0..<count {
            let partition = Int(partitions[index])
            scratch[sizes[partition]] = entries[index]
            sizes[partition] += 1
        }
        entries.update(from: scratch, count: count)
    }
}
