import CLinux
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
    /// Byte count of the key plus 1.
    var mark: UInt32
    /// The hash that its place in the index comes from.
    var hash: UInt32
}

/// A hash table of byte keys; keys of up to 16 bytes lie in the slots.
///
/// Slots stand in the order in which their keys came, which in text packs the frequent words into a few pages. An
/// open-addressing index of four bytes a place leads to them: the number of a slot, counted from 1, in as many low
/// bits as the index has, above it the same bits of the hash; 0 is free. Words are added in batches of three passes
/// (hash, look up, count), each of which fetches ahead for the next one, so that the processor waits for many at
/// once. The hash is seeded for each process: no input can be made to collide.
final class WordTable {
    static let inlineByteCount = 16
    static let batchCount = 256
    private static let firstPlaceCount = 1 << 11

    private static let seeds: (UInt64, UInt64) = (.random(in: .min ... .max), .random(in: .min ... .max))

    /// Slots by number; the one at 0 is not used.
    private(set) var slots: UnsafeMutablePointer<WordSlot>
    private(set) var count = 0
    private var slotCapacity: Int
    private var index: UnsafeMutablePointer<UInt32>
    private var placeCount = WordTable.firstPlaceCount
    private let arena = KeyArena()
    private let seedLow = WordTable.seeds.0
    private let seedHigh = WordTable.seeds.1
    private let batch: UnsafeMutablePointer<Probe> = .allocate(capacity: WordTable.batchCount)

    /// A key on its way to its slot.
    private struct Probe {
        var low: UInt64
        var high: UInt64
        var hash: UInt64
        var start: UInt32
        var byteCount: UInt32
    }

    init() {
        index = WordTable.makeIndex(placeCount)
        slotCapacity = placeCount / 2
        slots = WordTable.makeSlots(slotCapacity)
    }

    deinit {
        slots.deallocate()
        index.deallocate()
        batch.deallocate()
    }

    /// Memory that the keys need: slots and their copy when they grow, four places each.
    ///
    /// Not the room held: what an emptied table keeps must not make it spill again at once.
    var byteCount: Int {
        count * (2 * MemoryLayout<WordSlot>.stride + 4 * MemoryLayout<UInt32>.stride) + arena.byteCount
    }

    /// Forgets all keys; keeps the room unless it is much more than was needed.
    func removeAll() {
        let isTooLarge = placeCount > WordTable.firstPlaceCount && 32 * count < placeCount
        count = 0
        arena.removeAll()
        guard isTooLarge else {
            memset(index, 0, placeCount * MemoryLayout<UInt32>.stride)
            return
        }
        index.deallocate()
        slots.deallocate()
        placeCount = WordTable.firstPlaceCount
        slotCapacity = placeCount / 2
        index = WordTable.makeIndex(placeCount)
        slots = WordTable.makeSlots(slotCapacity)
    }

    /// Adds the words `bounds[2 i] ..< bounds[2 i + 1]` of `base`, at most `batchCount` of them, none empty.
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
        if count + wordCount >= slotCapacity { grow() }
        let index = index
        let slots = slots
        let batch = batch
        let mask = UInt32(truncatingIfNeeded: placeCount - 1)
        for number in 0..<wordCount {
            let start = bounds[2 * number]
            let length = bounds[2 * number + 1] &- start
            let probe = probe(base, Int(start), Int(length), byteCount)
            batch[number] = probe
            prefetch_for_reading(index + Int(UInt32(truncatingIfNeeded: probe.hash) & mask))
        }
        for number in 0..<wordCount {
            let hash = UInt32(truncatingIfNeeded: batch[number].hash)
            var place = hash & mask
            // Past other keys, whose slots are not looked at.
            while index[Int(place)] != 0, (index[Int(place)] ^ hash) & ~mask != 0 {
                place = (place &+ 1) & mask
            }
            prefetch_for_reading(slots + Int(index[Int(place)] & mask))
        }
        for number in 0..<wordCount {
            update(slot(of: batch + number, base, index: index, slots: slots, mask: mask))
        }
    }

    /// The slot of one key; its payload is 0 when the key is new.
    @inline(__always)
    func slot(of key: UnsafePointer<UInt8>, byteCount: Int, isRoomy: Bool) -> UnsafeMutablePointer<WordSlot> {
        if count + 1 >= slotCapacity { grow() }
        batch[0] = probe(key, 0, byteCount, isRoomy ? max(byteCount, 16) : byteCount)
        let mask = UInt32(truncatingIfNeeded: placeCount - 1)
        return slot(of: batch, key, index: index, slots: slots, mask: mask)
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

    /// Hands out all keys in the order in which they came.
    func forEach(_ body: (UnsafeRawBufferPointer, UnsafeMutablePointer<WordSlot>) -> Void) {
        for number in 0..<count { body(key(of: slots + number + 1), slots + number + 1) }
    }

    /// Fills `entries` with all keys, the number of the slot as tail.
    func collect(into entries: UnsafeMutablePointer<SortEntry>) {
        for number in 0..<count {
            let key = key(of: slots + number + 1)
            guard let start = key.baseAddress?.assumingMemoryBound(to: UInt8.self) else { continue }
            entries[number] = SortEntry(
                key: start,
                keyByteCount: key.count,
                tail: UInt32(truncatingIfNeeded: number + 1)
            )
        }
    }

    // MARK: Hashing

    @inline(__always)
    private func probe(_ base: UnsafePointer<UInt8>, _ start: Int, _ length: Int, _ byteCount: Int) -> Probe {
        var low: UInt64
        var high: UInt64
        var hash: UInt64
        if length > WordTable.inlineByteCount {
            hash = longHash(base + start, length)
            low = hash
            high = 0
        } else {
            (low, high) = load(base + start, length, isRoomy: start + WordTable.inlineByteCount <= byteCount)
            hash = mix(low ^ seedLow, high ^ seedHigh ^ UInt64(truncatingIfNeeded: length))
        }
        return Probe(
            low: low,
            high: high,
            hash: hash,
            start: UInt32(truncatingIfNeeded: start),
            byteCount: UInt32(truncatingIfNeeded: length)
        )
    }

    /// Up to 16 bytes as two numbers, without a branch on how many.
    @inline(__always)
    private func load(_ key: UnsafePointer<UInt8>, _ byteCount: Int, isRoomy: Bool) -> (UInt64, UInt64) {
        guard isRoomy else {
            var pair: (UInt64, UInt64) = (0, 0)
            withUnsafeMutableBytes(of: &pair) {
                $0.copyMemory(from: UnsafeRawBufferPointer(start: key, count: byteCount))
            }
            return pair
        }
        let raw = UnsafeRawPointer(key)
        let first = raw.loadUnaligned(as: UInt64.self)
        let second = raw.loadUnaligned(fromByteOffset: 8, as: UInt64.self)
        let lowShift = UInt64(truncatingIfNeeded: max(0, 64 &- 8 &* byteCount))
        let highShift = UInt64(truncatingIfNeeded: 128 &- 8 &* byteCount)
        return (first & (UInt64.max >> lowShift), second & (UInt64.max >> highShift))
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
    private func slot(
        of probe: UnsafeMutablePointer<Probe>,
        _ base: UnsafePointer<UInt8>,
        index: UnsafeMutablePointer<UInt32>,
        slots: UnsafeMutablePointer<WordSlot>,
        mask: UInt32
    ) -> UnsafeMutablePointer<WordSlot> {
        let low = probe.pointee.low
        let high = probe.pointee.high
        let hash = UInt32(truncatingIfNeeded: probe.pointee.hash)
        let mark = probe.pointee.byteCount &+ 1
        let isLong = probe.pointee.byteCount > WordTable.inlineByteCount
        var place = hash & mask
        while true {
            let entry = index[Int(place)]
            if entry == 0 { return insert(probe, base, at: Int(place), mask: mask) }
            if (entry ^ hash) & ~mask == 0 {
                let slot = slots + Int(entry & mask)
                if slot.pointee.low == low && slot.pointee.mark == mark {
                    if !isLong && slot.pointee.high == high { return slot }
                    if isLong && isKey(slot, base + Int(probe.pointee.start)) { return slot }
                }
            }
            place = (place &+ 1) & mask
        }
    }

    private func isKey(_ slot: UnsafeMutablePointer<WordSlot>, _ key: UnsafePointer<UInt8>) -> Bool {
        let stored = self.key(of: slot)
        guard let start = stored.baseAddress else { return false }
        return memcmp(start, key, stored.count) == 0
    }

    @inline(never)
    private func insert(
        _ probe: UnsafeMutablePointer<Probe>,
        _ base: UnsafePointer<UInt8>,
        at place: Int,
        mask: UInt32
    ) -> UnsafeMutablePointer<WordSlot> {
        count += 1
        let byteCount = Int(probe.pointee.byteCount)
        var high = probe.pointee.high
        if byteCount > WordTable.inlineByteCount {
            high = UInt64(UInt(bitPattern: arena.store(base + Int(probe.pointee.start), byteCount)))
        }
        let hash = UInt32(truncatingIfNeeded: probe.pointee.hash)
        let slot = slots + count
        slot.initialize(
            to: WordSlot(
                low: probe.pointee.low,
                high: high,
                payload: 0,
                mark: UInt32(truncatingIfNeeded: byteCount + 1),
                hash: hash
            )
        )
        index[place] = UInt32(truncatingIfNeeded: count) | (hash & ~mask)
        return slot
    }

    /// Makes room for at least another batch.
    private func grow() {
        precondition(placeCount < 1 << 31, "a table of over two thousand million keys")
        let larger = WordTable.makeSlots(2 * slotCapacity)
        larger.update(from: slots, count: count + 1)
        slots.deallocate()
        slots = larger
        slotCapacity *= 2
        index.deallocate()
        placeCount *= 2
        index = WordTable.makeIndex(placeCount)
        let mask = UInt32(truncatingIfNeeded: placeCount - 1)
        for number in 1..<count + 1 {
            let hash = slots[number].hash
            var place = hash & mask
            while index[Int(place)] != 0 { place = (place &+ 1) & mask }
            index[Int(place)] = UInt32(truncatingIfNeeded: number) | (hash & ~mask)
        }
    }

    private static func makeSlots(_ count: Int) -> UnsafeMutablePointer<WordSlot> {
        let start = LargePages.allocate(
            byteCount: count * MemoryLayout<WordSlot>.stride,
            alignment: MemoryLayout<WordSlot>.stride
        )
        let slots = start.bindMemory(to: WordSlot.self, capacity: count)
        slots.initialize(to: WordSlot(low: 0, high: 0, payload: 0, mark: 1, hash: 0))
        return slots
    }

    private static func makeIndex(_ count: Int) -> UnsafeMutablePointer<UInt32> {
        let byteCount = count * MemoryLayout<UInt32>.stride
        let start = LargePages.allocate(byteCount: byteCount, alignment: MemoryLayout<UInt32>.alignment)
        memset(start, 0, byteCount)
        return start.bindMemory(to: UInt32.self, capacity: count)
    }
}
