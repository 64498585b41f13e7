public import Multiformats

/// What a block is in the world of files.
public enum UnixFSNode: Sendable {
    case file(FileNode)
    case directory([DirectoryEntry])
    /// The root or an inner node of a directory that is too large for one block.
    case shard(DirectoryShard)
    /// The target, as it was written.
    case symlink([UInt8])

    /// An inner node or leaf of a file.
    public struct FileNode: Sendable {
        /// The node itself.
        public var cid: CID
        /// File bytes in the node itself, before those of its children; for a raw leaf only its length is known.
        public var inlineByteCount: Int
        /// Children in order, with the file bytes under each.
        public var children: [(cid: CID, byteCount: UInt64)]
        /// All file bytes under the node.
        public var byteCount: UInt64
    }

    /// One name in a directory.
    public struct DirectoryEntry: Sendable {
        /// The name, any bytes but none with `/` or NUL.
        public var name: [UInt8]
        /// What the name leads to.
        public var cid: CID
        /// Encoded bytes of the entry's DAG as its parent claims them: a hint.
        public var totalByteCount: UInt64
    }

    /// Reads the node of a CID.
    ///
    /// - Throws: `.notFound`, `.corrupt`, `.badNode`; `.unsupported` for metadata nodes.
    public static func read(_ cid: CID, in store: any BlockStore) throws(BlockStoreError) -> UnixFSNode {
        if cid.codec == .raw {
            guard let count = try store.byteCount(of: cid) else { throw .notFound(cid) }
            return .file(FileNode(cid: cid, inlineByteCount: count, children: [], byteCount: UInt64(count)))
        }
        do {
            return try store.withBlock(cid) { try UnixFSNode(cid, $0) }
        } catch {
            throw .wrap(error)
        }
    }

    /// Interprets a block that is not raw.
    init(_ cid: CID, _ bytes: UnsafeRawBufferPointer) throws(BlockStoreError) {
        let (node, message) = try Self.decode(cid, bytes)
        switch message.kind {
        case .file, .raw: self = .file(try FileNode(cid, node, message))
        case .directory:
            self = .directory(
                try node.links.map { (link) throws(BlockStoreError) in
                    try DirectoryEntry(name: link.name ?? [], link, of: cid)
                }
            )
        case .symlink: self = .symlink(message.data ?? [])
        case .hamtShard: self = .shard(try DirectoryShard(cid, node, message))
        case .metadata:
            throw BlockStoreError(
                .unsupported,
                "\(cid) is a UnixFS metadata node, which is not a file",
                cid: cid
            )
        }
    }

    static func decode(
        _ cid: CID,
        _ bytes: UnsafeRawBufferPointer
    ) throws(BlockStoreError) -> (DagPBNode, UnixFSData) {
        guard cid.codec == .dagPB else {
            throw BlockStoreError(.notAFile, "\(cid) is neither a file nor a directory", cid: cid)
        }
        let node: DagPBNode
        do throws(DagPBFault) { node = try DagPBNode(decoding: bytes) } catch {
            throw .badNode(cid, "not a dag-pb node (\(error))", cause: error)
        }
        do throws(UnixFSFault) {
            return (node, try UnixFSData(decoding: node.data ?? []))
        } catch {
            throw .badNode(cid, "not a UnixFS node (\(error))", cause: error)
        }
    }
}

extension UnixFSNode.FileNode {
    fileprivate init(_ cid: CID, _ node: DagPBNode, _ message: UnixFSData) throws(BlockStoreError) {
        guard node.links.count == message.blockByteCounts.count else {
            throw .badNode(cid, "\(node.links.count) links and \(message.blockByteCounts.count) block sizes")
        }
        guard node.links.allSatisfy({ $0.name?.isEmpty ?? true }) else {
            throw .badNode(cid, "a part of a file has a name")
        }
        let inlineByteCount = message.data?.count ?? 0
        var total = UInt64(inlineByteCount)
        for count in message.blockByteCounts {
            let (sum, overflows) = total.addingReportingOverflow(count)
            guard !overflows, sum <= UInt64(Int64.max) else { throw .badNode(cid, "block sizes overflow") }
            total = sum
        }
        guard message.fileByteCount ?? 0 == total || message.fileByteCount == nil else {
            throw .badNode(cid, "its parts have \(total) bytes and it claims \(message.fileByteCount ?? 0)")
        }
        let children = zip(node.links, message.blockByteCounts).map { (cid: $0.cid, byteCount: $1) }
        self.init(cid: cid, inlineByteCount: inlineByteCount, children: children, byteCount: total)
    }
}

extension UnixFSNode.DirectoryEntry {
    init(name: [UInt8], _ link: DagPBNode.Link, of directory: CID) throws(BlockStoreError) {
        guard EntryName.isAllowed(name) else {
            throw .badNode(directory, "an entry has a name that is not allowed")
        }
        self.init(name: name, cid: link.cid, totalByteCount: link.totalByteCount ?? 0)
    }
}

/// Names that an entry of a directory may have.
enum EntryName {
    /// Longest name, in bytes.
    static let maxByteCount = 4096

    static func isAllowed(_ name: [UInt8]) -> Bool {
        !name.isEmpty && name.count <= maxByteCount && name != [0x2e] && name != [0x2e, 0x2e]
            && !name.contains(0x2f) && !name.contains(0)
    }
}
