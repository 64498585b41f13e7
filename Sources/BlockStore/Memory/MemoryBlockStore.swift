public import Multiformats
import Synchronization

/// Blocks in memory: for tests and simulations, with the behaviour of the SQLite store.
public final class MemoryBlockStore: BlockStore {
    struct State {
        var blocks: [Multihash: [UInt8]] = [:]
        var quarantine: Set<Multihash> = []
        var byteCount: UInt64 = 0
        var pins: [String: CID] = [:]
        /// What each lease names, and whether it alone put it.
        var leases: [Int: [Multihash: Bool]] = [:]
        /// What each lease holds by its root.
        var heldRoots: [Int: [CID]] = [:]
        var nextLease = 0
    }

    let limitByteCount: UInt64?
    let state = Mutex(State())

    /// An empty store.
    ///
    /// - Parameter limitByteCount: most bytes of blocks that it takes; `nil` for no limit.
    public init(limitByteCount: UInt64? = nil) { self.limitByteCount = limitByteCount }

    /// Whether the block is here; identity CIDs always are.
    public func contains(_ multihash: Multihash) -> Bool {
        multihash.code == Multihash.identityCode || state.withLock { $0.blocks[multihash] != nil }
    }

    /// Length of the block in bytes; `nil` when it is not here.
    public func byteCount(of cid: CID) -> Int? {
        cid.multihash.code == Multihash.identityCode
            ? cid.multihash.digest.count : state.withLock { $0.blocks[cid.multihash]?.count }
    }

    /// Hands the verified block to `body`; the pointer is valid only inside it.
    public func withBlock<R>(_ cid: CID, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        if cid.multihash.code == Multihash.identityCode {
            return try cid.multihash.digest.withUnsafeBytes(body)
        }
        guard let bytes = state.withLock({ $0.blocks[cid.multihash] }) else {
            throw BlockStoreError.notFound(cid)
        }
        return try bytes.withUnsafeBytes { buffer in
            guard try Verification.matches(cid.multihash, buffer) else {
                quarantine(cid.multihash)
                throw BlockStoreError(.corrupt, "block \(cid) was damaged in the store", cid: cid)
            }
            return try body(buffer)
        }
    }

    /// Starts a lease and gives the ingest that holds it.
    public func makeIngest() -> Ingest {
        let lease = state.withLock { state in
            state.nextLease += 1
            state.leases[state.nextLease] = [:]
            return state.nextLease
        }
        return Ingest(MemoryIngest(store: self, lease: lease))
    }

    /// Every pin, by name.
    public func pins() -> [Pin] {
        state.withLock { $0.pins.map { Pin(name: $0.key, root: $0.value) } }.sorted { $0.name < $1.name }
    }

    /// Removes a pin; `false` when there was none of that name.
    public func unpin(_ name: String) -> Bool { state.withLock { $0.pins.removeValue(forKey: name) != nil } }

    /// Removes every block that no pin and no lease protects.
    public func collectGarbage(removed: (Multihash) -> Void) throws(BlockStoreError) -> GarbageReport {
        let (report, gone) = try state.withLock { (state) throws(BlockStoreError) in
            let (kept, damagedPins) = try state.marked()
            let leased = try state.leased()
            var report = GarbageReport()
            report.damagedPins = damagedPins
            report.markedBlockCount = kept.count
            guard damagedPins.isEmpty else { return (report, [Multihash]()) }
            let gone = state.blocks.keys.filter { !kept.contains($0) && !leased.contains($0) }
            report.removedBlockCount = gone.count
            report.removedByteCount = gone.reduce(0) { $0 + UInt64(state.remove($1)) }
            state.quarantine = []
            return (report, gone)
        }
        gone.forEach(removed)
        return report
    }

    /// Removes one block that no pin and no lease protects.
    public func remove(_ cid: CID) throws(BlockStoreError) {
        try state.withLock { (state) throws(BlockStoreError) in
            guard state.blocks[cid.multihash] != nil else { throw .notFound(cid) }
            guard try !state.marked().kept.contains(cid.multihash) else {
                throw BlockStoreError(.pinned, "block \(cid) is pinned; remove the pin first", cid: cid)
            }
            guard try !state.leased().contains(cid.multihash) else {
                throw BlockStoreError(.inUse, "block \(cid) is in use by a running add or job", cid: cid)
            }
            _ = state.remove(cid.multihash)
        }
    }

    /// Calls `body` for every block, in no particular order.
    public func forEachBlock(_ body: (Multihash, _ byteCount: Int) throws -> Void) throws {
        let all = state.withLock { $0.blocks.map { (multihash: $0.key, byteCount: $0.value.count) } }
        for (multihash, byteCount) in all {
            try body(multihash, byteCount)
        }
    }

    /// Figures for `repo stat`.
    public func statistics() -> StoreStatistics {
        state.withLock { state in
            var figures = StoreStatistics()
            figures.blockCount = state.blocks.count
            figures.blockByteCount = state.byteCount
            figures.limitByteCount = limitByteCount
            figures.pinCount = state.pins.count
            figures.quarantinedBlockCount = state.quarantine.count
            return figures
        }
    }

    /// Reads and hashes every block; corrupt ones go to quarantine.
    public func verify(progress: (Int) -> Void) throws(BlockStoreError) -> VerifyReport {
        var report = VerifyReport()
        report.corrupt = state.withLock { Array($0.quarantine) }
        for (multihash, bytes) in state.withLock({ $0.blocks }) {
            if try !bytes.withBytes({ (buffer) throws(BlockStoreError) in
                try Verification.matches(multihash, buffer)
            }) {
                quarantine(multihash)
                report.corrupt.append(multihash)
            } else {
                report.checkedBlockCount += 1
                progress(report.checkedBlockCount)
            }
        }
        return report
    }

    /// Flips one bit of a stored block, as a bad disk would: for tests and simulations.
    ///
    /// - Returns: `false` when the block is not here or empty.
    public func damage(_ cid: CID) -> Bool {
        state.withLock { state in
            guard state.blocks[cid.multihash]?.isEmpty == false else { return false }
            state.blocks[cid.multihash]?[0] ^= 1
            return true
        }
    }

    private func quarantine(_ multihash: Multihash) { state.withLock { $0.setAside(multihash) } }
}

extension MemoryBlockStore.State {
    /// - Returns: the block's length, 0 when it was not there.
    mutating func remove(_ multihash: Multihash) -> Int {
        guard let bytes = blocks.removeValue(forKey: multihash) else { return 0 }
        byteCount -= UInt64(bytes.count)
        return bytes.count
    }

    /// Moves a block whose bytes do not match out of the way.
    mutating func setAside(_ multihash: Multihash) {
        _ = remove(multihash)
        quarantine.insert(multihash)
        for lease in leases.keys { leases[lease]?[multihash] = nil }
    }

    /// The multihashes that pins reach, and the pins that could not be walked to their end.
    mutating func marked() throws(BlockStoreError) -> (kept: Set<Multihash>, damagedPins: [DamagedPin]) {
        var kept: Set<Multihash> = []
        var walked: Set<CID> = []
        var damagedPins: [DamagedPin] = []
        for (name, root) in pins.sorted(by: { $0.key < $1.key }) {
            if let damage = try mark(root, &kept, &walked) {
                let pin = Pin(name: name, root: root)
                damagedPins.append(DamagedPin(pin: pin, node: damage.node, reason: damage.reason))
            }
        }
        return (kept, damagedPins)
    }

    /// The multihashes that leases name or reach.
    mutating func leased() throws(BlockStoreError) -> Set<Multihash> {
        var kept = Set(leases.values.flatMap(\.keys))
        var walked: Set<CID> = []
        for root in heldRoots.values.flatMap({ $0 }) { _ = try mark(root, &kept, &walked) }
        return kept
    }

    private mutating func mark(
        _ root: CID,
        _ kept: inout Set<Multihash>,
        _ walked: inout Set<CID>
    ) throws(BlockStoreError) -> (node: CID, reason: String)? {
        var damage: (node: CID, reason: String)?
        var stack = [root]
        while let cid = stack.popLast() {
            guard walked.insert(cid).inserted else { continue }
            do throws(BlockStoreError) {
                stack += try links(of: cid)
            } catch {
                guard error.isOfOneBlock else { throw error }
                if damage == nil { damage = (cid, error.message) }
            }
            if blocks[cid.multihash] != nil { kept.insert(cid.multihash) }
        }
        return damage
    }

    private mutating func links(of cid: CID) throws(BlockStoreError) -> [CID] {
        guard DAGLinks.mayHaveLinks(cid) else { return [] }
        let isIdentity = cid.multihash.code == Multihash.identityCode
        guard let bytes = isIdentity ? cid.multihash.digest : blocks[cid.multihash] else {
            throw .notFound(cid)
        }
        return try bytes.withBytes { (buffer) throws(BlockStoreError) in
            guard try Verification.matches(cid.multihash, buffer) else {
                setAside(cid.multihash)
                throw BlockStoreError(.corrupt, "block \(cid) was damaged in the store", cid: cid)
            }
            return try DAGLinks.links(of: cid, buffer)
        }
    }
}

/// One lease in a store in memory.
private final class MemoryIngest: IngestBackend {
    private let store: MemoryBlockStore
    private let lease: Int

    init(store: MemoryBlockStore, lease: Int) {
        self.store = store
        self.lease = lease
    }

    func write(_ batch: [StagedBlock]) throws(BlockStoreError) {
        try store.state.withLock { (state) throws(BlockStoreError) in
            let added = batch.reduce(UInt64(0)) { $0 + UInt64($1.bytes.count) }
            if let limit = store.limitByteCount, state.byteCount + added > limit {
                throw BlockStoreError(.full, "the store would pass its limit of \(limit) bytes")
            }
            for block in batch {
                if state.blocks[block.multihash] != nil {
                    state.share(block.multihash, lease)
                } else {
                    state.blocks[block.multihash] = Array(block.bytes.bytes)
                    state.byteCount += UInt64(block.bytes.count)
                    state.leases[lease, default: [:]][block.multihash] = true
                    state.quarantine.remove(block.multihash)
                }
            }
        }
    }

    func protect(_ multihashes: [Multihash]) -> Int? {
        store.state.withLock { state in
            for multihash in multihashes where state.blocks[multihash] != nil {
                state.share(multihash, lease)
            }
            return multihashes.firstIndex { state.blocks[$0] == nil }
        }
    }

    func hold(_ roots: [CID]) {
        store.state.withLock { state in
            state.heldRoots[lease, default: []] += roots
            for other in state.leases.keys where other != lease {
                state.leases[other] = state.leases[other]?.mapValues { _ in false }
            }
        }
    }

    func finish(_ end: IngestEnd) {
        store.state.withLock { state in
            for pin in end.pins { state.pins[pin.name] = pin.root }
            if end.closes { state.end(lease) }
        }
    }

    func abandon() {
        store.state.withLock { state in
            for (multihash, isSole) in state.leases[lease] ?? [:] where isSole { _ = state.remove(multihash) }
            state.end(lease)
        }
    }
}

extension MemoryBlockStore.State {
    mutating func end(_ lease: Int) {
        leases[lease] = nil
        heldRoots[lease] = nil
    }

    mutating func share(_ multihash: Multihash, _ lease: Int) {
        for other in leases.keys where other != lease && leases[other]?[multihash] == true {
            leases[other]?[multihash] = false
        }
        if leases[lease]?[multihash] == nil { leases[lease, default: [:]][multihash] = false }
    }
}
