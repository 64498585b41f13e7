/// RFC 4648 base32, lower case, without padding: the text of our CIDs.
public enum Base32: Sendable {
    private static let alphabet = Array("abcdefghijklmnopqrstuvwxyz234567".utf8)

    /// Encodes bytes; five bytes give eight characters.
    public static func encode(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count * 8 + 4) / 5)
        var buffer: UInt32 = 0
        var bitCount: UInt32 = 0
        for byte in bytes {
            buffer = buffer << 8 | UInt32(byte)
            bitCount += 8
            while bitCount >= 5 {
                bitCount -= 5
                text.append(alphabet[Int(buffer >> bitCount & 31)])
            }
        }
        if bitCount > 0 { text.append(alphabet[Int(buffer << (5 - bitCount) & 31)]) }
        return String(decoding: text, as: UTF8.self)
    }

    /// Decodes upper or lower case.
    ///
    /// - Returns: the bytes, or `nil` for a foreign character, an impossible length, or non-zero trailing bits.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard ![1, 3, 6].contains(text.count % 8) else { return nil }
        var bytes: [UInt8] = []
        var buffer: UInt32 = 0
        var bitCount: UInt32 = 0
        for character in text {
            let value: UInt8
            switch character {
            case 0x61...0x7a: value = character - 0x61
            case 0x41...0x5a: value = character - 0x41
            case 0x32...0x37: value = character - 0x32 + 26
            default: return nil
            }
            buffer = buffer << 5 | UInt32(value)
            bitCount += 5
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: buffer >> bitCount))
            }
        }
        return buffer & (1 << bitCount - 1) == 0 ? bytes : nil
    }
}
