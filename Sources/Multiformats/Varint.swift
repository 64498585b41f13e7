/// Unsigned varints as multiformats writes them: LEB128, at most nine bytes, always minimal.
///
/// - Source: multiformats/unsigned-varint.
public enum Varint: Sendable {
    /// Most bytes a varint may take (63 bits of value).
    public static let maxByteCount = 9

    /// Appends the minimal encoding of `value`.
    public static func append(_ value: UInt64, to bytes: inout [UInt8]) {
        var rest = value
        while rest >= 0x80 {
            bytes.append(UInt8(truncatingIfNeeded: rest) | 0x80)
            rest >>= 7
        }
        bytes.append(UInt8(rest))
    }

    /// The minimal encoding of `value`.
    public static func encode(_ value: UInt64) -> [UInt8] {
        var bytes: [UInt8] = []
        append(value, to: &bytes)
        return bytes
    }

    /// Number of bytes that the encoding of `value` takes.
    public static func byteCount(of value: UInt64) -> Int {
        max(1, (UInt64.bitWidth - value.leadingZeroBitCount + 6) / 7)
    }

    /// Reads one varint from the front of `bytes`.
    ///
    /// - Returns: the value and the number of bytes it took, or `nil` when `bytes` ends inside it.
    /// - Throws: `VarintFault.tooLong` past nine bytes, `.notMinimal` for a trailing zero group.
    public static func decode(_ bytes: some Collection<UInt8>) throws(VarintFault) -> (
        value: UInt64, byteCount: Int
    )? {
        var value: UInt64 = 0
        var count = 0
        for byte in bytes {
            if count == maxByteCount { throw .tooLong }
            value |= UInt64(byte & 0x7f) << UInt64(7 * count)
            count += 1
            if byte & 0x80 == 0 {
                if byte == 0 && count > 1 { throw .notMinimal }
                return (value, count)
            }
        }
        if count >= maxByteCount { throw .tooLong }
        return nil
    }
}

/// Why bytes are not an unsigned varint.
public enum VarintFault: Error, Equatable, Sendable {
    case tooLong
    case notMinimal
}
