import Glibc
import MRProtocol

/// Values of one key, each kept once in the end.
struct DistinctValues {
    private let storage = GrowingBytes(capacity: 256)
    private var bounds: [(start: Int, count: Int)] = []
    /// The values so far came in ascending order, each once.
    private var isSorted = true

    var isEmpty: Bool { bounds.isEmpty }
    /// Memory that the values take.
    var byteCount: Int { storage.count + bounds.count * MemoryLayout<(Int, Int)>.stride }

    mutating func removeAll() {
        storage.removeAll()
        bounds.removeAll(keepingCapacity: true)
        isSorted = true
    }

    mutating func insert(_ value: UnsafeRawBufferPointer) {
        if let last = bounds.last {
            let previous = bytes(last)
            if previous.count == value.count && isEqual(previous, value) { return }
            if isSorted && !ValueOrder.isLessByBytes(previous, value) { isSorted = false }
        }
        bounds.append((storage.count, value.count))
        storage.append(value)
        if !isSorted && bounds.count & 1023 == 0 { sort() }
    }

    /// Hands out each value once, in byte order.
    mutating func forEachSorted(_ body: (UnsafeRawBufferPointer) -> Void) {
        sort()
        for bound in bounds { body(bytes(bound)) }
    }

    /// Writes a pair for each value, in byte order.
    mutating func writePairs(key: UnsafeRawBufferPointer, to output: any PairOutput) throws(TaskFault) {
        sort()
        for bound in bounds { try output.append(key: key, value: bytes(bound)) }
    }

    private mutating func sort() {
        guard !isSorted else { return }
        let sorted = bounds.sorted { ValueOrder.isLessByBytes(bytes($0), bytes($1)) }
        var unique: [(start: Int, count: Int)] = []
        for bound in sorted {
            if let last = unique.last, last.count == bound.count, isEqual(bytes(last), bytes(bound)) {
                continue
            }
            unique.append(bound)
        }
        bounds = unique
        isSorted = true
    }

    private func bytes(_ bound: (start: Int, count: Int)) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: storage.base + bound.start, count: bound.count)
    }

    private func isEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard let one = left.baseAddress, let other = right.baseAddress, left.count > 0 else { return true }
        return memcmp(one, other, left.count) == 0
    }
}
