/// An IPv4 address.
public struct IPv4Address: Hashable, Sendable, CustomStringConvertible {
    /// Four bytes, in network order.
    public let bytes: [UInt8]

    /// Wraps four bytes; `nil` for another number.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 4 else { return nil }
        self.bytes = Array(bytes)
    }

    /// Parses four decimal numbers without leading zeros.
    public init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ".", maxSplits: 4, omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var bytes: [UInt8] = []
        for part in parts {
            guard let value = DecimalText.parse(part, as: UInt8.self) else { return nil }
            bytes.append(value)
        }
        self.bytes = bytes
    }

    /// Dotted decimal.
    public var description: String { bytes.map(String.init).joined(separator: ".") }
}

/// An IPv6 address without a zone.
public struct IPv6Address: Hashable, Sendable, CustomStringConvertible {
    /// Sixteen bytes, in network order.
    public let bytes: [UInt8]

    /// Wraps sixteen bytes; `nil` for another number.
    public init?(bytes: some Collection<UInt8>) {
        guard bytes.count == 16 else { return nil }
        self.bytes = Array(bytes)
    }

    /// Parses any form of RFC 4291 section 2.2, also with a dotted IPv4 tail.
    public init?(_ text: some StringProtocol) {
        guard text.utf8.count <= 45 else { return nil }
        let halves = IPv6Address.split(atDoubleColon: Array(text.utf8))
        switch halves.count {
        case 1:
            guard let bytes = IPv6Address.groups(halves[0], allowsDottedTail: true), bytes.count == 16 else {
                return nil
            }
            self.bytes = bytes
        case 2:
            guard let head = IPv6Address.groups(halves[0], allowsDottedTail: false),
                let tail = IPv6Address.groups(halves[1], allowsDottedTail: true),
                head.count + tail.count <= 14
            else { return nil }
            bytes = head + [UInt8](repeating: 0, count: 16 - head.count - tail.count) + tail
        default: return nil
        }
    }

    private static func split(atDoubleColon text: [UInt8]) -> [ArraySlice<UInt8>] {
        let colon = UInt8(ascii: ":")
        let positions = text.indices.dropLast().filter { text[$0] == colon && text[$0 + 1] == colon }
        guard let first = positions.first else { return [text[...]] }
        guard positions.count == 1 else { return [] }
        return [text[..<first], text[(first + 2)...]]
    }

    private static func groups(_ text: ArraySlice<UInt8>, allowsDottedTail: Bool) -> [UInt8]? {
        if text.isEmpty { return [] }
        let parts = text.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
        var bytes: [UInt8] = []
        for (index, part) in parts.enumerated() {
            if part.contains(UInt8(ascii: ".")) {
                guard allowsDottedTail, index == parts.count - 1,
                    let tail = IPv4Address(String(decoding: part, as: UTF8.self))
                else { return nil }
                bytes += tail.bytes
            } else {
                guard 1...4 ~= part.count, !part.contains(UInt8(ascii: "+")),
                    !part.contains(UInt8(ascii: "-")),
                    let value = UInt16(String(decoding: part, as: UTF8.self), radix: 16)
                else { return nil }
                bytes += [UInt8(value >> 8), UInt8(value & 0xff)]
            }
        }
        return bytes
    }

    /// RFC 5952: lower case, the longest run of zero groups as `::`, IPv4-mapped addresses with a dotted tail.
    public var description: String {
        if bytes.prefix(10).allSatisfy({ $0 == 0 }), bytes[10] == 0xff, bytes[11] == 0xff {
            return "::ffff:" + bytes[12...].map(String.init).joined(separator: ".")
        }
        let groups = stride(from: 0, to: 16, by: 2).map { UInt16(bytes[$0]) << 8 | UInt16(bytes[$0 + 1]) }
        let zeros = IPv6Address.longestZeroRun(in: groups)
        let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
        if zeros.count < 2 { return text(groups[...]) }
        return text(groups[..<zeros.lowerBound]) + "::" + text(groups[zeros.upperBound...])
    }

    private static func longestZeroRun(in groups: [UInt16]) -> Range<Int> {
        var best = 0..<0
        var start = 0
        for index in groups.indices {
            if groups[index] != 0 {
                start = index + 1
            } else if index + 1 - start > best.count {
                best = start..<index + 1
            }
        }
        return best
    }
}

/// Numbers as addresses write them.
enum DecimalText {
    /// Digits only, no sign, no leading zero; `nil` for anything else or for a value out of range.
    static func parse<Number: FixedWidthInteger>(_ text: some StringProtocol, as type: Number.Type) -> Number?
    {
        guard let first = text.utf8.first, text.utf8.allSatisfy({ 0x30...0x39 ~= $0 }) else { return nil }
        guard first != 0x30 || text.utf8.count == 1 else { return nil }
        return Number(text)
    }
}
