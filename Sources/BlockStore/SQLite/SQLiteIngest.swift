import Database
import Multiformats
import Synchronization

/// One lease in the SQLite store.
final class SQLiteIngest: IngestBackend {
    private struct Progress {
        /// Batches queued and not yet looked at, oldest first.
        var pending: [WriteQueue.Job] = []
        var fault: BlockStoreError?
    }

    private let core: SQLiteCore
    private let lease: Int64
    private let progress = Mutex(Progress())

    init(core: SQLiteCore, lease: Int64) {
        self.core = core
        self.lease = lease
    }

    func write(_ batch: [StagedBlock]) throws(BlockStoreError) {
        try collect(waiting: false)
        let byteCount = batch.reduce(0) { $0 + $1.bytes.count }
        try core.makeRoom(for: byteCount)
        let job = WriteQueue.Job(byteCount: byteCount, isDurable: false) { [core, lease] connection in
            try BlockWriter(connection, core).insert(batch, lease: lease)
        }
        try core.writer.submit(job)
        progress.withLock { $0.pending.append(job) }
    }

    func protect(_ multihashes: [Multihash]) throws(BlockStoreError) -> Int? {
        try collect(waiting: true)
        guard !multihashes.isEmpty else { return nil }
        return try core.writer.run { [core, lease] connection in
            let writer = BlockWriter(connection, core)
            var missing: Int?
            for (index, multihash) in multihashes.enumerated() {
                if try !writer.protect(multihash, lease: lease), missing == nil { missing = index }
            }
            return missing
        }
    }

    func hold(_ roots: [CID]) throws(BlockStoreError) {
        try collect(waiting: true)
        try core.writer.run { [lease] connection in
            for root in roots {
                try connection.run(
                    "INSERT INTO leased_root(lease, cid) VALUES(?, ?)",
                    .integer(lease),
                    .blob(root.bytes)
                )
            }
            // What others have put may be reached now: they must not take it back when they are abandoned.
            try connection.run(
                "UPDATE leased_block SET is_sole = 0 WHERE lease <> ? AND is_sole = 1",
                .integer(lease)
            )
        }
    }

    func finish(_ end: IngestEnd) throws(BlockStoreError) {
        // Earlier batches come before this job in the queue; a failed one must keep the pin from being set.
        if !end.pins.isEmpty || !end.isDurable { try collect(waiting: true) }
        if end.pins.isEmpty && !end.isDurable && !end.closes { return }
        try core.writer.run(isDurable: end.isDurable) { [lease] connection in
            for pin in end.pins {
                try connection.run("DELETE FROM pin WHERE name = ?", .text(pin.name))
                try connection.run(
                    "INSERT INTO pin(name, cid) VALUES(?, ?)",
                    .text(pin.name),
                    .blob(pin.root.bytes)
                )
            }
            // A commit without a change writes and syncs nothing, also not the batches before it.
            if end.pins.isEmpty && !end.closes { try connection.run("UPDATE usage SET one = 1") }
            if end.closes { try Self.dropLease(lease, connection) }
        }
        try collect(waiting: true)
    }

    func abandon() throws(BlockStoreError) {
        // A failed batch is one reason to abandon, and no obstacle to it.
        let hasFailed = (try? collect(waiting: true)) == nil
        while try core.writer.run({ [core, lease] connection in
            try BlockWriter(connection, core).removeSome(ofLease: lease)
        }) {}
        try core.writer.run { [lease] connection in try Self.dropLease(lease, connection) }
        // After a full disk there is no other way to get room again.
        if hasFailed { try core.returnFreePages() }
    }

    private static func dropLease(_ lease: Int64, _ connection: Connection) throws {
        try connection.run("DELETE FROM leased_block WHERE lease = ?", .integer(lease))
        try connection.run("DELETE FROM leased_root WHERE lease = ?", .integer(lease))
        try connection.run("DELETE FROM lease WHERE id = ?", .integer(lease))
    }

    /// Looks at queued batches, for all of them if `waiting`; throws the first failure of any so far.
    private func collect(waiting: Bool) throws(BlockStoreError) {
        while let job = progress.withLock({ $0.pending.first }) {
            guard let outcome = waiting ? core.writer.result(of: job) : core.writer.outcome(of: job) else {
                break
            }
            progress.withLock { progress in
                if progress.pending.first === job { progress.pending.removeFirst() }
                if case .failure(let fault) = outcome, progress.fault == nil { progress.fault = fault }
            }
        }
        if let fault = progress.withLock({ $0.fault }) { throw fault }
    }
}
