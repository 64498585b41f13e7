import Glibc
import MRProtocol

/// Folds sorted pairs key by key and hands the results on.
///
/// As a combine it hands on pairs that can be folded again; as a reduce, what the result shows.
final class Fold: PairFold {
    private let kind: FoldKind
    private let isReduce: Bool
    private let output: any PairOutput
    /// Most bytes that the values of one key may take where they must be held together.
    private let memoryByteCount: Int

    private let key = GrowingBytes()
    private var hasKey = false
    /// The value so far: greatest, smallest, joined, or the values one behind the other.
    private let value = GrowingBytes()
    private var hasValue = false
    private var total = 0
    private var count = 0
    /// Sums that a plain number cannot hold.
    private var columns: [Int128] = []
    private var distinct = DistinctValues()
    private var top: TopPairs?
    private var aggregate: Aggregate?

    private(set) var keyCount: UInt64 = 0
    private(set) var pairCount: UInt64 = 0

    init(_ kind: FoldKind, isReduce: Bool, output: any PairOutput, memoryByteCount: Int) {
        self.kind = kind
        self.isReduce = isReduce
        self.output = output
        self.memoryByteCount = max(memoryByteCount, 1 << 20)
        if case .top(let count) = kind { top = TopPairs(count: count) }
        if kind == .aggregate {
            aggregate = Aggregate(isReduce: isReduce, memoryByteCount: self.memoryByteCount)
        }
    }

    /// Takes the next pair; keys come in byte order.
    @inline(__always)
    func add(key newKey: UnsafeRawBufferPointer, value newValue: UnsafeRawBufferPointer?) throws(TaskFault) {
        pairCount += 1
        if !hasKey || !isCurrent(newKey) {
            try endKey()
            key.removeAll()
            key.append(newKey)
            hasKey = true
            keyCount += 1
        }
        switch kind {
        case .identity: try output.append(key: newKey, value: newValue)
        case .sum, .top: try addToSum(newValue)
        case .count: count += 1
        case .min, .max: keepExtreme(newValue)
        case .list: try join(newValue)
        case .aggregate: try aggregate?.add(newValue, key: newKey)
        case .distinct:
            guard let newValue else { return }
            distinct.insert(newValue)
            if distinct.byteCount > memoryByteCount { throw tooManyValues() }
        }
    }

    /// Hands on the last key.
    func finish() throws(TaskFault) {
        try endKey()
        hasKey = false
        if let top { try top.write(to: output) }
    }

    @inline(__always)
    private func isCurrent(_ other: UnsafeRawBufferPointer) -> Bool {
        guard other.count == key.count else { return false }
        guard let start = other.baseAddress else { return true }
        return memcmp(start, key.base, other.count) == 0
    }

    private func endKey() throws(TaskFault) {
        guard hasKey else { return }
        switch kind {
        case .identity: break
        case .sum:
            writeSum()
            try output.append(key: key.bytes, value: value.bytes)
        case .top:
            guard columns.isEmpty else { throw malformed("`top` orders by one number") }
            top?.insert(key: key.bytes, count: total)
        case .count:
            DecimalText.append(count, to: value)
            try output.append(key: key.bytes, value: value.bytes)
        case .min, .max, .list:
            try output.append(key: key.bytes, value: hasValue ? value.bytes : nil)
        case .distinct: try writeDistinct()
        case .aggregate: try aggregate?.write(key: key.bytes, to: output)
        }
        value.removeAll()
        hasValue = false
        total = 0
        count = 0
        if !columns.isEmpty { columns = [] }
    }

    // MARK: Sums

    @inline(__always)
    private func addToSum(_ newValue: UnsafeRawBufferPointer?) throws(TaskFault) {
        if columns.isEmpty, let newValue, let number = DecimalText.short(newValue) {
            let (sum, overflow) = total.addingReportingOverflow(number)
            if !overflow {
                total = sum
                count += 1
                return
            }
        }
        try addColumns(newValue)
    }

    /// Adds numbers separated by spaces, column by column.
    private func addColumns(_ newValue: UnsafeRawBufferPointer?) throws(TaskFault) {
        guard let newValue else { throw malformed("`sum` needs a number, but the pair has no value") }
        var numbers: [Int128] = []
        for column in newValue.split(separator: 0x20, omittingEmptySubsequences: false) {
            guard let number = DecimalText.wide(UnsafeRawBufferPointer(rebasing: column)) else {
                throw malformed("`sum` needs decimal integers")
            }
            numbers.append(number)
        }
        if columns.isEmpty {
            columns = count > 0 ? [Int128(total)] : [Int128](repeating: 0, count: numbers.count)
        }
        guard numbers.count == columns.count else {
            throw malformed("values with different numbers of columns")
        }
        for index in numbers.indices {
            let (sum, overflow) = columns[index].addingReportingOverflow(numbers[index])
            if overflow { throw malformed("the sum is over 128 bits") }
            columns[index] = sum
        }
    }

    private func writeSum() {
        guard !columns.isEmpty else { return DecimalText.append(total, to: value) }
        for (index, column) in columns.enumerated() {
            if index > 0 { value.append(0x20) }
            value.append(contentsOf: Array(String(column).utf8))
        }
    }

    // MARK: Other folds

    private func keepExtreme(_ newValue: UnsafeRawBufferPointer?) {
        guard let newValue else { return }
        if hasValue {
            let better =
                kind == .min
                ? ValueOrder.isLess(newValue, value.bytes) : ValueOrder.isLess(value.bytes, newValue)
            guard better else { return }
        }
        value.removeAll()
        value.append(newValue)
        hasValue = true
    }

    private func join(_ newValue: UnsafeRawBufferPointer?) throws(TaskFault) {
        guard let newValue else { return }
        if hasValue { value.append(0x2c) }
        value.append(newValue)
        hasValue = true
        if value.count > memoryByteCount { throw tooManyValues() }
    }

    private func writeDistinct() throws(TaskFault) {
        if distinct.isEmpty { return try output.append(key: key.bytes, value: nil) }
        if isReduce {
            distinct.forEachSorted { item in
                if hasValue { value.append(0x2c) }
                value.append(item)
                hasValue = true
            }
            try output.append(key: key.bytes, value: value.bytes)
        } else {
            let keyBytes = key.bytes
            try distinct.writePairs(key: keyBytes, to: output)
        }
        distinct.removeAll()
    }

    private func malformed(_ reason: String) -> TaskFault {
        .malformedValue(key: Array(key.bytes.prefix(256)), reason: reason)
    }

    private func tooManyValues() -> TaskFault {
        malformed("the values of this key take over \(memoryByteCount) bytes; raise the memory limit")
    }
}

/// The order that `min` and `max` use: integers by size, before anything else in byte order.
enum ValueOrder {
    static func isLess(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        let one = DecimalText.wide(left)
        let other = DecimalText.wide(right)
        switch (one, other) {
        case (let one?, let other?) where one != other: return one < other
        case (_?, nil): return true
        case (nil, _?): return false
        default: return isLessByBytes(left, right)
        }
    }

    static func isLessByBytes(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        let shared = min(left.count, right.count)
        if shared > 0, let one = left.baseAddress, let other = right.baseAddress {
            let order = memcmp(one, other, shared)
            if order != 0 { return order < 0 }
        }
        return left.count < right.count
    }
}
