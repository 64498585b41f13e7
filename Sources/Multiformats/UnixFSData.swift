/// The UnixFS message: the data field of a dag-pb node that is a file, a directory or a symlink.
///
/// **Layout** protobuf: Type=1, Data=2, filesize=3, blocksizes=4 (unpacked), hashType=5, fanout=6, mode=7, mtime=8, written
/// in field order. **Source** ipfs specs, unixfs; FORMATS section 3.
public struct UnixFSData: Equatable, Sendable {
    /// What a node is; the raw value is the one in the block.
    public enum Kind: UInt64, Sendable {
        case raw = 0
        case directory = 1
        case file = 2
        case metadata = 3
        case symlink = 4
        case hamtShard = 5
    }

    /// Modification time: seconds since 1970 and nanoseconds (absent for a whole second).
    public struct ModificationTime: Equatable, Sendable {
        /// Seconds since 1970, negative before.
        public var seconds: Int64
        /// 1 … 999,999,999; `nil` for a whole second.
        public var nanoseconds: UInt32?
    }

    /// Largest fanout of a HAMT shard that is accepted (CVE-2023-23625).
    public static let maxFanout: UInt64 = 1024

    /// What the node is.
    public var kind: Kind
    /// File bytes in the node itself, a symlink's target, or a shard's bit field.
    public var data: [UInt8]?
    /// File bytes under the node; `nil` when absent, which reads as 0.
    public var fileByteCount: UInt64?
    /// File bytes under each link, in link order.
    public var blockByteCounts: [UInt64] = []
    /// Hash function of a shard's names, as a multihash code.
    public var hashType: UInt64?
    /// Slots of a shard.
    public var fanout: UInt64?
    /// The twelve permission bits, when kept.
    public var mode: UInt32?
    /// When the file was changed, when kept.
    public var modificationTime: ModificationTime?

    /// Makes a message without the optional fields.
    public init(
        kind: Kind,
        data: [UInt8]? = nil,
        fileByteCount: UInt64? = nil,
        blockByteCounts: [UInt64] = []
    ) {
        self.kind = kind
        self.data = data
        self.fileByteCount = fileByteCount
        self.blockByteCounts = blockByteCounts
    }

    /// The bytes of the message.
    public func encoded() -> [UInt8] {
        var message = Protobuf.Writer()
        message.varint(1, kind.rawValue)
        if let data { message.bytes(2, data) }
        if let fileByteCount { message.varint(3, fileByteCount) }
        for count in blockByteCounts { message.varint(4, count) }
        if let hashType { message.varint(5, hashType) }
        if let fanout { message.varint(6, fanout) }
        if let mode { message.varint(7, UInt64(mode)) }
        if let time = modificationTime {
            var inner = Protobuf.Writer()
            inner.varint(1, UInt64(bitPattern: time.seconds))
            // fixed32 has no call in the writer: only this field of this message needs one.
            let nanoseconds = time.nanoseconds.map { value in
                [0x15] + (0..<4).map { UInt8(value >> ($0 * 8) & 0xff) }
            }
            message.bytes(8, inner.bytes + (nanoseconds ?? []))
        }
        return message.bytes
    }

    /// Decodes a message; unknown fields are skipped, packed block sizes accepted.
    ///
    /// - Throws: `UnixFSFault` for a missing or unknown type, wrong wire types, a bad fanout or bad nanoseconds.
    public init(decoding bytes: [UInt8]) throws(UnixFSFault) {
        var kind: Kind?
        self.init(kind: .raw)
        var reader = Protobuf.Reader(bytes)
        while let field = try UnixFSFault.next(&reader) {
            switch (field.number, field.value) {
            case (1, .varint(let value)):
                guard let known = Kind(rawValue: value) else { throw .kind(value) }
                kind = known
            case (2, .bytes(let value)): data = Array(value)
            case (3, .varint(let value)): fileByteCount = value
            case (4, .varint(let value)): blockByteCounts.append(value)
            case (4, .bytes(let packed)): try appendPacked(packed)
            case (5, .varint(let value)): hashType = value
            case (6, .varint(let value)): fanout = try Self.checkedFanout(value)
            case (7, .varint(let value)): mode = UInt32(truncatingIfNeeded: value)
            case (8, .bytes(let value)): modificationTime = try ModificationTime(decoding: value)
            case (1...8, _): throw .wireType(field: field.number)
            default: continue
            }
        }
        guard let kind else { throw .noKind }
        self.kind = kind
    }

    private mutating func appendPacked(_ packed: ArraySlice<UInt8>) throws(UnixFSFault) {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        for byte in packed {
            guard shift < 64 else { throw .protobuf(.varintTooLong) }
            value |= UInt64(byte & 0x7f) << shift
            shift += 7
            if byte & 0x80 == 0 {
                blockByteCounts.append(value)
                (value, shift) = (0, 0)
            }
        }
        guard shift == 0 else { throw .protobuf(.truncated) }
    }

    private static func checkedFanout(_ value: UInt64) throws(UnixFSFault) -> UInt64 {
        guard value <= maxFanout, value.nonzeroBitCount == 1 else { throw .fanout(value) }
        return value
    }
}

extension UnixFSData.ModificationTime {
    init(decoding bytes: ArraySlice<UInt8>) throws(UnixFSFault) {
        var reader = Protobuf.Reader(bytes)
        self.init(seconds: 0, nanoseconds: nil)
        while let field = try UnixFSFault.next(&reader) {
            switch (field.number, field.value) {
            case (1, .varint(let value)): seconds = Int64(bitPattern: value)
            case (2, .fixed32(let value)):
                guard value < 1_000_000_000 else { throw .nanoseconds(value) }
                nanoseconds = value
            case (1...2, _): throw .wireType(field: field.number)
            default: continue
            }
        }
    }
}

/// Why bytes are not a UnixFS message.
public enum UnixFSFault: Error, Equatable, Sendable {
    case noKind
    case kind(UInt64)
    case wireType(field: UInt64)
    case fanout(UInt64)
    case nanoseconds(UInt32)
    case protobuf(Protobuf.Fault)

    static func next(_ reader: inout Protobuf.Reader) throws(UnixFSFault) -> Protobuf.Field? {
        do throws(Protobuf.Fault) { return try reader.next() } catch { throw .protobuf(error) }
    }
}
