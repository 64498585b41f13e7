package import PeerCrypto

/// The pre-shared key of a private network, as IPFS keeps it in `swarm.key`.
///
/// **Layout** three lines: `/key/swarm/psk/1.0.0/`, then `/base16/`, `/base64/` or `/bin/`, then 32 bytes in that
/// encoding.
///
/// **Source** libp2p/specs, "Pre-shared Key Based Private Networks in libp2p".
package final class SwarmKey: Sendable {
    /// First line of the file.
    package static let header = "/key/swarm/psk/1.0.0/"
    /// Length of the key in bytes.
    package static let byteCount = 32
    /// Longest file accepted, in bytes.
    package static let maxFileByteCount = 1024

    private let secret: SecretBytes

    /// Takes the 32 bytes of a key.
    package init(_ key: borrowing SecretBytes) {
        precondition(key.count == Self.byteCount, "a swarm key has 32 bytes, not \(key.count)")
        secret = key.withUnsafeBytes { key in SecretBytes(count: Self.byteCount) { $0.copyMemory(from: key) }
        }
    }

    /// Reads the contents of a `swarm.key` file.
    ///
    /// - Throws: `SwarmKeyFault`, saying which line is wrong.
    package convenience init(file: [UInt8]) throws(SwarmKeyFault) {
        guard file.count <= Self.maxFileByteCount else { throw .fileLength(file.count) }
        let lines = file.split(separator: UInt8(ascii: "\n"), maxSplits: 2, omittingEmptySubsequences: false)
            .map { $0.last == UInt8(ascii: "\r") ? $0.dropLast() : $0 }
        guard lines.first?.elementsEqual(Self.header.utf8) == true else { throw .header }
        guard lines.count == 3 else { throw .encoding }
        let key = try Self.decode(lines[2], encoding: String(decoding: lines[1], as: UTF8.self))
        guard key.count == Self.byteCount else { throw .keyLength(key.count) }
        self.init(SecretBytes(copying: key))
    }

    /// A copy of the key for one direction of one connection.
    func makeCipherKey() -> SecretBytes {
        secret.withUnsafeBytes { key in SecretBytes(count: Self.byteCount) { $0.copyMemory(from: key) } }
    }

    private static func decode(_ text: ArraySlice<UInt8>, encoding: String) throws(SwarmKeyFault) -> [UInt8] {
        switch encoding {
        case "/base16/": try decodeBase16(trimmed(text))
        case "/base64/": try decodeBase64(trimmed(text))
        case "/bin/": Array(text.prefix(byteCount))
        default: throw .encoding
        }
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        let isSpace: (UInt8) -> Bool = { $0 == 0x20 || (0x09...0x0d).contains($0) }
        let end = text.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? text.startIndex
        return text[..<end].drop(while: isSpace)
    }

    private static func decodeBase16(_ text: ArraySlice<UInt8>) throws(SwarmKeyFault) -> [UInt8] {
        guard text.count.isMultiple(of: 2) else { throw .keyText }
        var bytes: [UInt8] = []
        var high: UInt8?
        for character in text {
            guard let digit = hexDigit(character) else { throw .keyText }
            if let first = high { bytes.append(first << 4 | digit) }
            high = high == nil ? digit : nil
        }
        return bytes
    }

    private static func hexDigit(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): character - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): character - UInt8(ascii: "A") + 10
        default: nil
        }
    }

    private static func decodeBase64(_ text: ArraySlice<UInt8>) throws(SwarmKeyFault) -> [UInt8] {
        var bytes: [UInt8] = []
        var bits: UInt32 = 0
        var bitCount = 0
        let padding = UInt8(ascii: "=")
        let digits = text.reversed().drop { $0 == padding }.reversed()
        guard text.count.isMultiple(of: 4), text.count - digits.count <= 2 else { throw .keyText }
        for character in digits {
            guard let digit = base64Digit(character) else { throw .keyText }
            bits = (bits << 6 | UInt32(digit)) & 0xffff
            bitCount += 6
            if bitCount >= 8 {
                bitCount -= 8
                bytes.append(UInt8(truncatingIfNeeded: bits >> UInt32(bitCount)))
            }
        }
        return bytes
    }

    private static func base64Digit(_ character: UInt8) -> UInt8? {
        switch character {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): character - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): character - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): character - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}

/// Why a file is not a swarm key.
package enum SwarmKeyFault: Error, Equatable, Sendable {
    case fileLength(Int)
    /// The first line is not `/key/swarm/psk/1.0.0/`.
    case header
    /// The second line names no encoding known here.
    case encoding
    /// The third line has a character that its encoding lacks.
    case keyText
    case keyLength(Int)
}

extension SwarmKeyFault: CustomStringConvertible {
    /// What is wrong.
    package var description: String {
        switch self {
        case .fileLength(let count): "a file of \(count) bytes is none"
        case .header: "its first line is not /key/swarm/psk/1.0.0/"
        case .encoding: "its second line is none of /base16/, /base64/, /bin/"
        case .keyText: "its third line has characters that do not belong there"
        case .keyLength(let count): "the key has \(count) bytes, not 32"
        }
    }
}
