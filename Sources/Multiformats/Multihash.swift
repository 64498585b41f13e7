internal import PeerCrypto

/// A self-describing hash: function code, digest length, digest.
///
/// **Layout** varint(function) ‖ varint(digest byte count) ‖ digest.
/// **Source** multiformats/multihash; FORMATS section 1.
public struct Multihash: Hashable, Sendable {
    /// Code of the hash function in the multicodec table.
    public let code: UInt64
    /// The digest; for `identity` the data itself.
    public let digest: [UInt8]

    /// Code of SHA2-256.
    public static let sha256Code: UInt64 = 0x12
    /// Code of SHA2-512; read, never written.
    public static let sha512Code: UInt64 = 0x13
    /// Code of `identity`, whose digest is the data; read, never written for blocks.
    public static let identityCode: UInt64 = 0x00
    /// Longest identity digest that is accepted, in bytes.
    public static let maxIdentityByteCount = 128

    /// Makes a multihash of parts that are known to be right.
    public init(code: UInt64, digest: [UInt8]) {
        self.code = code
        self.digest = digest
    }

    /// The SHA2-256 multihash of `bytes`.
    public static func sha256(of bytes: UnsafeRawBufferPointer) -> Multihash {
        Multihash(code: sha256Code, digest: SHA256.hash(bytes))
    }

    /// The SHA2-256 multihash of `bytes`.
    public static func sha256(of bytes: [UInt8]) -> Multihash {
        bytes.withUnsafeBytes { sha256(of: $0) }
    }

    /// The binary form.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(digest.count + 4)
        Varint.append(code, to: &bytes)
        Varint.append(UInt64(digest.count), to: &bytes)
        bytes += digest
        return bytes
    }

    /// Reads one multihash from the front of `bytes`; bytes may follow it.
    ///
    /// - Returns: the multihash and the number of bytes it took.
    /// - Throws: `CIDFault` when the bytes end early, a length is wrong, or a digest is over its limit.
    public static func decodePrefix(_ bytes: ArraySlice<UInt8>) throws(CIDFault) -> (
        Multihash, byteCount: Int
    ) {
        var rest = bytes
        let code = try CIDFault.takeVarint(&rest)
        let length = try CIDFault.takeVarint(&rest)
        guard length <= UInt64(maxIdentityByteCount) else {
            throw .digestLength(function: code, byteCount: length)
        }
        let expected: UInt64? = code == sha256Code ? 32 : code == sha512Code ? 64 : nil
        if let expected, expected != length { throw .digestLength(function: code, byteCount: length) }
        guard rest.count >= Int(length) else { throw .truncated }
        let digest = Array(rest.prefix(Int(length)))
        return (Multihash(code: code, digest: digest), bytes.count - rest.count + Int(length))
    }
}
