import Foundation
import PeerCrypto

/// Reads `Vectors/vectors.json`.
enum Vectors {
    static func section(_ name: String) throws -> [String: Any] {
        let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
            .appendingPathComponent("Vectors/vectors.json")
        let root = try JSONSerialization.jsonObject(with: Data(contentsOf: file)) as? [String: Any]
        guard let section = root?[name] as? [String: Any] else { throw VectorMissing(name: name) }
        return section
    }

    static func texts(_ section: [String: Any], _ key: String) throws -> [String] {
        guard let list = section[key] as? [String] else { throw VectorMissing(name: key) }
        return list
    }

    static func bytes(_ section: [String: Any], _ key: String) throws -> [UInt8] {
        guard let text = section[key] as? String else { throw VectorMissing(name: key) }
        return hex(text)
    }
}

struct VectorMissing: Error {
    let name: String
}

func hex(_ text: String) -> [UInt8] {
    let digits = text.utf8.filter { $0 != UInt8(ascii: " ") }.map { UInt8($0 < 58 ? $0 - 48 : $0 - 87) }
    return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
}

func x25519(_ secret: String) -> X25519.KeyPair {
    X25519.KeyPair(secret: SecretBytes(copying: hex(secret)))
}

/// A small deterministic generator, so that a failing run can be repeated.
struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ (z >> 30)) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ (z >> 27)) &* 0x94d0_49bb_1331_11eb
        return z ^ (z >> 31)
    }
}
