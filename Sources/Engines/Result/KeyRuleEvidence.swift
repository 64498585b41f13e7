internal import MRProtocol

extension KeyRule {
    /// The key of a line, which comes without its `\n`; escapes are undone.
    public func key(of line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        switch self {
        case .wholeLine: line
        case .beforeLastTab: line[..<(line.lastIndex(of: 0x09) ?? line.endIndex)]
        case .beforeFirstTab: line[..<(line.firstIndex(of: 0x09) ?? line.endIndex)]
        case .escaped: KeyRule.unescaped(line[..<(line.firstIndex(of: 0x09) ?? line.endIndex)])
        }
    }

    private static func unescaped(_ key: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        guard key.contains(0x5c) else { return key }
        let bytes = GrowingBytes()
        // A line with a wrong escape sorts by the bytes it has.
        guard key.withUnsafeBytes({ EscapedPair.appendUnescaped($0, to: bytes) }) else { return key }
        return ArraySlice(bytes.bytes)
    }
}

/// Finds the `KeyRule` of a result whose job is not known, from where its lines are.
///
/// The partition function puts a key into one part. So a rule that takes something else for the key soon meets a
/// line in the wrong part: a wrong rule survives *n* lines that tell it from the right one with probability
/// `partCount`⁻ⁿ. Lines with one tab and no backslash do not tell the rules before the tab apart; neither does their order then.
/// A part is in key order, too: a rule by which it is not is none.
public struct KeyRuleEvidence: Sendable {
    /// Parts of the result.
    public let partCount: Int
    /// The rules that no line speaks against, the likeliest first; empty: these are not the parts of a result.
    public private(set) var fitting: [KeyRule] = [.beforeLastTab, .beforeFirstTab, .wholeLine, .escaped]

    /// The line before.
    private var last: (line: [UInt8], part: Int)?

    /// No line seen yet.
    public init(partCount: Int) { self.partCount = partCount }

    /// Takes in a line, without its `\n`, of part number `part`; those of a part come in their order.
    public mutating func add(_ line: ArraySlice<UInt8>, part: Int) {
        let before = last.flatMap { $0.part == part ? $0.line[...] : nil }
        fitting.removeAll { rule in
            let key = rule.key(of: line)
            if let before, key.lexicographicallyPrecedes(rule.key(of: before)) { return true }
            return key.withUnsafeBytes { Partitioner.partition(of: $0, count: partCount) } != part
        }
        last = (Array(line), part)
    }
}
