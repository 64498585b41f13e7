import Database
import Multiformats

/// Garbage collection of the SQLite store: mark from the pins, then delete the difference in short transactions.
///
/// Adds, pins and reads go on meanwhile; what keeps them safe is checked inside each deleting transaction:
/// - blocks put since the start have row ids above `horizon` and are no candidates (ids are never used again);
/// - older blocks that a running add or job touches are in `leased_block`;
/// - what a lease holds by its root is marked like what a pin keeps;
/// - a pin or such a root set since the last look (their ids only grow) makes the transaction give way until it is marked, and a lease
///   ends in the same transaction that sets its pin, so there is no moment between the two.
///
/// Where a pin lacks an inner node, or has a damaged one, what that node kept cannot be told from garbage: nothing is
/// swept, and the pin is reported.
struct SQLiteCollector {
    private let store: SQLiteBlockStore
    private let marks: MarkSet
    private let horizon: Int64
    private var lastPin: Int64 = 0
    private var lastRoot: Int64 = 0
    private var damagedPins: [DamagedPin] = []

    private var core: SQLiteCore { store.core }

    init(store: SQLiteBlockStore) throws(BlockStoreError) {
        self.store = store
        let core = store.core
        do { marks = try MarkSet() } catch { throw core.fault(error) }
        horizon = try core.read { try $0.connection.integer("SELECT max(id) FROM block") ?? 0 }
        try core.writer.run { try core.sessions.reap($0) }
    }

    mutating func run(removed: (Multihash) -> Void) throws(BlockStoreError) -> GarbageReport {
        try markNewPins()
        try markNewRoots()
        var report = GarbageReport()
        do { report.markedBlockCount = try marks.count() } catch { throw core.fault(error) }
        var last: Int64 = 0
        while last < horizon, damagedPins.isEmpty {
            let page = try core.page(after: last).filter { $0.id <= horizon }
            guard let end = page.last else { break }
            last = end.id
            try sweep(page, &report, removed: removed)
        }
        if damagedPins.isEmpty {
            _ = try core.writer.run { try $0.run("DELETE FROM quarantine") }
        }
        try core.returnFreePages()
        report.damagedPins = damagedPins
        return report
    }

    /// Removes what some roots reach and nothing protects.
    mutating func run(under roots: [CID]) throws(BlockStoreError) -> GarbageReport {
        var candidates: [Row] = []
        var seen: Set<Int64> = []
        var stack = roots
        while let cid = stack.popLast() {
            guard let id = try id(of: cid), id <= horizon, seen.insert(id).inserted else { continue }
            candidates.append((id, cid.multihash.bytes, try store.byteCount(of: cid) ?? 0))
            // What cannot be followed is left to the next collection.
            if DAGLinks.mayHaveLinks(cid) { stack += (try? links(of: cid)) ?? [] }
        }
        try markNewPins()
        try markNewRoots()
        var report = GarbageReport()
        try sweep(candidates, &report, removed: { _ in })
        report.damagedPins = damagedPins
        return report
    }

    /// Removes one block unless a pin or a lease protects it.
    mutating func remove(_ cid: CID) throws(BlockStoreError) {
        while true {
            try markNewPins()
            guard let id = try id(of: cid) else { throw .notFound(cid) }
            if try isMarked(id) {
                throw BlockStoreError(.pinned, "block \(cid) is pinned; remove the pin first", cid: cid)
            }
            try markNewRoots()
            let isHeld = try isMarked(id)
            guard let gone = isHeld ? [] : try delete([id]) else { continue }
            guard !gone.isEmpty else {
                throw BlockStoreError(.inUse, "block \(cid) is in use by a running add or job", cid: cid)
            }
            return
        }
    }

    // MARK: Mark

    /// Marks what pins reach that were set since the last call.
    private mutating func markNewPins() throws(BlockStoreError) {
        let last = lastPin
        let fresh = try core.read { [core] reader in try core.pins(reader.connection, after: last) }
        for (id, pin) in fresh {
            if let fault = try mark(pin.root) {
                damagedPins.append(DamagedPin(pin: pin, node: fault.node, reason: fault.reason))
            }
            lastPin = id
        }
    }

    /// Marks what leases hold by a root since the last call.
    private mutating func markNewRoots() throws(BlockStoreError) {
        let last = lastRoot
        let fresh = try core.read { [core] reader in try core.leasedRoots(reader.connection, after: last) }
        for (id, root) in fresh {
            // What is missing of a running job's input is the job's business.
            _ = try mark(root)
            lastRoot = id
        }
    }

    /// Marks what a root reaches.
    ///
    /// - Returns: the first node that cannot be read.
    private func mark(_ root: CID) throws(BlockStoreError) -> (node: CID, reason: String)? {
        var stack = [root]
        var damage: (node: CID, reason: String)?
        while let cid = stack.popLast() {
            do throws(BlockStoreError) {
                stack += try children(marking: cid)
            } catch {
                // What lies below is not known, so nothing may be swept; the rest is marked to name every such pin.
                guard error.isOfOneBlock else { throw error }
                if damage == nil { damage = (cid, error.message) }
            }
        }
        return damage
    }

    /// Marks a block; gives its links unless they were followed before.
    private func children(marking cid: CID) throws(BlockStoreError) -> [CID] {
        let follows = DAGLinks.mayHaveLinks(cid)
        if cid.multihash.code != Multihash.identityCode {
            guard let id = try id(of: cid) else {
                // A leaf that is not here has nothing to protect.
                if follows { throw .notFound(cid) }
                return []
            }
            guard try insertMark(id, walking: follows) else { return [] }
        }
        return follows ? try links(of: cid) : []
    }

    private func links(of cid: CID) throws(BlockStoreError) -> [CID] {
        do { return try store.withBlock(cid) { try DAGLinks.links(of: cid, $0) } } catch {
            throw core.fault(error)
        }
    }

    private func id(of cid: CID) throws(BlockStoreError) -> Int64? {
        try core.read { reader in
            try reader.connection.integer(
                "SELECT id FROM block WHERE multihash = ?",
                .blob(cid.multihash.bytes)
            )
        }
    }

    private func insertMark(_ id: Int64, walking: Bool) throws(BlockStoreError) -> Bool {
        do { return try marks.insert(id, walking: walking) } catch { throw core.fault(error) }
    }

    private func isMarked(_ id: Int64) throws(BlockStoreError) -> Bool {
        do { return try marks.contains(id) } catch { throw core.fault(error) }
    }

    // MARK: Sweep

    private typealias Row = (id: Int64, multihash: [UInt8], byteCount: Int)

    private mutating func sweep(
        _ page: [Row],
        _ report: inout GarbageReport,
        removed: (Multihash) -> Void
    ) throws(BlockStoreError) {
        var rest = page[...]
        while !rest.isEmpty, damagedPins.isEmpty {
            let batch = try unmarked(rest.prefix(BlockWriter.removalBlockCount))
            guard let gone = try delete(batch.map(\.id)) else {
                try markNewPins()
                try markNewRoots()
                continue
            }
            rest = rest.dropFirst(BlockWriter.removalBlockCount)
            for row in batch where gone.contains(row.id) {
                report.removedBlockCount += 1
                report.removedByteCount += UInt64(row.byteCount)
                removed(try CIDFault.multihash(row.multihash))
            }
        }
    }

    private func unmarked(_ rows: ArraySlice<Row>) throws(BlockStoreError) -> [Row] {
        var kept: [Row] = []
        for row in rows where try !isMarked(row.id) { kept.append(row) }
        return kept
    }

    /// Deletes the blocks that no lease names.
    ///
    /// - Returns: those deleted; `nil` when there is a pin or root not marked yet, and nothing was deleted.
    private func delete(_ ids: [Int64]) throws(BlockStoreError) -> Set<Int64>? {
        guard !ids.isEmpty else { return [] }
        return try core.writer.run { [core, lastPin, lastRoot] connection in
            guard try connection.integer("SELECT max(id) FROM pin") ?? 0 <= lastPin,
                try connection.integer("SELECT max(id) FROM leased_root") ?? 0 <= lastRoot
            else { return nil }
            let writer = BlockWriter(connection, core)
            var gone: Set<Int64> = []
            for id in ids {
                let lease = try connection.integer("SELECT 1 FROM leased_block WHERE block = ?", .integer(id))
                if lease == nil, try writer.remove(id) != nil { gone.insert(id) }
            }
            return gone
        }
    }
}
