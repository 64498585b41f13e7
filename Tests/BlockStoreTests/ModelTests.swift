import BlockStore
import Multiformats
import Testing

/// What a store should hold, in sets.
private struct Model {
    struct Lease {
        var blocks: Set<Int> = []
        /// Put by this lease alone.
        var sole: Set<Int> = []
        var roots: Set<Int> = []
    }

    var present: Set<Int> = []
    var pins: [String: Int] = [:]
    var leases: [Int: Lease] = [:]

    mutating func put(_ block: Int, _ lease: Int) {
        if present.insert(block).inserted {
            leases[lease]?.sole.insert(block)
        } else {
            for other in leases.keys where other != lease { leases[other]?.sole.remove(block) }
        }
        leases[lease]?.blocks.insert(block)
    }

    mutating func hold(_ root: Int, _ lease: Int) {
        leases[lease]?.roots.insert(root)
        for other in leases.keys where other != lease { leases[other]?.sole = [] }
    }

    mutating func abandon(_ lease: Int) { present.subtract(leases.removeValue(forKey: lease)?.sole ?? []) }

    mutating func damage(_ block: Int) {
        present.remove(block)
        for lease in leases.keys {
            leases[lease]?.blocks.remove(block)
            leases[lease]?.sole.remove(block)
        }
    }

    /// Blocks that are here and reached through nodes that are here.
    func reached(_ roots: some Sequence<Int>) -> Set<Int> {
        var found: Set<Int> = []
        var stack = Array(roots)
        while let block = stack.popLast() {
            guard present.contains(block), found.insert(block).inserted else { continue }
            stack += Universe.links[block]
        }
        return found
    }

    var inUse: Set<Int> {
        leases.values.reduce(into: []) { $0.formUnion($1.blocks.union(reached($1.roots))) }
    }
}

/// Sixteen blocks: ten leaves, and six directories that link leaves and earlier directories.
private enum Universe {
    static let links: [[Int]] =
        Array(repeating: [], count: 10) + [[0, 1], [1, 2, 3], [10, 4], [11, 12, 5], [13, 10, 6, 7], [8]]
    static let blocks: [(cid: CID, bytes: [UInt8])] = {
        var made: [(cid: CID, bytes: [UInt8])] = []
        for (index, children) in links.enumerated() {
            let isLeaf = children.isEmpty
            let node = DagPBNode(
                links: children.map {
                    DagPBNode.Link(cid: made[$0].cid, name: Array("\($0)".utf8), totalByteCount: 0)
                },
                data: UnixFSData(kind: .directory).encoded()
            )
            let bytes = isLeaf ? [UInt8](repeating: UInt8(index), count: 100 + index) : node.encoded()
            made.append((CID.of(bytes, codec: isLeaf ? .raw : .dagPB), bytes))
        }
        return made
    }()
}

@Suite struct ModelTests {
    @Test(arguments: StoreKind.allCases, [1, 2, 3] as [UInt64])
    func randomOperationsDoWhatTheModelDoes(_ kind: StoreKind, _ seed: UInt64) throws {
        let folder = try ScratchFolder()
        let store = try kind.make(folder)
        var run = Run(kind: kind, folder: folder, store: store, random: SplitMix(state: seed))
        for step in 0..<250 {
            let what = try run.step()
            let present = try Universe.blocks.indices.filter {
                try store.contains(Universe.blocks[$0].cid.multihash)
            }
            try #require(Set(present) == run.model.present, "step \(step): \(what)")
            #expect(try store.statistics().blockCount == present.count)
        }
        #expect(
            try store.statistics().blockByteCount
                == run.model.present.reduce(0) { $0 + UInt64(Universe.blocks[$1].bytes.count) }
        )
    }
}

/// One run of random operations against a store and the model.
private struct Run {
    let kind: StoreKind
    let folder: ScratchFolder
    let store: any BlockStore
    var random: SplitMix
    var model = Model()
    var ingests: [Int: Ingest] = [:]
    var nextLease = 0

    /// Does something to both.
    mutating func step() throws -> String {
        let block = Int.random(in: Universe.blocks.indices, using: &random)
        let cid = Universe.blocks[block].cid
        guard let lease = ingests.keys.sorted().randomElement(using: &random) else { return try open() }
        guard let ingest = ingests[lease] else { return "" }
        switch Int.random(in: 0..<20, using: &random) {
        case 0: return ingests.count < 3 ? try open() : "nothing"
        case 1..<8:
            try ingest.put(cid, Universe.blocks[block].bytes)
            try ingest.flush()
            model.put(block, lease)
            return "put \(block) by \(lease)"
        case 8..<11: return try pin(10 + block % 6, lease, ingest)
        case 11:
            let name = "\(block % 3)"
            #expect(try store.unpin(name) == (model.pins.removeValue(forKey: name) != nil))
            return "unpin \(name)"
        case 12..<14: return try collect()
        case 14:
            try ingest.close()
            forget(lease)
            model.leases[lease] = nil
            return "close \(lease)"
        case 15:
            try ingest.abandon()
            forget(lease)
            model.abandon(lease)
            return "abandon \(lease)"
        case 16 where model.present.contains(block):
            try kind.damage(cid, in: store, folder)
            let error = #expect(throws: BlockStoreError.self) { try store.block(cid) }
            #expect(error?.code == .corrupt)
            model.damage(block)
            return "damage \(block)"
        default: return try remove(block)
        }
    }

    private mutating func forget(_ lease: Int) { ingests[lease] = nil }

    private mutating func open() throws -> String {
        nextLease += 1
        ingests[nextLease] = try store.makeIngest()
        model.leases[nextLease] = Model.Lease()
        return "open \(nextLease)"
    }

    private mutating func pin(_ root: Int, _ lease: Int, _ ingest: Ingest) throws -> String {
        let cid = Universe.blocks[root].cid
        model.hold(root, lease)
        let missing = Result { () throws(BlockStoreError) in try ingest.protectDAG(cid, in: store) }
        if case .failure(let error) = missing {
            #expect(error.code == .notFound)
            #expect(!isComplete(root))
            return "hold \(root) by \(lease)"
        }
        try ingest.pin("\(root % 3)", cid)
        #expect(isComplete(root))
        model.pins["\(root % 3)"] = root
        return "pin \(root) by \(lease)"
    }

    private func isComplete(_ block: Int) -> Bool {
        model.present.contains(block) && Universe.links[block].allSatisfy(isComplete)
    }

    private mutating func collect() throws -> String {
        let kept = model.reached(model.pins.values).union(model.inUse)
        let report = try store.collectGarbage()
        let damaged = model.pins.filter { pin in
            model.reached([pin.value]).union([pin.value]).contains { block in
                ([block] + Universe.links[block]).contains { $0 >= 10 && !model.present.contains($0) }
            }
        }
        // A node that two pins lack may be told for one of them only.
        #expect(report.damagedPins.isEmpty == damaged.isEmpty)
        #expect(Set(report.damagedPins.map(\.pin.name)).isSubset(of: damaged.keys))
        guard damaged.isEmpty else {
            #expect(report.removedBlockCount == 0)
            return "collect nothing"
        }
        #expect(report.removedBlockCount == model.present.subtracting(kept).count)
        model.present.formIntersection(kept)
        return "collect"
    }

    private mutating func remove(_ block: Int) throws -> String {
        let expected: BlockStoreError.Code? =
            if !model.present.contains(block) {
                .notFound
            } else if model.reached(model.pins.values).contains(block) {
                .pinned
            } else if model.inUse.contains(block) {
                .inUse
            } else {
                nil
            }
        let removed = Result { () throws(BlockStoreError) in try store.remove(Universe.blocks[block].cid) }
        switch removed {
        case .success:
            #expect(expected == nil)
            model.present.remove(block)
        case .failure(let error): #expect(error.code == expected)
        }
        return "remove \(block)"
    }
}
