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

    static func bytes(_ input: [String: Any]) -> [UInt8] {
        let size = input["size"] as? Int ?? 0
        let seed = input["seed"] as? Int ?? 0
        switch input["kind"] as? String {
        case "utf8": return Array((input["value"] as? String ?? "").utf8)
        case "hex": return unhex(input["value"] as? String ?? "")
        case "repeat":
            let pattern = unhex(input["hex"] as? String ?? "")
            // Whole tiles at a time: byte by byte takes minutes in a debug build.
            var bytes: [UInt8] = []
            let tile = [[UInt8]](repeating: pattern, count: 65_536).flatMap { $0 }
            while bytes.count < size { bytes += tile }
            bytes.removeLast(bytes.count - size)
            return bytes
        case "xorshift64": return xorshift(UInt64(seed), size)
        case "chacha20": return ChaCha20(seed: input["seed"] as? String ?? "").read(size)
        case "go-math-rand": return GoRandom(seed: seed).read(size)
        default: preconditionFailure("unknown input \(input)")
        }
    }

    static func unhex(_ text: String) -> [UInt8] {
        let digits = Array(text.utf8).map { $0 >= 0x61 ? $0 - 0x57 : $0 - 0x30 }
        return stride(from: 0, to: digits.count, by: 2).map { digits[$0] << 4 | digits[$0 + 1] }
    }

    static func xorshift(_ seed: UInt64, _ size: Int) -> [UInt8] {
        var x = seed
        var words = [UInt64](repeating: 0, count: (size + 7) / 8)
        for index in words.indices {
            x ^= x << 13
            x ^= x >> 7
            x ^= x << 17
            words[index] = x.littleEndian
        }
        return words.withUnsafeBytes { [UInt8](UnsafeRawBufferPointer(rebasing: $0[..<size])) }
    }
}

/// Key stream of RFC 8439 with key SHA-256(seed), nonce and counter 0.
struct ChaCha20 {
    private let key: [UInt32]

    init(seed: String) {
        let digest = SHA256.hash(Array(seed.utf8))
        key = (0..<8).map { word in (0..<4).reduce(0) { $0 | UInt32(digest[word * 4 + $1]) << UInt32($1 * 8) }
        }
    }

    func read(_ size: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size + 64)
        var counter: UInt32 = 0
        while bytes.count < size {
            for word in block(counter) {
                for shift in 0..<4 { bytes.append(UInt8(word >> UInt32(shift * 8) & 0xff)) }
            }
            counter += 1
        }
        return Array(bytes.prefix(size))
    }

    private func block(_ counter: UInt32) -> [UInt32] {
        let start = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574] + key + [counter, 0, 0, 0]
        var state = start
        func quarter(_ a: Int, _ b: Int, _ c: Int, _ d: Int) {
            for (x, y, z, turn) in [(a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)]
                as [(Int, Int, Int, UInt32)]
            {
                state[x] = state[x] &+ state[y]
                let mixed = state[z] ^ state[x]
                state[z] = mixed << turn | mixed >> (32 - turn)
            }
        }
        for _ in 0..<10 {
            for column in 0..<4 { quarter(column, column + 4, column + 8, column + 12) }
            for column in 0..<4 {
                quarter(column, (column + 1) % 4 + 4, (column + 2) % 4 + 8, (column + 3) % 4 + 12)
            }
        }
        return zip(state, start).map { $0 &+ $1 }
    }
}

/// Go's `math/rand` Read, as Vectors/README describes the input.
struct GoRandom {
    private var state: [UInt64]

    init(seed: Int) {
        let path = VectorInputs.folder.appending(path: "gorand_table.bin")
        let table = (try? Data(contentsOf: path)).map { [UInt8]($0) } ?? []
        precondition(table.count == 607 * 8, "gorand_table.bin is missing")
        var x = UInt64(seed % 0x7fff_ffff)
        func advance() -> UInt64 {
            x = 48271 * x % 0x7fff_ffff
            return x
        }
        for _ in 0..<20 { _ = advance() }
        let start = (0..<607).map { index -> UInt64 in
            let word = (0..<8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64(table[index * 8 + $1]) }
            return advance() << 40 ^ advance() << 20 ^ advance() ^ word
        }
        state = (0..<607).map { start[($0 <= 333 ? 333 - $0 : 940 - $0)] }
    }

    func read(_ size: Int) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(size + 7 * 607)
        var last = state
        while bytes.count < size {
            var next = last
            for k in 0..<607 { next[k] = last[k] &+ (k < 273 ? last[k + 334] : next[k - 273]) }
            for word in next {
                for shift in 0..<7 { bytes.append(UInt8(truncatingIfNeeded: word >> UInt64(shift * 8))) }
            }
            last = next
        }
        return Array(bytes.prefix(size))
    }
}
