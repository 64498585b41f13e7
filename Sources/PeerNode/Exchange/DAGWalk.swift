import Multiformats

/// The order in which a fetch looks at blocks: given roots, or whole DAGs depth first, as a reader needs them.
struct DAGWalk {
    let followsLinks: Bool
    /// Blocks to look at, the next one last.
    private var pending: [CID]
    /// Inner nodes that were taken; a DAG may reach one on many ways.
    private var visited: Set<CID> = []
    /// Leaves that were taken and may not be visible in the store yet.
    private var unsettled: Set<CID> = []

    init(_ roots: [CID], followsLinks: Bool) {
        self.followsLinks = followsLinks
        pending = roots.reversed()
    }

    /// Nothing is left to look at, unless links are pushed.
    var isEmpty: Bool { pending.isEmpty }

    /// The next blocks to look at, each only once.
    mutating func take(_ limit: Int) -> [CID] {
        var taken: [CID] = []
        while taken.count < limit, let cid = pending.popLast() {
            let isNew =
                followsLinks && cid.mayHaveLinks
                ? visited.insert(cid).inserted : unsettled.insert(cid).inserted
            if isNew { taken.append(cid) }
        }
        return taken
    }

    /// Adds the children of a block, to be looked at before what is pending.
    mutating func push(_ links: [CID]) throws(ExchangeError) {
        guard pending.count + links.count <= ExchangeLimits.maxPendingLinkCount else {
            throw ExchangeError(
                .badDAG,
                "the DAG has over \(ExchangeLimits.maxPendingLinkCount) blocks side by side"
            )
        }
        pending.append(contentsOf: links.reversed())
    }

    /// What was taken and stored is visible in the store now.
    mutating func settle() { unsettled.removeAll(keepingCapacity: true) }
}
