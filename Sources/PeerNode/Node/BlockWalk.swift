internal import BlockStore
internal import Multiformats

/// Walks over the distinct blocks of a DAG.
enum BlockWalk {
    /// Calls `body` once for every block under `root`, parents first.
    ///
    /// Memory grows with the number of distinct blocks: about a hundred bytes each.
    static func forEach(
        _ root: CID,
        in store: any BlockStore,
        _ body: (_ cid: CID, _ byteCount: Int) throws -> Void
    ) throws {
        var seen: Set<Multihash> = [root.multihash]
        var waiting = [root]
        while let cid = waiting.popLast() {
            let (links, byteCount) = try read(cid, in: store)
            try body(cid, byteCount)
            for link in links.reversed() where seen.insert(link.multihash).inserted { waiting.append(link) }
        }
    }

    /// Blocks that are not in the store though a root needs them, at most `missingLimit`.
    static func missing(under roots: [CID], in store: any BlockStore) throws -> [CID] {
        var missing: [CID] = []
        var seen = Set(roots.map(\.multihash))
        var waiting = roots
        while let cid = waiting.popLast(), missing.count < missingLimit {
            do {
                for link in try read(cid, in: store).links where seen.insert(link.multihash).inserted {
                    waiting.append(link)
                }
            } catch let error as BlockStoreError where error.code == .notFound || error.code == .corrupt {
                missing.append(cid)
            }
        }
        return missing
    }

    /// Most missing blocks that are listed.
    static let missingLimit = 1_000

    private static func read(_ cid: CID, in store: any BlockStore) throws -> (links: [CID], byteCount: Int) {
        if cid.codec == .raw {
            guard let byteCount = try store.byteCount(of: cid) else {
                throw BlockStoreError(.notFound, "block \(cid) is not in the store", cid: cid)
            }
            return ([], byteCount)
        }
        return try store.withBlock(cid) { (try DAGLinks.links(of: cid, $0), $0.count) }
    }
}
