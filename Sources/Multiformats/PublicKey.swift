/// An Ed25519 public key as libp2p writes it; other key types are recognised and refused.
///
/// **Layout** protobuf { 1: key type, 2: key bytes }; for Ed25519 always the 36 bytes `08 01 12 20` ‖ key. The encoding
/// is canonical because it is hashed and signed.
/// **Source** libp2p/specs peer-ids; WIRE section 2.
public struct PublicKey: Hashable, Sendable {
    /// The 32 bytes of the key.
    public let ed25519: [UInt8]

    /// Length of an Ed25519 public key in bytes.
    public static let ed25519ByteCount = 32
    /// `KeyType` of Ed25519 in the protobuf.
    public static let ed25519Type: UInt64 = 1
    /// Longest encoding that is looked at, in bytes; RSA keys of 16,384 bits fit, so that they are named in the fault.
    public static let maxByteCount = 4096

    /// Wraps the 32 bytes of an Ed25519 key.
    ///
    /// - Throws: `PublicKeyFault.length` for another number of bytes.
    public init(ed25519 key: some Collection<UInt8>) throws(PublicKeyFault) {
        guard key.count == PublicKey.ed25519ByteCount else { throw .length(key.count) }
        ed25519 = Array(key)
    }

    init(uncheckedEd25519 key: [UInt8]) { ed25519 = key }

    /// A key of a simulation: 32 bytes that nobody holds the private half of.
    package init(simulated key: [UInt8]) {
        precondition(key.count == PublicKey.ed25519ByteCount, "a key of \(key.count) bytes")
        ed25519 = key
    }

    /// The canonical encoding, 36 bytes.
    public var bytes: [UInt8] {
        var writer = Protobuf.Writer()
        writer.varint(1, PublicKey.ed25519Type)
        writer.bytes(2, ed25519)
        return writer.bytes
    }

    /// Reads an encoded key; unknown fields are skipped.
    ///
    /// - Throws: `PublicKeyFault.unsupportedType` for RSA, secp256k1, ECDSA and anything later.
    public init(bytes: some Collection<UInt8>) throws(PublicKeyFault) {
        guard bytes.count <= PublicKey.maxByteCount else { throw .length(bytes.count) }
        var reader = Protobuf.Reader(ArraySlice(bytes))
        var type: UInt64 = 0
        var key: ArraySlice<UInt8> = []
        do throws(Protobuf.Fault) {
            while let field = try reader.next() {
                if field.number == 1, let value = field.varint { type = value }
                if field.number == 2, let value = field.bytes { key = value }
            }
        } catch {
            throw .malformed(error)
        }
        guard type == PublicKey.ed25519Type else { throw .unsupportedType(type) }
        try self.init(ed25519: key)
    }
}

/// Why bytes are not a public key that this node can use.
public enum PublicKeyFault: Error, Equatable, Sendable {
    case malformed(Protobuf.Fault)
    /// 0 is RSA, 2 secp256k1, 3 ECDSA.
    case unsupportedType(UInt64)
    case length(Int)
}
