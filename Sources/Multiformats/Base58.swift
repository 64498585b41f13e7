/// base58btc: the text of CIDv0 and of peer ids.
public enum Base58: Sendable {
    private static let alphabet = Array("123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz".utf8)
    /// Longest text that is decoded, in characters; decoding is quadratic.
    public static let maxCharacterCount = 256

    /// Encodes bytes; every leading zero byte becomes `1`.
    public static func encode(_ bytes: [UInt8]) -> String {
        var digits: [UInt8] = []
        for byte in bytes {
            var carry = Int(byte)
            for index in digits.indices {
                carry += Int(digits[index]) << 8
                digits[index] = UInt8(carry % 58)
                carry /= 58
            }
            while carry > 0 {
                digits.append(UInt8(carry % 58))
                carry /= 58
            }
        }
        let zeros = [UInt8](repeating: alphabet[0], count: bytes.prefix { $0 == 0 }.count)
        return String(decoding: zeros + digits.reversed().map { alphabet[Int($0)] }, as: UTF8.self)
    }

    /// Decodes text; `nil` for a foreign character or more than `maxCharacterCount` of them.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count <= maxCharacterCount else { return nil }
        var bytes: [UInt8] = []
        for character in text {
            guard let digit = alphabet.firstIndex(of: character) else { return nil }
            var carry = digit
            for index in bytes.indices {
                carry += Int(bytes[index]) * 58
                bytes[index] = UInt8(carry & 0xff)
                carry >>= 8
            }
            while carry > 0 {
                bytes.append(UInt8(carry & 0xff))
                carry >>= 8
            }
        }
        return [UInt8](repeating: 0, count: text.prefix { $0 == alphabet[0] }.count) + bytes.reversed()
    }
}
