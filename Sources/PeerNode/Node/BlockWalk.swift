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

    /// A block that cannot be had, and a pin that needs it.
    struct Missing {
        var cid: CID
        var pin: String
    }

    /// Blocks that are not in the store, or are wrong, though a pin needs them, at most `missingLimit`; each once.
    static func missing(under pins: [Pin], in store: any BlockStore) throws -> [Missing] {
        var missing: [Missing] = []
        var seen: Set<Multihash> = []
        for pin in pins {
            var waiting = seen.insert(pin.root.multihash).inserted ? [pin.root] : []
            while let cid = waiting.popLast() {
                guard missing.count < missingLimit else { return missing }
                do {
                    for link in try read(cid, in: store).links where seen.insert(link.multihash).inserted {
                        waiting.append(link)
                    }
                } catch let error as BlockStoreError where error.code == .notFound || error.code == .corrupt {
                    missing.append(Missing(cid: cid, pin: pin.name))
                }
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
