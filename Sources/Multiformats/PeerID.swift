/// The name of a peer: the multihash of its encoded public key.
///
/// **Layout** `00` ‖ length ‖ key for encodings of at most 42 bytes (Ed25519: 38 bytes in all), else `12 20` ‖ SHA2-256.
/// **Source** libp2p/specs peer-ids; WIRE section 2.
public struct PeerID: Hashable, Sendable, Comparable {
    /// The raw multihash, as on the wire.
    public let bytes: [UInt8]

    /// Longest key encoding that is its own peer id, in bytes.
    public static let maxInlineKeyByteCount = 42
    /// Longest text that is parsed, in characters.
    public static let maxCharacterCount = 128

    /// The peer that holds the private half of `publicKey`.
    public init(_ publicKey: PublicKey) {
        bytes = Multihash(code: Multihash.identityCode, digest: publicKey.bytes).bytes
    }

    /// Reads a raw multihash that fills `bytes` exactly.
    ///
    /// - Throws: `PeerIDFault` for another hash function, an inline key over 42 bytes, or bytes that are no multihash.
    public init(bytes: some Collection<UInt8>) throws(PeerIDFault) {
        let multihash: Multihash
        let count: Int
        do throws(CIDFault) {
            (multihash, count) = try Multihash.decodePrefix(ArraySlice(bytes))
        } catch {
            throw .multihash(error)
        }
        guard count == bytes.count else { throw .multihash(.trailingBytes(bytes.count - count)) }
        try self.init(multihash)
    }

    private init(_ multihash: Multihash) throws(PeerIDFault) {
        switch multihash.code {
        case Multihash.sha256Code: break
        case Multihash.identityCode:
            guard 1...PeerID.maxInlineKeyByteCount ~= multihash.digest.count else {
                throw .inlineKeyLength(multihash.digest.count)
            }
        default: throw .hashFunction(multihash.code)
        }
        bytes = multihash.bytes
    }

    /// The key inside an inline peer id; `nil` for a hashed or foreign key.
    public var publicKey: PublicKey? {
        guard bytes.first == UInt8(Multihash.identityCode) else { return nil }
        return try? PublicKey(bytes: bytes.dropFirst(2))  // a foreign key type is no key to us
    }

    /// The second text form: CIDv1 of codec `libp2p-key` in base32 (`bafzaaj…`).
    public var cidText: String {
        var cid: [UInt8] = [1]
        Varint.append(CID.Codec.libp2pKey.code, to: &cid)
        return "b" + Base32.encode(cid + bytes)
    }

    /// Hashes all bytes at once; the synthesised function takes them one by one.
    public func hash(into hasher: inout Hasher) {
        bytes.withUnsafeBytes { hasher.combine(bytes: $0) }
    }

    /// Orders by bytes, so that every node sorts peers alike.
    public static func < (left: PeerID, right: PeerID) -> Bool {
        left.bytes.lexicographicallyPrecedes(right.bytes)
    }
}

extension PeerID: CustomStringConvertible, LosslessStringConvertible {
    /// The usual text, base58btc: `12D3KooW…`.
    public var description: String { Base58.encode(bytes) }

    /// Parses either text form; `nil` when it is none.
    public init?(_ description: String) {
        // The fault is of no use to this caller.
        guard let peer = try? PeerID(parsing: description) else { return nil }
        self = peer
    }

    /// Parses base58btc (`1…`, `Qm…`) or the multibase text of a `libp2p-key` CID.
    ///
    /// - Throws: `PeerIDFault` saying what is wrong.
    public init(parsing text: String) throws(PeerIDFault) {
        let characters = Array(text.utf8)
        guard characters.count <= PeerID.maxCharacterCount else { throw .textLength(characters.count) }
        if characters.first == UInt8(ascii: "1") || characters.starts(with: "Qm".utf8) {
            guard let bytes = Base58.decode(characters) else { throw .text }
            try self.init(bytes: bytes)
            return
        }
        let cid: CID
        do throws(CIDFault) {
            cid = try CID(bytes: try Multibase.decode(characters[...]))
        } catch {
            throw .text
        }
        guard cid.version == .v1, cid.codec == .libp2pKey else { throw .codec(cid.codec.code) }
        try self.init(cid.multihash)
    }
}

/// Why something is not a peer id.
public enum PeerIDFault: Error, Equatable, Sendable {
    case multihash(CIDFault)
    case hashFunction(UInt64)
    case inlineKeyLength(Int)
    /// A CID of another codec than `libp2p-key`.
    case codec(UInt64)
    /// Neither base58btc nor the text of a CID.
    case text
    case textLength(Int)
}
