internal import CSodium

/// The XSalsa20 key stream over a byte stream of any chunking, by libsodium.
///
/// Not copyable: two copies would use the same key stream twice.
public struct XSalsa20Stream: ~Copyable, Sendable {
    /// Length of a key in bytes.
    public static let keyByteCount = 32
    /// Length of a nonce in bytes.
    public static let nonceByteCount = 24
    private static let blockByteCount = 64

    private let key: SecretBytes
    private let nonce: [UInt8]
    /// Bytes of the key stream used so far.
    private var position: UInt64 = 0

    /// Starts the key stream of a key and a nonce.
    ///
    /// - Parameters:
    ///   - key: 32 bytes.
    ///   - nonce: 24 bytes, never used with this key before.
    public init(key: consuming SecretBytes, nonce: [UInt8]) {
        precondition(
            key.count == Self.keyByteCount && nonce.count == Self.nonceByteCount,
            "wrong key or nonce length"
        )
        Sodium.ensureReady()
        self.key = key
        self.nonce = nonce
    }

    /// Encrypts or decrypts the next bytes of the stream in place.
    public mutating func apply(to bytes: UnsafeMutableRawBufferPointer) {
        var rest = bytes
        let offset = Int(position % UInt64(Self.blockByteCount))
        if offset != 0, !rest.isEmpty {
            let count = min(Self.blockByteCount - offset, rest.count)
            applyInsideBlock(to: .init(rebasing: rest[..<count]), offset: offset)
            position += UInt64(count)
            rest = .init(rebasing: rest[count...])
        }
        guard !rest.isEmpty else { return }
        exclusiveOr(rest, block: position / UInt64(Self.blockByteCount))
        position += UInt64(rest.count)
    }

    /// Whole blocks are XORed by libsodium; a piece of a block goes through a block of its own.
    private borrowing func applyInsideBlock(to bytes: UnsafeMutableRawBufferPointer, offset: Int) {
        withUnsafeTemporaryAllocation(byteCount: Self.blockByteCount, alignment: 16) { block in
            block.initializeMemory(as: UInt8.self, repeating: 0)
            exclusiveOr(block, block: position / UInt64(Self.blockByteCount))
            for index in bytes.indices { bytes[index] ^= block[offset + index] }
            sodium_memzero(block.octets, block.count)
        }
    }

    private borrowing func exclusiveOr(_ bytes: UnsafeMutableRawBufferPointer, block: UInt64) {
        let start = bytes.octets
        key.withUnsafeBytes { key in
            _ = crypto_stream_xsalsa20_xor_ic(
                start,
                start,
                UInt64(bytes.count),
                nonce,
                block,
                key.octets
            )
        }
    }
}
