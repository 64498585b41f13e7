public import Multiformats

/// A file, directory or symlink that was built, as its parent needs to know it.
public struct ImportedNode: Hashable, Sendable {
    /// The node's block.
    public var cid: CID
    /// File bytes under it; 0 for directories and symlinks.
    public var fileByteCount: UInt64
    /// Encoded bytes of the whole DAG, shared blocks counted each time (Tsize).
    public var totalByteCount: UInt64

    /// Describes a node.
    public init(cid: CID, fileByteCount: UInt64, totalByteCount: UInt64) {
        self.cid = cid
        self.fileByteCount = fileByteCount
        self.totalByteCount = totalByteCount
    }
}

extension Ingest {
    /// Puts a dag-pb node under the CID version of `settings`.
    func put(_ node: DagPBNode, _ settings: ImportSettings) throws(BlockStoreError) -> (
        cid: CID, byteCount: UInt64
    ) {
        let block = node.encoded()
        let multihash = Multihash.sha256(of: block)
        let cid = settings.usesCIDv0 ? CID.v0(multihash) : CID(codec: .dagPB, multihash: multihash)
        try put(cid, block, verifying: false)
        return (cid, UInt64(block.count))
    }
}
