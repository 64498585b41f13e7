/// One pair as a run file holds it.
///
/// **Layout**: uvarint length of the key; uvarint length of the value plus 1, or 0 for no value; the key; the value.
public struct RunPair {
    /// Bytes of the smallest pair.
    public static let minByteCount = 2
    /// Longest key or value in bytes.
    public static let maxFieldByteCount = 1 << 30
    /// Most bytes of the two lengths.
    public static let maxHeaderByteCount = 10

    /// Bytes of the two lengths.
    public var headerByteCount: Int
    /// Bytes of the key.
    public var keyByteCount: Int
    /// -1: the pair has no value.
    public var valueByteCount: Int

    /// Bytes of the whole pair.
    @inlinable
    public var byteCount: Int { headerByteCount + keyByteCount + max(0, valueByteCount) }

    /// Describes a pair.
    @inlinable
    public init(headerByteCount: Int, keyByteCount: Int, valueByteCount: Int) {
        self.headerByteCount = headerByteCount
        self.keyByteCount = keyByteCount
        self.valueByteCount = valueByteCount
    }

    /// Writes the lengths to `target`, which has room for `maxHeaderByteCount` bytes, and returns their byte count.
    @inlinable
    public static func writeHeader(
        keyByteCount: Int,
        valueByteCount: Int,
        to target: UnsafeMutablePointer<UInt8>
    ) -> Int {
        let first = writeVarint(keyByteCount, to: target)
        return first + writeVarint(valueByteCount + 1, to: target + first)
    }

    @usableFromInline
    static func writeVarint(_ value: Int, to target: UnsafeMutablePointer<UInt8>) -> Int {
        var rest = value
        var count = 0
        while rest >= 0x80 {
            target[count] = UInt8(truncatingIfNeeded: rest) | 0x80
            rest >>= 7
            count += 1
        }
        target[count] = UInt8(truncatingIfNeeded: rest)
        return count + 1
    }

    /// Reads the lengths at `source`; `nil` when `byteCount` bytes are too few for them.
    ///
    /// - Throws: `RunFault.badPair` when they are no minimal varints or over `maxFieldByteCount`.
    @inlinable
    public static func readHeader(_ source: UnsafePointer<UInt8>, byteCount: Int) throws(RunFault) -> RunPair?
    {
        if byteCount >= 2, source[0] < 0x80, source[1] < 0x80 {
            return RunPair(
                headerByteCount: 2,
                keyByteCount: Int(source[0]),
                valueByteCount: Int(source[1]) - 1
            )
        }
        guard let key = try readVarint(source, byteCount: byteCount) else { return nil }
        let rest = byteCount - key.byteCount
        guard let value = try readVarint(source + key.byteCount, byteCount: rest) else { return nil }
        guard key.value <= maxFieldByteCount, value.value <= maxFieldByteCount + 1 else { throw .badPair }
        return RunPair(
            headerByteCount: key.byteCount + value.byteCount,
            keyByteCount: key.value,
            valueByteCount: value.value - 1
        )
    }

    @usableFromInline
    static func readVarint(
        _ source: UnsafePointer<UInt8>,
        byteCount: Int
    ) throws(RunFault) -> (value: Int, byteCount: Int)? {
        var value = 0
        for index in 0..<min(byteCount, 5) {
            let byte = source[index]
            value |= Int(byte & 0x7f) << (7 * index)
            if byte < 0x80 {
                if byte == 0 && index > 0 { throw .badPair }
                return (value, index + 1)
            }
        }
        if byteCount >= 5 { throw .badPair }
        return nil
    }
}
