import CLinux
import Glibc

/// A key to be sorted, with its first bytes at hand.
///
/// `GrowingBytes.padding` bytes behind the key must be readable.
struct SortEntry {
    /// Eight bytes of the key as a big-endian number, zero-filled behind its end.
    var prefix: UInt64
    var key: UnsafePointer<UInt8>
    var keyByteCount: UInt32
    /// What the owner wants: number of a slot, or byte count of the value behind the key.
    var tail: UInt32

    @inline(__always)
    init(key: UnsafePointer<UInt8>, keyByteCount: Int, tail: UInt32) {
        self.key = key
        self.keyByteCount = UInt32(truncatingIfNeeded: keyByteCount)
        self.tail = tail
        prefix = SortEntry.prefix(of: key, byteCount: keyByteCount)
    }

    /// Whether a sorted entry has the key of its neighbour.
    ///
    /// Equal keys have equal prefixes, even where sorting changed them.
    @inline(__always)
    func hasKey(of other: SortEntry) -> Bool {
        guard prefix == other.prefix, keyByteCount == other.keyByteCount else { return false }
        return memcmp(key, other.key, Int(keyByteCount)) == 0
    }

    @inline(__always)
    static func prefix(of key: UnsafePointer<UInt8>, byteCount: Int) -> UInt64 {
        if byteCount <= 0 { return 0 }
        let word = UnsafeRawPointer(key).loadUnaligned(as: UInt64.self).bigEndian
        return byteCount >= 8 ? word : word & ~(UInt64.max >> UInt64(8 * byteCount))
    }
}

/// Sorts keys by their bytes; equal keys keep their order.
///
/// Large ranges go through a least-significant-digit radix sort of the prefixes, whose ties go on eight bytes deeper;
/// small ones, and ties deeper than `maxRadixDepth`, through a merge sort.
struct KeySorter {
    /// How far ahead keys are fetched from memory, in entries, and how many at once.
    private static let tieDistance = 16
    private static let radixThreshold = 256
    private static let insertionThreshold = 12
    /// Bounds the recursion when many long keys share their beginning.
    private static let maxRadixDepth = 64
    private static let shifts: [UInt64] = [0, 9, 20, 31, 42, 53]
    private static let digitBits: [UInt64] = [9, 11, 11, 11, 11, 11]

    /// Sorts the `count` entries at `entries` in place; `scratch` has room for as many.
    static func sort(
        _ entries: UnsafeMutablePointer<SortEntry>,
        count: Int,
        scratch: UnsafeMutablePointer<SortEntry>
    ) {
        guard count >= radixThreshold else { return mergeSort(entries, count, scratch, depth: 0) }
        withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 6 << 11) { histogram in
            guard let histogram = histogram.baseAddress else { return }
            radixSort(entries, count, scratch, depth: 0, histogram)
        }
    }

    private static func radixSort(
        _ entries: UnsafeMutablePointer<SortEntry>,
        _ count: Int,
        _ scratch: UnsafeMutablePointer<SortEntry>,
        depth: Int,
        _ histogram: UnsafeMutablePointer<UInt32>
    ) {
        histogram.initialize(repeating: 0, count: 6 << 11)
        for index in 0..<count {
            let prefix = entries[index].prefix
            histogram[Int(prefix & 511)] += 1
            histogram[1 << 11 | Int(prefix >> 9 & 2047)] += 1
            histogram[2 << 11 | Int(prefix >> 20 & 2047)] += 1
            histogram[3 << 11 | Int(prefix >> 31 & 2047)] += 1
            histogram[4 << 11 | Int(prefix >> 42 & 2047)] += 1
            histogram[5 << 11 | Int(prefix >> 53 & 2047)] += 1
        }
        var source = entries
        var target = scratch
        for pass in 0..<6 {
            let counts = histogram + pass << 11
            let shift = shifts[pass]
            let mask = (UInt64(1) << digitBits[pass]) - 1
            // All keys agree in this digit: nothing moves.
            if Int(counts[Int(source[0].prefix >> shift & mask)]) == count { continue }
            var sum: UInt32 = 0
            for digit in 0...Int(mask) {
                let here = counts[digit]
                counts[digit] = sum
                sum += here
            }
            for index in 0..<count {
                let entry = source[index]
                let digit = Int(entry.prefix >> shift & mask)
                target[Int(counts[digit])] = entry
                counts[digit] += 1
            }
            swap(&source, &target)
        }
        if source != entries { entries.update(from: source, count: count) }
        settleTies(entries, count, scratch, depth: depth, histogram)
    }

    /// Sorts the ranges of equal prefixes.
    private static func settleTies(
        _ entries: UnsafeMutablePointer<SortEntry>,
        _ count: Int,
        _ scratch: UnsafeMutablePointer<SortEntry>,
        depth: Int,
        _ histogram: UnsafeMutablePointer<UInt32>
    ) {
        var start = 0
        while start < count {
            let prefix = entries[start].prefix
            var end = start + 1
            while end < count && entries[end].prefix == prefix { end += 1 }
            // Of the next ties, the keys that go on behind their prefix will be read.
            var ahead = start + tieDistance
            let last = min(ahead + end - start, ahead + tieDistance, count)
            while ahead < last {
                let entry = entries[ahead]
                if entry.prefix == entries[ahead - 1].prefix, Int(entry.keyByteCount) > depth + 8 {
                    prefetch_for_reading(entries[ahead - 1].key + depth)
                    prefetch_for_reading(entry.key + depth)
                }
                ahead += 1
            }
            if end - start > 1 {
                settleTie(entries + start, end - start, scratch, depth: depth, histogram)
            }
            start = end
        }
    }

    private static func settleTie(
        _ entries: UnsafeMutablePointer<SortEntry>,
        _ count: Int,
        _ scratch: UnsafeMutablePointer<SortEntry>,
        depth: Int,
        _ histogram: UnsafeMutablePointer<UInt32>
    ) {
        // Keys that end inside the prefix differ in length only, and come before the longer ones.
        let ended = moveEndedToFront(entries, count, scratch, end: depth + 8)
        if !isOrderedByLength(entries, ended) { mergeSort(entries, ended, scratch, depth: depth) }
        let rest = entries + ended
        let restCount = count - ended
        guard restCount > 1 else { return }
        if restCount < radixThreshold || depth + 8 >= maxRadixDepth {
            return mergeSort(rest, restCount, scratch, depth: depth + 8)
        }
        for index in 0..<restCount {
            let at = depth + 8
            prefetch_for_reading(rest[min(index + tieDistance, restCount - 1)].key + at)
            rest[index].prefix = SortEntry.prefix(
                of: rest[index].key + at,
                byteCount: Int(rest[index].keyByteCount) - at
            )
        }
        radixSort(rest, restCount, scratch, depth: depth + 8, histogram)
    }

    private static func isOrderedByLength(_ entries: UnsafeMutablePointer<SortEntry>, _ count: Int) -> Bool {
        var index = 1
        while index < count {
            if entries[index].keyByteCount < entries[index - 1].keyByteCount { return false }
            index += 1
        }
        return true
    }

    /// Moves the keys of at most `end` bytes before the others, both in their order, and returns their number.
    private static func moveEndedToFront(
        _ entries: UnsafeMutablePointer<SortEntry>,
        _ count: Int,
        _ scratch: UnsafeMutablePointer<SortEntry>,
        end: Int
    ) -> Int {
        var ended = 0
        var longer = 0
        for index in 0..<count {
            let entry = entries[index]
            if Int(entry.keyByteCount) <= end {
                entries[ended] = entry
                ended += 1
            } else {
                scratch[longer] = entry
                longer += 1
            }
        }
        if longer < count { (entries + ended).update(from: scratch, count: longer) }
        return ended
    }

    /// Sorts by the bytes from `depth` on, with whole comparisons.
    private static func mergeSort(
        _ entries: UnsafeMutablePointer<SortEntry>,
        _ count: Int,
        _ scratch: UnsafeMutablePointer<SortEntry>,
        depth: Int
    ) {
        guard count > insertionThreshold else { return insertionSort(entries, count, depth: depth) }
        let middle = count / 2
        mergeSort(entries, middle, scratch, depth: depth)
        mergeSort(entries + middle, count - middle, scratch, depth: depth)
        if !isLess(entries[middle], entries[middle - 1], depth: depth) { return }
        scratch.update(from: entries, count: middle)
        var left = 0
        var right = middle
        var out = 0
        while left < middle && right < count {
            if isLess(entries[right], scratch[left], depth: depth) {
                entries[out] = entries[right]
                right += 1
            } else {
                entries[out] = scratch[left]
                left += 1
            }
            out += 1
        }
        (entries + out).update(from: scratch + left, count: middle - left)
    }

    private static func insertionSort(_ entries: UnsafeMutablePointer<SortEntry>, _ count: Int, depth: Int) {
        var index = 1
        while index < count {
            let entry = entries[index]
            var place = index
            while place > 0 && isLess(entry, entries[place - 1], depth: depth) {
                entries[place] = entries[place - 1]
                place -= 1
            }
            entries[place] = entry
            index += 1
        }
    }

    /// Compares keys that agree in their first `depth` bytes; a prefix decides only at depth 0, where it is current.
    @inline(__always)
    private static func isLess(_ left: SortEntry, _ right: SortEntry, depth: Int) -> Bool {
        if depth == 0 && left.prefix != right.prefix { return left.prefix < right.prefix }
        return KeyOrder.isLess(
            left.key,
            Int(left.keyByteCount),
            right.key,
            Int(right.keyByteCount),
            agreeing: depth
        )
    }
}

/// Byte order of keys: as `memcmp`, a key before its extensions.
enum KeyOrder {
    @inline(__always)
    static func isLess(
        _ left: UnsafePointer<UInt8>,
        _ leftByteCount: Int,
        _ right: UnsafePointer<UInt8>,
        _ rightByteCount: Int,
        agreeing: Int = 0
    ) -> Bool {
        compare(left, leftByteCount, right, rightByteCount, agreeing: agreeing) < 0
    }

    /// Negative when `left` comes first, 0 when both are equal; their first `agreeing` bytes are not looked at.
    @inline(__always)
    static func compare(
        _ left: UnsafePointer<UInt8>,
        _ leftByteCount: Int,
        _ right: UnsafePointer<UInt8>,
        _ rightByteCount: Int,
        agreeing: Int = 0
    ) -> Int {
        let from = min(agreeing, leftByteCount, rightByteCount)
        let order = memcmp(left + from, right + from, min(leftByteCount, rightByteCount) - from)
        return order != 0 ? Int(order) : leftByteCount - rightByteCount
    }
}
