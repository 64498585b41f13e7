/// A content identifier: version, codec and multihash of one block.
///
/// **Layout** v1: `01` ‖ varint(codec) ‖ multihash. v0: the bare 34-byte SHA2-256 multihash, codec dag-pb.
/// **Source** multiformats/cid; FORMATS section 1.
public struct CID: Hashable, Sendable {
    /// CID versions; the raw value is the one on the wire.
    public enum Version: UInt64, Sendable {
        case v0 = 0
        case v1 = 1
    }

    /// Codecs of blocks this node reads or writes; other codes are kept as they are.
    public struct Codec: Hashable, Sendable {
        /// Code in the multicodec table.
        public let code: UInt64

        /// Names a codec by its code.
        public init(code: UInt64) { self.code = code }

        /// Bytes without structure: the leaves of a file.
        public static let raw = Codec(code: 0x55)
        /// Protobuf nodes: inner nodes of files, directories.
        public static let dagPB = Codec(code: 0x70)
        /// Canonical CBOR with links: jobs and manifests.
        public static let dagCBOR = Codec(code: 0x71)
        /// A public key as the multihash of a peer id.
        public static let libp2pKey = Codec(code: 0x72)
    }

    /// Decides about the binary and the text form.
    public let version: Version
    /// How the block's bytes are to be read.
    public let codec: Codec
    /// The hash of the block's bytes.
    public let multihash: Multihash

    /// A CIDv1 of parts that are known to be right.
    public init(codec: Codec, multihash: Multihash) {
        version = .v1
        self.codec = codec
        self.multihash = multihash
    }

    init(version: Version, codec: Codec, multihash: Multihash) {
        self.version = version
        self.codec = codec
        self.multihash = multihash
    }

    /// The CIDv1 of a block: SHA2-256 over its bytes.
    public static func of(_ bytes: [UInt8], codec: Codec) -> CID {
        CID(codec: codec, multihash: .sha256(of: bytes))
    }

    /// The CIDv1 of a block: SHA2-256 over its bytes.
    public static func of(_ bytes: UnsafeRawBufferPointer, codec: Codec) -> CID {
        CID(codec: codec, multihash: .sha256(of: bytes))
    }

    /// The CIDv0 of a dag-pb block: its bare SHA2-256 multihash.
    ///
    /// - Precondition: `multihash` is SHA2-256.
    public static func v0(_ multihash: Multihash) -> CID {
        precondition(multihash.code == Multihash.sha256Code, "CIDv0 is SHA2-256 only, not \(multihash.code)")
        return CID(version: .v0, codec: .dagPB, multihash: multihash)
    }

    /// The same block as a CIDv1.
    public var asV1: CID { CID(codec: codec, multihash: multihash) }

    /// The same block as a CIDv0, or `nil` when it has none (only dag-pb with SHA2-256 has).
    public var asV0: CID? {
        codec == .dagPB && multihash.code == Multihash.sha256Code && multihash.digest.count == 32
            ? .v0(multihash) : nil
    }

    /// The binary form.
    public var bytes: [UInt8] {
        if version == .v0 { return multihash.bytes }
        var bytes: [UInt8] = [1]
        Varint.append(codec.code, to: &bytes)
        return bytes + multihash.bytes
    }

    /// Reads a binary CID that fills `bytes` exactly.
    ///
    /// - Throws: `CIDFault` when the bytes are anything else.
    public init(bytes: some Collection<UInt8>) throws(CIDFault) {
        let all = ArraySlice(bytes)
        let (cid, count) = try CID.decodePrefix(all)
        guard count == all.count else { throw .trailingBytes(all.count - count) }
        self = cid
    }

    /// Reads one binary CID from the front of `bytes`; bytes may follow it, as in a CAR section.
    public static func decodePrefix(_ bytes: ArraySlice<UInt8>) throws(CIDFault) -> (CID, byteCount: Int) {
        if bytes.starts(with: [0x12, 0x20]) {
            guard bytes.count >= 34 else { throw .truncated }
            let digest = Array(bytes.dropFirst(2).prefix(32))
            return (
                CID(
                    version: .v0,
                    codec: .dagPB,
                    multihash: Multihash(code: Multihash.sha256Code, digest: digest)
                ), 34
            )
        }
        var rest = bytes
        let version = try CIDFault.takeVarint(&rest)
        guard version == Version.v1.rawValue else { throw .version(version) }
        let codec = try CIDFault.takeVarint(&rest)
        let head = bytes.count - rest.count
        let (multihash, count) = try Multihash.decodePrefix(rest)
        return (CID(version: .v1, codec: Codec(code: codec), multihash: multihash), head + count)
    }
}

/// Why something is not a CID.
public enum CIDFault: Error, Equatable, Sendable {
    case truncated
    case trailingBytes(Int)
    case version(UInt64)
    case varint(VarintFault)
    case digestLength(function: UInt64, byteCount: UInt64)
    case multibase(String)

    /// Takes a varint off the front of `bytes`.
    static func takeVarint(_ bytes: inout ArraySlice<UInt8>) throws(CIDFault) -> UInt64 {
        let decoded: (value: UInt64, byteCount: Int)?
        do throws(VarintFault) {
            decoded = try Varint.decode(bytes)
        } catch {
            throw .varint(error)
        }
        guard let decoded else { throw .truncated }
        bytes = bytes.dropFirst(decoded.byteCount)
        return decoded.value
    }
}
