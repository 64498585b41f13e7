package import Multiformats

/// One message of bitswap: any mix of wants, blocks and answers about blocks.
///
/// **Layout** protobuf { 1: wantlist { 1: repeated entry, 2: full }, 3: repeated block { 1: prefix, 2: data },
/// 4: repeated presence { 1: cid, 2: type }, 5: pending bytes }.
/// **Source** ipfs/specs bitswap-protocol; WIRE section 9.
package struct BitswapMessage: Equatable, Sendable {
    /// One line of a wantlist.
    package struct Want: Equatable, Sendable {
        package var cid: CID
        /// Higher is wanted sooner.
        package var priority: Int32
        package var kind: Kind
        /// Answer DONT_HAVE rather than nothing.
        package var sendsDontHave: Bool

        /// What is asked for.
        package enum Kind: Equatable, Sendable {
            case block
            case have
            /// Nothing any more: the want is withdrawn.
            case cancel
        }

        /// A line of a wantlist.
        package init(_ cid: CID, kind: Kind, priority: Int32 = 1, sendsDontHave: Bool = false) {
            self.cid = cid
            self.kind = kind
            self.priority = priority
            self.sendsDontHave = sendsDontHave
        }
    }

    /// A block as it came: its bytes, and what is needed to name them.
    package struct Block: Equatable, Sendable {
        /// Version, codec, hash code and hash length, each a varint.
        package var prefix: ArraySlice<UInt8>
        /// A slice of the message that it came in; not copied.
        package var data: ArraySlice<UInt8>

        /// A block with its prefix.
        package init(prefix: ArraySlice<UInt8>, data: ArraySlice<UInt8>) {
            self.prefix = prefix
            self.data = data
        }

        /// A block of a known CID.
        package init(_ cid: CID, data: ArraySlice<UInt8>) {
            var prefix: [UInt8] = []
            for value in [
                cid.version.rawValue, cid.codec.code, cid.multihash.code, UInt64(cid.multihash.digest.count),
            ] {
                Varint.append(value, to: &prefix)
            }
            self.init(prefix: prefix[...], data: data)
        }
    }

    /// Whether the sender holds a block.
    package struct Presence: Equatable, Sendable {
        package var cid: CID
        package var isHeld: Bool

        /// HAVE or DONT_HAVE.
        package init(_ cid: CID, isHeld: Bool) {
            self.cid = cid
            self.isHeld = isHeld
        }
    }

    package var wants: [Want] = []
    /// The wants replace all earlier ones.
    package var isFull = false
    package var blocks: [Block] = []
    package var presences: [Presence] = []
    /// Bytes of blocks that wait behind this message.
    package var pendingByteCount: Int32 = 0

    /// Protocol id.
    package static let protocolID = "/ipfs/bitswap/1.2.0"
    /// Longest message, in bytes.
    package static let maxByteCount = 4 << 20
    /// Longest block, in bytes.
    package static let maxBlockByteCount = 2 << 20
    /// Longest CID, in bytes.
    package static let maxCIDByteCount = 168
    /// Most wants, and most presences, in a message that is read.
    package static let maxEntryCount = 16_384
    /// Most blocks in a message that is read.
    package static let maxBlockCount = 4096

    /// A message without content.
    package init() {}

    /// Nothing in it: not worth sending.
    package var isEmpty: Bool { wants.isEmpty && !isFull && blocks.isEmpty && presences.isEmpty }
}

extension BitswapMessage.Block {
    /// The CID of the bytes, computed by hashing them; `nil` for a prefix that names no hash that this node makes.
    ///
    /// An empty prefix means CIDv0, as py-libp2p sends it.
    package func verifiedCID() -> CID? {
        guard let (version, codec) = parsedPrefix else { return nil }
        let multihash = data.withUnsafeBytes { Multihash.sha256(of: $0) }
        if version == CID.Version.v1.rawValue { return CID(codec: codec, multihash: multihash) }
        // Always a CID: 34 bytes of a SHA2-256 multihash.
        return try? CID(bytes: multihash.bytes)
    }

    private var parsedPrefix: (version: UInt64, codec: CID.Codec)? {
        if prefix.isEmpty { return (0, .dagPB) }
        var rest = prefix
        var values: [UInt64] = []
        while !rest.isEmpty {
            // A prefix that is malformed names nothing.
            guard values.count < 4, let (value, count) = try? Varint.decode(rest) else { return nil }
            values.append(value)
            rest = rest.dropFirst(count)
        }
        guard values.count == 4, values[2] == Multihash.sha256Code, values[3] == 32 else { return nil }
        switch values[0] {
        case 1: return (1, CID.Codec(code: values[1]))
        case 0 where values[1] == CID.Codec.dagPB.code: return (0, .dagPB)
        default: return nil
        }
    }
}
