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
            let kept = try state.marked()
            let leased = Set(state.leases.values.flatMap(\.keys))
            let gone = state.blocks.keys.filter { !kept.contains($0) && !leased.contains($0) }
            var report = GarbageReport()
            report.markedBlockCount = kept.count
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
            guard try !state.marked().contains(cid.multihash) else {
                throw BlockStoreError(.pinned, "block \(cid) is pinned; remove the pin first", cid: cid)
            }
            guard !state.leases.values.contains(where: { $0[cid.multihash] != nil }) else {
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

    private func quarantine(_ multihash: Multihash) {
        state.withLock { state in
            _ = state.remove(multihash)
            state.quarantine.insert(multihash)
        }
    }
}

extension MemoryBlockStore.State {
    /// - Returns: the block's length, 0 when it was not there.
    mutating func remove(_ multihash: Multihash) -> Int {
        guard let bytes = blocks.removeValue(forKey: multihash) else { return 0 }
        byteCount -= UInt64(bytes.count)
        return bytes.count
    }

    /// The multihashes that pins reach.
    func marked() throws(BlockStoreError) -> Set<Multihash> {
        var marks: Set<Multihash> = []
        var walked: Set<CID> = []
        var stack = Array(pins.values)
        while let cid = stack.popLast() {
            guard walked.insert(cid).inserted else { continue }
            marks.insert(cid.multihash)
            guard DAGLinks.mayHaveLinks(cid) else { continue }
            guard let bytes = blocks[cid.multihash] else { throw .notFound(cid) }
            stack += try bytes.withBytes { (buffer) throws(BlockStoreError) in
                try DAGLinks.links(of: cid, buffer)
            }
        }
        return marks
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

    func finish(_ end: IngestEnd) {
        store.state.withLock { state in
            for pin in end.pins { state.pins[pin.name] = pin.root }
            if end.closes { state.leases[lease] = nil }
        }
    }

    func abandon() {
        store.state.withLock { state in
            for (multihash, isSole) in state.leases.removeValue(forKey: lease) ?? [:] where isSole {
                _ = state.remove(multihash)
            }
        }
    }
}

extension MemoryBlockStore.State {
    mutating func share(_ multihash: Multihash, _ lease: Int) {
        for other in leases.keys where other != lease && leases[other]?[multihash] == true {
            leases[other]?[multihash] = false
        }
        if leases[lease]?[multihash] == nil { leases[lease, default: [:]][multihash] = false }
    }
}
