import Glibc
import MRProtocol

/// Hadoop Streaming's `aggregate`: the key says how its values are brought together, and what it is called behind a colon.
///
/// `LongValueSum:k`, `LongValueMax:k`, `LongValueMin:k`, `DoubleValueSum:k`, `StringValueMax:k`, `StringValueMin:k`,
/// `UniqValueCount:k`, `ValueHistogram:k`. As a combine the key stays whole; as a reduce it is `k`.
///
/// **Source** Hadoop, package `org.apache.hadoop.mapreduce.lib.aggregate`.
final class Aggregate {
    private enum Kind: String, CaseIterable {
        case longValueSum = "LongValueSum"
        case longValueMax = "LongValueMax"
        case longValueMin = "LongValueMin"
        case doubleValueSum = "DoubleValueSum"
        case stringValueMax = "StringValueMax"
        case stringValueMin = "StringValueMin"
        case uniqValueCount = "UniqValueCount"
        case valueHistogram = "ValueHistogram"
    }

    private let memoryByteCount: Int
    private var kind: Kind?
    private var nameStart = 0
    private var number: Int64?
    private var double = 0.0
    private var text: [UInt8]?
    /// Values and how often they came.
    private var counts: [[UInt8]: Int64] = [:]
    private var countsByteCount = 0
    /// Values that a combine hands on as they are: the sum of doubles depends on its order.
    private var values: [[UInt8]] = []

    private let isReduce: Bool

    init(isReduce: Bool, memoryByteCount: Int) {
        self.isReduce = isReduce
        self.memoryByteCount = memoryByteCount
    }

    func add(_ value: UnsafeRawBufferPointer?, key: UnsafeRawBufferPointer) throws(TaskFault) {
        if kind == nil { try readKind(key) }
        guard let kind, let value else { throw fault(key, "it has no value") }
        switch kind {
        case .longValueSum: try addLong(value, key) { $0.addingReportingOverflow($1) }
        case .longValueMax: try addLong(value, key) { (max($0, $1), false) }
        case .longValueMin: try addLong(value, key) { (min($0, $1), false) }
        case .doubleValueSum:
            guard let parsed = Double(String(decoding: value, as: UTF8.self).trimmed) else {
                throw fault(key, "DoubleValueSum needs a number")
            }
            double += parsed
            if !isReduce { try keep(Array(value), key) }
        case .stringValueMax: keepText(value) { ValueOrder.isLessByBytes($0, $1) }
        case .stringValueMin: keepText(value) { ValueOrder.isLessByBytes($1, $0) }
        case .uniqValueCount: try count(Array(value), 1, key)
        case .valueHistogram: try addToHistogram(value, key)
        }
    }

    /// Hands on what the values of `key` make, and forgets them.
    func write(key: UnsafeRawBufferPointer, to output: any PairOutput) throws(TaskFault) {
        defer { reset() }
        let name = UnsafeRawBufferPointer(rebasing: key[min(nameStart, key.count)...])
        if isReduce { return try Aggregate.append(key: name, value: result, to: output) }
        switch kind {
        case .uniqValueCount, .valueHistogram:
            let ordered = counts.sorted { $0.key.lexicographicallyPrecedes($1.key) }
            for (value, count) in ordered {
                let text = kind == .uniqValueCount ? value : value + [0x09] + Array("\(count)".utf8)
                try Aggregate.append(key: key, value: text, to: output)
            }
        case .doubleValueSum:
            for value in values { try Aggregate.append(key: key, value: value, to: output) }
        default: try Aggregate.append(key: key, value: result, to: output)
        }
    }

    private var result: [UInt8] {
        switch kind {
        case .longValueSum, .longValueMax, .longValueMin: Array("\(number ?? 0)".utf8)
        case .doubleValueSum: Array("\(double)".utf8)
        case .stringValueMax, .stringValueMin: text ?? []
        case .uniqValueCount: Array("\(counts.count)".utf8)
        case .valueHistogram: Array(histogram.utf8)
        case nil: []
        }
    }

    /// Different values, least, median, greatest, average and standard deviation of their counts, as Hadoop reports them.
    private var histogram: String {
        let sorted = counts.values.sorted()
        guard let least = sorted.first, let greatest = sorted.last else { return "0" }
        let average = Double(sorted.reduce(0, +)) / Double(sorted.count)
        let squares = sorted.reduce(0.0) { $0 + (Double($1) - average) * (Double($1) - average) }
        let deviation = (squares / Double(sorted.count)).squareRoot()
        return "\(sorted.count)\t\(least)\t\(sorted[sorted.count / 2])\t\(greatest)\t\(average)\t\(deviation)"
    }

    private func reset() {
        kind = nil
        number = nil
        double = 0
        text = nil
        counts = [:]
        countsByteCount = 0
        values = []
    }

    private func readKind(_ key: UnsafeRawBufferPointer) throws(TaskFault) {
        let colon = key.firstIndex(of: 0x3a) ?? key.count
        let name = String(decoding: key[..<colon], as: UTF8.self)
        guard colon < key.count, let kind = Kind(rawValue: name) else {
            let known = Kind.allCases.map(\.rawValue).joined(separator: ", ")
            throw fault(key, "`aggregate` needs keys such as LongValueSum:word; it knows \(known)")
        }
        self.kind = kind
        nameStart = colon + 1
    }

    private func addLong(
        _ value: UnsafeRawBufferPointer,
        _ key: UnsafeRawBufferPointer,
        _ join: (Int64, Int64) -> (Int64, Bool)
    ) throws(TaskFault) {
        guard let parsed = Int64(String(decoding: value, as: UTF8.self).trimmed) else {
            throw fault(key, "\(kind?.rawValue ?? "") needs an integer of 64 bits")
        }
        guard let known = number else {
            number = parsed
            return
        }
        let (sum, overflow) = join(known, parsed)
        guard !overflow else { throw fault(key, "the sum is over 64 bits") }
        number = sum
    }

    private func keepText(
        _ value: UnsafeRawBufferPointer,
        isBefore: (UnsafeRawBufferPointer, UnsafeRawBufferPointer) -> Bool
    ) {
        guard let known = text else {
            text = Array(value)
            return
        }
        if known.withUnsafeBytes({ isBefore($0, value) }) { text = Array(value) }
    }

    /// A value, or what a combine made: a value, a tab and its count.
    private func addToHistogram(_ value: UnsafeRawBufferPointer, _ key: UnsafeRawBufferPointer)
        throws(TaskFault)
    {
        guard let tab = value.lastIndex(of: 0x09) else { return try count(Array(value), 1, key) }
        guard let times = Int64(String(decoding: value[(tab + 1)...], as: UTF8.self)) else {
            throw fault(key, "ValueHistogram needs a count behind the tab")
        }
        try count(Array(value[..<tab]), times, key)
    }

    private func count(_ value: [UInt8], _ times: Int64, _ key: UnsafeRawBufferPointer) throws(TaskFault) {
        if counts[value] == nil { try reserve(value, key) }
        counts[value] = TaskCounters.add(counts[value] ?? 0, times)
    }

    private func keep(_ value: [UInt8], _ key: UnsafeRawBufferPointer) throws(TaskFault) {
        try reserve(value, key)
        values.append(value)
    }

    private func reserve(_ value: [UInt8], _ key: UnsafeRawBufferPointer) throws(TaskFault) {
        countsByteCount += value.count + 64
        guard countsByteCount <= memoryByteCount else {
            throw fault(
                key,
                "the values of this key take over \(memoryByteCount) bytes; raise the memory limit"
            )
        }
    }

    private func fault(_ key: UnsafeRawBufferPointer, _ reason: String) -> TaskFault {
        .malformedValue(key: Array(key.prefix(256)), reason: reason)
    }

    private static func append(
        key: UnsafeRawBufferPointer,
        value: [UInt8],
        to output: any PairOutput
    ) throws(TaskFault) {
        var fault: TaskFault?
        value.withUnsafeBytes { value in
            do throws(TaskFault) { try output.append(key: key, value: value) } catch { fault = error }
        }
        if let fault { throw fault }
    }
}

extension String {
    /// Without blanks around it, as Java reads numbers.
    fileprivate var trimmed: Substring {
        self[...].trimming { $0 == " " || $0 == "\r" }
    }
}

extension Substring {
    fileprivate func trimming(_ isBlank: (Character) -> Bool) -> Substring {
        var rest = drop(while: isBlank)
        while let last = rest.last, isBlank(last) { rest.removeLast() }
        return rest
    }
}
