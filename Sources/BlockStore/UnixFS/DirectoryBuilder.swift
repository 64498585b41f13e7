import Multiformats

/// Makes UnixFS directories and symlinks.
public enum DirectoryBuilder {
    /// Puts a directory, in shards when it is too large for one block.
    ///
    /// - Parameters:
    ///   - entries: names and what they lead to, in any order; names are unique.
    ///   - ingest: where the block is put.
    ///   - settings: the CID version, and the size above which a directory is sharded.
    /// - Returns: the directory.
    /// - Throws: `.badPath` for a name that is not allowed or occurs twice.
    public static func directory(
        _ entries: [(name: [UInt8], node: ImportedNode)],
        into ingest: Ingest,
        settings: ImportSettings = .standard
    ) throws(BlockStoreError) -> ImportedNode {
        let sorted = entries.sorted { $0.name.lexicographicallyPrecedes($1.name) }
        for (index, entry) in sorted.enumerated() {
            let text = String(decoding: entry.name, as: UTF8.self)
            guard EntryName.isAllowed(entry.name) else {
                throw BlockStoreError(.badPath, "a directory cannot hold the name \"\(text)\"")
            }
            guard index == 0 || sorted[index - 1].name != entry.name else {
                throw BlockStoreError(.badPath, "a directory cannot hold the name \"\(text)\" twice")
            }
        }
        let links = sorted.map {
            DagPBNode.Link(cid: $0.node.cid, name: $0.name, totalByteCount: $0.node.totalByteCount)
        }
        let node = DagPBNode(links: links, data: UnixFSData(kind: .directory).encoded())
        if needsShards(node, settings) {
            return try ShardBuilder(ingest: ingest, settings: settings).root(sorted)
        }
        let (cid, byteCount) = try ingest.put(node, settings)
        let total = sorted.reduce(byteCount) { $0 + $1.node.totalByteCount }
        return ImportedNode(cid: cid, fileByteCount: 0, totalByteCount: total)
    }

    /// Puts a symlink with a target, which is kept as it is.
    public static func symlink(
        _ target: [UInt8],
        into ingest: Ingest,
        settings: ImportSettings = .standard
    ) throws(BlockStoreError) -> ImportedNode {
        let node = DagPBNode(data: UnixFSData(kind: .symlink, data: target).encoded())
        let (cid, byteCount) = try ingest.put(node, settings)
        return ImportedNode(cid: cid, fileByteCount: 0, totalByteCount: byteCount)
    }

    private static func needsShards(_ node: DagPBNode, _ settings: ImportSettings) -> Bool {
        let estimate =
            switch settings.directoryEstimate {
            case .links: node.links.reduce(0) { $0 + ($1.name?.count ?? 0) + $1.cid.bytes.count }
            case .block: node.encoded().count
            }
        return estimate > settings.directoryByteLimit
    }
}
