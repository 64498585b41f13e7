public import Multiformats

/// Goes over every block of a DAG, depth first, parents before children, children in link order.
///
/// Each CID comes at its first visit only. A missing block is thrown as `.notFound` with its CID; after it has been
/// fetched, `next` may be called again and goes on.
public struct DAGWalker {
    /// A block on the way.
    public struct Step: Sendable {
        /// The block.
        public var cid: CID
        /// The block that links to it; `nil` for the root.
        public var parent: CID?
        /// Links between the root and it.
        public var depth: Int
    }

    private let store: any BlockStore
    private let readsLeaves: Bool
    private var stack: [Step]
    private var seen: Set<CID> = []

    /// Starts at a root.
    ///
    /// - Parameters:
    ///   - root: where to start.
    ///   - store: where the blocks are.
    ///   - checkingLeaves: look up blocks that cannot have links, too, and throw for missing ones.
    public init(root: CID, in store: any BlockStore, checkingLeaves: Bool = true) {
        self.store = store
        readsLeaves = checkingLeaves
        stack = [Step(cid: root, parent: nil, depth: 0)]
    }

    /// The next block; `nil` at the end.
    ///
    /// - Returns: the block and where it hangs.
    /// - Throws: `.notFound`, `.corrupt`, `.badNode`.
    public mutating func next() throws(BlockStoreError) -> Step? {
        while let step = stack.last {
            guard !seen.contains(step.cid) else {
                stack.removeLast()
                continue
            }
            let children = try children(of: step)
            stack.removeLast()
            seen.insert(step.cid)
            stack += children.reversed()
            return step
        }
        return nil
    }

    private func children(of step: Step) throws(BlockStoreError) -> [Step] {
        let cid = step.cid
        guard DAGLinks.mayHaveLinks(cid) else {
            if readsLeaves, try !store.contains(cid.multihash) { throw .notFound(cid) }
            return []
        }
        guard step.depth < Self.maxDepth else { throw .badNode(cid, "the DAG is nested too deeply") }
        let links: [CID]
        do { links = try store.withBlock(cid) { try DAGLinks.links(of: cid, $0) } } catch {
            throw .wrap(error)
        }
        return links.map { Step(cid: $0, parent: cid, depth: step.depth + 1) }
    }

    /// Deepest nesting that is walked: directories within directories, and the levels of their files.
    public static let maxDepth = 1024
}

extension BlockStore {
    /// Looks for a block of a DAG that is not here.
    ///
    /// - Returns: `nil` when the DAG is complete; else the `.notFound` that says which block, and at which offset.
    /// - Throws: what reading nodes throws.
    public func firstMissing(of root: CID) throws(BlockStoreError) -> BlockStoreError? {
        do throws(BlockStoreError) {
            try CompletenessWalk(store: self).run(root) { (cids) throws(BlockStoreError) in
                for cid in cids where try !contains(cid.multihash) { return cid }
                return nil
            }
        } catch {
            guard error.code == .notFound else { throw error }
            return error
        }
        return nil
    }
}

extension Ingest {
    /// Holds a DAG, and checks that none of its blocks is missing.
    ///
    /// - Parameters:
    ///   - root: the DAG.
    ///   - store: the store that this ingest belongs to.
    /// - Throws: `.notFound` with CID and file offset for the first missing block.
    public func protectDAG(_ root: CID, in store: any BlockStore) throws(BlockStoreError) {
        try hold([root])
        if let missing = try store.firstMissing(of: root) { throw missing }
    }
}

/// Visits every block of a DAG, knowing at which offset of which file it stands.
struct CompletenessWalk {
    private struct Place {
        var cid: CID
        var offset: UInt64?
        var depth: Int
    }

    let store: any BlockStore

    /// - Parameters:
    ///   - root: where to start.
    ///   - firstMissing: gives the first of some blocks that is not there.
    /// - Throws: `.notFound` for that block; `.corrupt`, `.badNode`.
    func run(
        _ root: CID,
        firstMissing: ([CID]) throws(BlockStoreError) -> CID?
    ) throws(BlockStoreError) {
        var stack = [Place(cid: root, offset: nil, depth: 0)]
        var seen: Set<CID> = [root]
        if let missing = try firstMissing([root]) { throw .notFound(missing) }
        while let place = stack.popLast() {
            guard DAGLinks.mayHaveLinks(place.cid) else { continue }
            guard place.depth < DAGWalker.maxDepth else {
                throw .badNode(place.cid, "the DAG is nested too deeply")
            }
            let children = try children(of: place).filter { seen.insert($0.cid).inserted }
            if let missing = try firstMissing(children.map(\.cid)) {
                let offset = children.first { $0.cid == missing }?.offset
                throw offset.map { BlockStoreError.notFound(missing).at(offset: $0) } ?? .notFound(missing)
            }
            stack += children.reversed().filter { DAGLinks.mayHaveLinks($0.cid) }
        }
    }

    private func children(of place: Place) throws(BlockStoreError) -> [Place] {
        do {
            return try store.withBlock(place.cid) { bytes in
                let depth = place.depth + 1
                // Files know their offsets; anything else is just links.
                if place.cid.codec == .dagPB, case .file(let file)? = try? UnixFSNode(place.cid, bytes) {
                    var offset = (place.offset ?? 0) + UInt64(file.inlineByteCount)
                    return file.children.map { child in
                        defer { offset += child.byteCount }
                        return Place(cid: child.cid, offset: offset, depth: depth)
                    }
                }
                return try DAGLinks.links(of: place.cid, bytes).map {
                    Place(cid: $0, offset: nil, depth: depth)
                }
            }
        } catch {
            throw .wrap(error)
        }
    }
}
