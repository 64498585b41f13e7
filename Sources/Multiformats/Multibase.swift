/// Text with a one-character prefix that names its base.
///
/// **Source** multiformats/multibase; FORMATS section 1.
public enum Multibase: Sendable {
    /// Longest text that is decoded, in characters.
    public static let maxCharacterCount = 512

    /// Decodes `b`/`B` base32, `z` base58btc, `k`/`K` base36, `f`/`F` base16.
    public static func decode(_ text: ArraySlice<UInt8>) throws(CIDFault) -> [UInt8] {
        guard text.count <= maxCharacterCount else {
            throw .multibase("\(text.count) characters is too long")
        }
        guard let prefix = text.first else { throw .multibase("empty") }
        let body = text.dropFirst()
        let bytes: [UInt8]?
        switch prefix {
        case UInt8(ascii: "b"), UInt8(ascii: "B"): bytes = Base32.decode(body)
        case UInt8(ascii: "z"): bytes = Base58.decode(body)
        case UInt8(ascii: "k"), UInt8(ascii: "K"): bytes = Base36.decode(body)
        case UInt8(ascii: "f"), UInt8(ascii: "F"): bytes = Base16.decode(body)
        default: throw .multibase("unknown base prefix")
        }
        guard let bytes else { throw .multibase("a character or length that its base does not have") }
        return bytes
    }
}

/// Hexadecimal.
public enum Base16: Sendable {
    /// Encodes in lower case.
    public static func encode(_ bytes: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        return String(
            decoding: bytes.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] },
            as: UTF8.self
        )
    }

    /// Decodes either case; `nil` for an odd length or a foreign character.
    public static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count.isMultiple(of: 2) else { return nil }
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text {
            let value: UInt8
            switch character {
            case 0x30...0x39: value = character - 0x30
            case 0x61...0x66: value = character - 0x61 + 10
            case 0x41...0x46: value = character - 0x41 + 10
            default: return nil
            }
            if let first = high {
                bytes.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        return bytes
    }
}

/// Base 36, either case: IPNS names; read, never written.
enum Base36 {
    static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count <= Base58.maxCharacterCount else { return nil }
        var bytes: [UInt8] = []
        for character in text {
            var carry: Int
            switch character {
            case 0x30...0x39: carry = Int(character - 0x30)
            case 0x61...0x7a: carry = Int(character - 0x61) + 10
            case 0x41...0x5a: carry = Int(character - 0x41) + 10
            default: return nil
            }
            for index in bytes.indices {
                carry += Int(bytes[index]) * 36
                bytes[index] = UInt8(carry & 0xff)
                carry >>= 8
            }
            while carry > 0 {
                bytes.append(UInt8(carry & 0xff))
                carry >>= 8
            }
        }
        return [UInt8](repeating: 0, count: text.prefix { $0 == 0x30 }.count) + bytes.reversed()
    }
}
