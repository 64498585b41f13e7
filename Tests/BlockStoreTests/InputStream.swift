import CSodium
import Foundation
import PeerCrypto

/// A generated input, made piece by piece, so that a gibibyte of it takes the memory of one piece.
///
/// The generators write through pointers: over arrays they take minutes in a debug build.
struct InputStream {
    /// Bytes of one piece: a multiple of what each generator makes in one step.
    static let pieceByteCount = 8 * 7 * 64 * 607

    let byteCount: Int
    /// Writes the next piece, all `pieceByteCount` bytes of it, and at most eight more.
    private let fill: (UnsafeMutableRawPointer) -> Void

    /// Hands the input to `body` in order.
    func forEachPiece(_ body: (UnsafeRawBufferPointer) throws -> Void) rethrows {
        let piece = UnsafeMutableRawPointer.allocate(byteCount: Self.pieceByteCount + 8, alignment: 16)
        defer { piece.deallocate() }
        var rest = byteCount
        while rest > 0 {
            fill(piece)
            let count = min(rest, Self.pieceByteCount)
            try body(UnsafeRawBufferPointer(start: piece, count: count))
            rest -= count
        }
    }

    static func known(_ bytes: [UInt8]) -> InputStream {
        precondition(bytes.count <= pieceByteCount, "a literal input is longer than one piece")
        return InputStream(byteCount: bytes.count) { piece in
            bytes.withUnsafeBytes { known in
                if let base = known.baseAddress { piece.copyMemory(from: base, byteCount: known.count) }
            }
        }
    }

    static func repeating(_ pattern: [UInt8], _ size: Int) -> InputStream {
        var next = 0
        return InputStream(byteCount: size) { piece in
            // The first tile by hand, the rest by doubling what is there.
            for index in pattern.indices {
                let byte = pattern[(next + index) % pattern.count]
                piece.storeBytes(of: byte, toByteOffset: index, as: UInt8.self)
            }
            var done = pattern.count
            while done < pieceByteCount {
                let more = min(done, pieceByteCount - done)
                (piece + done).copyMemory(from: piece, byteCount: more)
                done += more
            }
            next = (next + pieceByteCount) % pattern.count
        }
    }

    /// xorshift64 with shifts 13, 7, 17; each word little-endian.
    static func xorshift(_ seed: UInt64, _ size: Int) -> InputStream {
        var state = seed
        return InputStream(byteCount: size) { piece in
            var x = state
            defer { state = x }
            let words = piece.bindMemory(to: UInt64.self, capacity: pieceByteCount / 8)
            var index = 0
            let end = pieceByteCount / 8
            while index < end {
                x ^= x &<< 13
                x ^= x &>> 7
                x ^= x &<< 17
                words[index] = x
                index &+= 1
            }
        }
    }

    /// Key stream of RFC 8439 with key SHA-256(seed), nonce and counter 0.
    static func chaCha20(seed: String, _ size: Int) -> InputStream {
        let key = SHA256.hash(Array(seed.utf8))
        let nonce = [UInt8](repeating: 0, count: 12)
        var counter: UInt32 = 0
        return InputStream(byteCount: size) { piece in
            let target = piece.bindMemory(to: UInt8.self, capacity: pieceByteCount)
            memset(target, 0, pieceByteCount)
            crypto_stream_chacha20_ietf_xor_ic(target, target, UInt64(pieceByteCount), nonce, counter, key)
            counter += UInt32(pieceByteCount / 64)
        }
    }

    /// Go's `math/rand` Read, as Vectors/README describes the input: seven bytes of each word.
    static func goRandom(seed: Int, _ size: Int) -> InputStream {
        var state = goRandomStart(seed: seed)
        return InputStream(byteCount: size) { piece in
            state.withUnsafeMutableBufferPointer { words in
                var target = piece
                for _ in 0..<(pieceByteCount / (7 * 607)) {
                    var k = 0
                    // In place: word k needs only old words from k + 334 on and new ones before k.
                    while k < 607 {
                        words[k] = words[k] &+ words[k < 273 ? k &+ 334 : k &- 273]
                        // The eighth byte is overwritten by the next word.
                        target.storeBytes(of: words[k], as: UInt64.self)
                        target += 7
                        k &+= 1
                    }
                }
            }
        }
    }

    private static func goRandomStart(seed: Int) -> [UInt64] {
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
        return (0..<607).map { start[($0 <= 333 ? 333 - $0 : 940 - $0)] }
    }
}
