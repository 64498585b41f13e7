extension [UInt8] {
    package mutating func appendLittleEndian(_ number: some FixedWidthInteger) {
        Swift.withUnsafeBytes(of: number.littleEndian) { append(contentsOf: $0) }
    }

    /// Appends bytes behind their number (32 bits).
    package mutating func appendField(_ bytes: some Collection<UInt8>) {
        appendLittleEndian(UInt32(bytes.count))
        self += bytes
    }

    package mutating func appendField(_ text: String) { appendField(text.utf8) }
}

/// Reads the fields of a body; `nil` where it is too short.
package struct FieldReader {
    private let bytes: [UInt8]
    private var position = 0

    package init(_ bytes: some Collection<UInt8>) { self.bytes = Array(bytes) }

    package var isAtEnd: Bool { position == bytes.count }

    package mutating func byte() -> UInt8? { take(1)?.first }
    package mutating func flag() -> Bool? { byte().flatMap { $0 > 1 ? nil : $0 == 1 } }
    package mutating func uint32() -> UInt32? { number() }
    package mutating func uint64() -> UInt64? { number() }
    package mutating func int64() -> Int64? { number() }

    package mutating func field() -> [UInt8]? {
        guard let count = uint32() else { return nil }
        return take(Int(count)).map(Array.init)
    }

    /// A field as text; invalid UTF-8 is replaced.
    package mutating func text() -> String? { field().map { String(decoding: $0, as: UTF8.self) } }

    /// What lies behind the fields read so far.
    package mutating func rest() -> [UInt8] {
        defer { position = bytes.count }
        return Array(bytes[position...])
    }

    private mutating func number<Number: FixedWidthInteger>() -> Number? {
        guard let field = take(Number.bitWidth / 8) else { return nil }
        return field.reversed().reduce(0) { $0 << 8 | Number(truncatingIfNeeded: $1) }
    }

    private mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard bytes.count - position >= count else { return nil }
        defer { position += count }
        return bytes[position..<position + count]
    }
}
