import Multiformats

/// The balanced tree over a file's leaves, built as they come, in memory of one node per level.
///
/// Runs of `maxLinkCount` nodes, and at the end also shorter runs (even of one), are wrapped in an inner node, level by
/// level, until one node is left. **Source** FORMATS section 4.
struct BalancedLayout {
    private let ingest: Ingest
    private let settings: ImportSettings
    /// Nodes of each level that have no parent yet; leaves are level 0.
    private var levels: [[ImportedNode]] = [[]]

    init(ingest: Ingest, settings: ImportSettings) {
        self.ingest = ingest
        self.settings = settings
    }

    mutating func append(_ leaf: ImportedNode) throws(BlockStoreError) { try append(leaf, at: 0) }

    /// Wraps what is left and gives the root; at least one leaf was appended.
    mutating func finish() throws(BlockStoreError) -> ImportedNode {
        var level = 0
        while true {
            if level == levels.count - 1, levels[level].count == 1 { return levels[level][0] }
            if !levels[level].isEmpty { try wrap(level) }
            level += 1
        }
    }

    private mutating func append(_ node: ImportedNode, at level: Int) throws(BlockStoreError) {
        if level == levels.count { levels.append([]) }
        levels[level].append(node)
        if levels[level].count == settings.maxLinkCount { try wrap(level) }
    }

    private mutating func wrap(_ level: Int) throws(BlockStoreError) {
        let children = levels[level]
        levels[level] = []
        let file = UnixFSData(
            kind: .file,
            fileByteCount: children.reduce(0) { $0 + $1.fileByteCount },
            blockByteCounts: children.map(\.fileByteCount)
        )
        let links = children.map { DagPBNode.Link(cid: $0.cid, name: [], totalByteCount: $0.totalByteCount) }
        let (cid, byteCount) = try ingest.put(DagPBNode(links: links, data: file.encoded()), settings)
        let node = ImportedNode(
            cid: cid,
            fileByteCount: file.fileByteCount ?? 0,
            totalByteCount: children.reduce(byteCount) { $0 + $1.totalByteCount }
        )
        try append(node, at: level + 1)
    }
}
