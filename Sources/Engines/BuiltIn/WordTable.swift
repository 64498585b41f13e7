import Glibc
import MRProtocol

/// One key of a `WordTable`.
struct WordSlot {
    /// First eight bytes of a key of at most 16 bytes, zero-filled; for a longer one its hash.
    var low: UInt64
    /// Next eight bytes; for a longer key its address.
    var high: UInt64
    /// A count, or the newest node of a chain of files.
    var payload: UInt64
    /// Byte count of the key plus 1; 0: the slot is free.
    var mark: UInt32
    /// Bits of the hash that choose the slot.
    var hash: UInt32
}

/// An open-addressing table of byte keys; keys of up to 16 bytes lie in the slots.
///
/// Words are added in batches: the first pass hashes and touches the slots, the second one counts, so that the
/// processor waits for many slots at once. The hash is seeded for each process: no input can be made to collide.
final class WordTable {
    static let inlineByteCount = 16
    static let batchCount = 256
    private static let firstSlotCount = 1 << 10
    private static let largePageByteCount = 2 << 20

    private static let seeds: (UInt64, UInt64) = (.random(in: .min ... .max), .random(in: .min ... .max))

    private(set) var slots: UnsafeMutablePointer<WordSlot>
    private(set) var slotCount = WordTable.firstSlotCount
    private(set) var count = 0
    private let arena = KeyArena()
    private let seedLow = WordTable.seeds.0
    private let seedHigh = WordTable.seeds.1

    private let low: UnsafeMutablePointer<UInt64> = .allocate(capacity: WordTable.batchCount)
    private let high: UnsafeMutablePointer<UInt64> = .allocate(capacity: WordTable.batchCount)
    private let hashes: UnsafeMutablePointer<UInt64> = .allocate(capacity: WordTable.batchCount)
    private let touched: UnsafeMutablePointer<UInt64> = .allocate(capacity: WordTable.batchCount)

    init() {
        slots = WordTable.makeSlots(slotCount)
    }

    deinit {
        slots.deallocate()
        low.deallocate()
        high.deallocate()
        hashes.deallocate()
        touched.deallocate()
    }

    /// Memory that the keys need: slots are at most four times as many.
    ///
    /// Not the slots held: those that an emptied table keeps must not make it spill again at once.
    var byteCount: Int { 4 * count * MemoryLayout<WordSlot>.stride + arena.byteCount }

    /// Forgets all keys; keeps the slots unless they are many more than were needed.
    func removeAll() {
        let isTooLarge = slotCount > WordTable.firstSlotCount && 16 * count < slotCount
        count = 0
        arena.removeAll()
        if isTooLarge {
            slots.deallocate()
            slotCount = WordTable.firstSlotCount
            slots = WordTable.makeSlots(slotCount)
            return
        }
        memset(slots, 0, slotCount * MemoryLayout<WordSlot>.stride)
    }

    /// Adds the words `bounds[2 i] ..< bounds[2 i + 1]` of `base`, at most `batchCount` of them.
    ///
    /// `update` gets the slot of each; its payload is 0 when the key is new.
    @inline(__always)
    func add(
        _ base: UnsafePointer<UInt8>,
        byteCount: Int,
        bounds: UnsafePointer<UInt32>,
        wordCount: Int,
        update: (UnsafeMutablePointer<WordSlot>) -> Void
    ) {
        if 2 * (count + wordCount) > slotCount { grow() }
        let slots = slots
        let mask = UInt64(slotCount - 1)
        for index in 0..<wordCount {
            let start = Int(bounds[2 * index])
            let length = Int(bounds[2 * index + 1]) - start
            if length <= WordTable.inlineByteCount {
                load(base + start, length, isRoomy: start + 16 <= byteCount, to: index)
                hashes[index] = hash(low[index], high[index], length)
            } else {
                hashes[index] = longHash(base + start, length)
                low[index] = hashes[index]
            }
            touched[index] = slots[Int(hashes[index] & mask)].low
        }
        for index in 0..<wordCount {
            let start = Int(bounds[2 * index])
            let length = Int(bounds[2 * index + 1]) - start
            let slot =
                length <= WordTable.inlineByteCount
                ? find(low[index], high[index], length, hashes[index])
                : findLong(base + start, length, hashes[index])
            update(slot)
        }
    }

    /// The slot of one key; its payload is 0 when the key is new.
    @inline(__always)
    func slot(of key: UnsafePointer<UInt8>, byteCount: Int, isRoomy: Bool) -> UnsafeMutablePointer<WordSlot> {
        if 2 * (count + 1) > slotCount { grow() }
        guard byteCount <= WordTable.inlineByteCount else {
            return findLong(key, byteCount, longHash(key, byteCount))
        }
        load(key, byteCount, isRoomy: isRoomy, to: 0)
        return find(low[0], high[0], byteCount, hash(low[0], high[0], byteCount))
    }

    /// Where the bytes of the key in `slot` lie, padded as `SortEntry` needs it.
    @inline(__always)
    func key(of slot: UnsafeMutablePointer<WordSlot>) -> UnsafeRawBufferPointer {
        let byteCount = Int(slot.pointee.mark) - 1
        if byteCount <= WordTable.inlineByteCount {
            return UnsafeRawBufferPointer(start: UnsafeRawPointer(slot), count: byteCount)
        }
        return UnsafeRawBufferPointer(
            start: UnsafeRawPointer(bitPattern: UInt(slot.pointee.high)),
            count: byteCount
        )
    }

    /// Fills `entries` with all keys, the number of the slot as tail.
    func collect(into entries: UnsafeMutablePointer<SortEntry>) {
        var next = 0
        for index in 0..<slotCount where slots[index].mark != 0 {
            let key = key(of: slots + index)
            guard let start = key.baseAddress?.assumingMemoryBound(to: UInt8.self) else { continue }
            entries[next] = SortEntry(
                key: start,
                keyByteCount: key.count,
                tail: UInt32(truncatingIfNeeded: index)
            )
            next += 1
        }
    }

    // MARK: Hashing

    @inline(__always)
    private func load(_ key: UnsafePointer<UInt8>, _ byteCount: Int, isRoomy: Bool, to index: Int) {
        if isRoomy {
            let raw = UnsafeRawPointer(key)
            let first = raw.loadUnaligned(as: UInt64.self)
            if byteCount <= 8 {
                low[index] = byteCount == 0 ? 0 : first & (UInt64.max &>> UInt64(64 &- 8 &* byteCount))
                high[index] = 0
            } else {
                let second = raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
                low[index] = first
                high[index] = second & (UInt64.max &>> UInt64(128 &- 8 &* byteCount))
            }
        } else {
            var pair: (UInt64, UInt64) = (0, 0)
            withUnsafeMutableBytes(of: &pair) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: key, count: byteCount))
            }
            low[index] = pair.0
            high[index] = pair.1
        }
    }

    @inline(__always)
    private func hash(_ low: UInt64, _ high: UInt64, _ byteCount: Int) -> UInt64 {
        mix(low ^ seedLow, high ^ seedHigh ^ UInt64(byteCount))
    }

    @inline(__always)
    private func mix(_ one: UInt64, _ other: UInt64) -> UInt64 {
        let product = one.multipliedFullWidth(by: other)
        return product.high ^ product.low
    }

    private func longHash(_ key: UnsafePointer<UInt8>, _ byteCount: Int) -> UInt64 {
        let raw = UnsafeRawPointer(key)
        var hash = UInt64(byteCount) ^ seedHigh
        var position = 0
        while position + 16 <= byteCount {
            let first = raw.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            let second = raw.loadUnaligned(fromByteOffset: position + 8, as: UInt64.self)
            hash = mix(first ^ hash ^ seedLow, second ^ seedHigh)
            position += 16
        }
        // The last 16 bytes again, some of them twice: every byte counts and nothing is read behind the end.
        let first = raw.loadUnaligned(fromByteOffset: byteCount - 16, as: UInt64.self)
        let second = raw.loadUnaligned(fromByteOffset: byteCount - 8, as: UInt64.self)
        return mix(first ^ hash ^ seedLow, second ^ seedHigh)
    }

    // MARK: Probing

    @inline(__always)
    private func find(
        _ low: UInt64,
        _ high: UInt64,
        _ byteCount: Int,
        _ hash: UInt64
    ) -> UnsafeMutablePointer<WordSlot> {
        let mark = UInt32(truncatingIfNeeded: byteCount + 1)
        let mask = slotCount - 1
        var index = Int(truncatingIfNeeded: hash) & mask
        while true {
            let slot = slots + index
            if slot.pointee.low == low && slot.pointee.high == high && slot.pointee.mark == mark {
                return slot
            }
            if slot.pointee.mark == 0 {
                count += 1
                slot.pointee = WordSlot(
                    low: low,
                    high: high,
                    payload: 0,
                    mark: mark,
                    hash: UInt32(truncatingIfNeeded: hash)
                )
                return slot
            }
            index = (index + 1) & mask
        }
    }

    private func findLong(
        _ key: UnsafePointer<UInt8>,
        _ byteCount: Int,
        _ hash: UInt64
    ) -> UnsafeMutablePointer<WordSlot> {
        let mark = UInt32(truncatingIfNeeded: byteCount + 1)
        let mask = slotCount - 1
        var index = Int(truncatingIfNeeded: hash) & mask
        while true {
            let slot = slots + index
            if slot.pointee.mark == 0 {
                count += 1
                let stored = UInt64(UInt(bitPattern: arena.store(key, byteCount)))
                slot.pointee = WordSlot(
                    low: hash,
                    high: stored,
                    payload: 0,
                    mark: mark,
                    hash: UInt32(truncatingIfNeeded: hash)
                )
                return slot
            }
            if slot.pointee.mark == mark, slot.pointee.low == hash,
                let stored = UnsafeRawPointer(bitPattern: UInt(slot.pointee.high)),
                memcmp(stored, key, byteCount) == 0
            {
                return slot
            }
            index = (index + 1) & mask
        }
    }

    private func grow() {
        var larger = slotCount
        while 2 * (count + WordTable.batchCount) > larger { larger *= 2 }
        let moved = WordTable.makeSlots(larger)
        for index in 0..<slotCount where slots[index].mark != 0 {
            var target = Int(slots[index].hash) & (larger - 1)
            while moved[target].mark != 0 { target = (target + 1) & (larger - 1) }
            moved[target] = slots[index]
        }
        slots.deallocate()
        slots = moved
        slotCount = larger
    }

    /// Free slots, on large pages when they are many: each word touches one of them.
    private static func makeSlots(_ count: Int) -> UnsafeMutablePointer<WordSlot> {
        let byteCount = count * MemoryLayout<WordSlot>.stride
        let start = UnsafeMutableRawPointer.allocate(
            byteCount: byteCount,
            alignment: byteCount >= largePageByteCount ? largePageByteCount : MemoryLayout<WordSlot>.stride
        )
        if byteCount >= largePageByteCount { madvise(start, byteCount, MADV_HUGEPAGE) }
        memset(start, 0, byteCount)
        return start.bindMemory(to: WordSlot.self, capacity: count)
    }
}
