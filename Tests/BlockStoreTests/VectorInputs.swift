import Foundation
import PeerCrypto

/// The generated inputs of vectors.json.
enum VectorInputs {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Vectors")

    /// Where the CAR fixtures lie, if they are on this machine.
    static let fixtures: URL? = {
        let beside = folder.deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
            .deletingLastPathComponent().appending(path: "shared/vectors/fixtures")
        let named = ProcessInfo.processInfo.environment["PEERNODE_FIXTURES"].map { URL(filePath: $0) }
        return [named, beside].compactMap { $0 }.first { FileManager.default.fileExists(atPath: $0.path) }
    }()

    static func fixture(_ path: String) -> [UInt8]? {
        guard let name = path.split(separator: "/").last else { return nil }
        return fixtures.flatMap { try? Data(contentsOf: $0.appending(path: String(name))) }.map {
            [UInt8]($0)
        }
    }

    /// The bytes of an input, for those that fit memory well.
    static func bytes(_ input: [String: Any]) -> [UInt8] {
        var bytes: [UInt8] = []
        stream(input).forEachPiece { bytes += $0 }
        return bytes
    }

    /// The bytes of an input, piece by piece.
    static func stream(_ input: [String: Any]) -> InputStream {
        let size = input["size"] as? Int ?? 0
        let seed = input["seed"] as? Int ?? 0
        return switch input["kind"] as? String {
        case "utf8": .known(Array((input["value"] as? String ?? "").utf8))
        case "hex": .known(unhex(input["value"] as? String ?? ""))
        case "repeat": .repeating(unhex(input["hex"] as? String ?? ""), size)
        case "xorshift64": .xorshift(UInt64(seed), size)
        case "chacha20": .chaCha20(seed: input["seed"] as? String ?? "", size)
        case "go-math-rand": .goRandom(seed: seed, size)
        default: preconditionFailure("unknown input \(input)")
        }
    }

    static func unhex(_ text: String) -> [UInt8] {
        let digits = Array(text.utf8).map { $0 >= 0x61 ? $0 - 0x57 : $0 - 0x30 }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    static func xorshift(_ seed: UInt64, _ size: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        InputStream.xorshift(seed, size).forEachPiece { bytes += $0 }
        return bytes
    }
}
