/// dag-pb (codec 0x70): the node of files and directories, links first and then data.
///
/// **Layout** protobuf `PBNode { repeated PBLink Links = 2; optional bytes Data = 1 }`, links written before the data;
/// `PBLink { bytes Hash = 1; string Name = 2; uint64 Tsize = 3 }`. **Source** ipld dag-pb; FORMATS section 2.
public struct DagPBNode: Equatable, Sendable {
    /// One link, in the order of the block.
    public struct Link: Equatable, Sendable {
        /// The child.
        public var cid: CID
        /// The entry's name, any bytes; `nil` when the field is absent, which is not the same block as an empty name.
        public var name: [UInt8]?
        /// Encoded bytes of the whole sub-DAG as the writer claims them: a hint; `nil` when absent.
        public var totalByteCount: UInt64?

        /// Makes a link; builders always give a name and a size.
        public init(cid: CID, name: [UInt8]?, totalByteCount: UInt64?) {
            self.cid = cid
            self.name = name
            self.totalByteCount = totalByteCount
        }
    }

    /// The children in the order of the block.
    public var links: [Link]
    /// The data field; `nil` when absent.
    public var data: [UInt8]?

    /// Makes a node; links are kept in the order given.
    public init(links: [Link] = [], data: [UInt8]? = nil) {
        self.links = links
        self.data = data
    }

    /// The block of this node.
    public func encoded() -> [UInt8] {
        var node = Protobuf.Writer()
        for link in links {
            var message = Protobuf.Writer()
            message.bytes(1, link.cid.bytes)
            if let name = link.name { message.bytes(2, name) }
            if let size = link.totalByteCount { message.varint(3, size) }
            node.bytes(2, message.bytes)
        }
        if let data { node.bytes(1, data) }
        return node.bytes
    }

    /// Decodes a block strictly; data before the links (old blocks) is accepted.
    ///
    /// - Throws: `DagPBFault` for data between links, repeated or unknown fields, wrong wire types, link fields out of
    ///   order, or a link whose hash is not exactly one CID.
    public init(decoding bytes: ArraySlice<UInt8>) throws(DagPBFault) {
        self.init()
        var dataIndex: Int?
        var reader = Protobuf.Reader(bytes)
        while let field = try DagPBFault.next(&reader) {
            switch (field.number, field.value) {
            case (2, .bytes(let message)):
                if let dataIndex, dataIndex > 0 { throw .dataBetweenLinks }
                links.append(try Link(decoding: message))
            case (1, .bytes(let value)):
                guard data == nil else { throw .repeatedField(1) }
                data = Array(value)
                dataIndex = links.count
            default:
                throw .unexpectedField(field.number)
            }
        }
    }

    /// Decodes a block strictly.
    public init(decoding bytes: UnsafeRawBufferPointer) throws(DagPBFault) {
        try self.init(decoding: Array(bytes)[...])
    }
}

extension DagPBNode.Link {
    init(decoding bytes: ArraySlice<UInt8>) throws(DagPBFault) {
        var reader = Protobuf.Reader(bytes)
        var cid: CID?
        var name: [UInt8]?
        var size: UInt64?
        var last: UInt64 = 0
        while let field = try DagPBFault.next(&reader) {
            guard field.number <= 3 else { throw .unexpectedField(field.number) }
            guard field.number != last else { throw .repeatedField(field.number) }
            guard field.number > last else { throw .fieldOrder(field.number) }
            last = field.number
            switch (field.number, field.value) {
            case (1, .bytes(let value)):
                do throws(CIDFault) { cid = try CID(bytes: value) } catch { throw .cid(error) }
            case (2, .bytes(let value)): name = Array(value)
            case (3, .varint(let value)): size = value
            default: throw .unexpectedField(field.number)
            }
        }
        guard let cid else { throw .linkWithoutHash }
        self.init(cid: cid, name: name, totalByteCount: size)
    }
}

/// Why a block is not a dag-pb node.
public enum DagPBFault: Error, Equatable, Sendable {
    case dataBetweenLinks
    case repeatedField(UInt64)
    case unexpectedField(UInt64)
    case fieldOrder(UInt64)
    case linkWithoutHash
    case cid(CIDFault)
    case protobuf(Protobuf.Fault)

    static func next(_ reader: inout Protobuf.Reader) throws(DagPBFault) -> Protobuf.Field? {
        do throws(Protobuf.Fault) { return try reader.next() } catch { throw .protobuf(error) }
    }
}
