import Database
import Glibc
public import Multiformats

/// Settings of a `SQLiteBlockStore`.
public struct SQLiteBlockStoreOptions: Sendable {
    /// Most bytes of blocks that the store takes; `nil` for no limit.
    public var limitByteCount: UInt64?

    /// Sets the options.
    public init(limitByteCount: UInt64? = nil) { self.limitByteCount = limitByteCount }
}

/// Blocks in one SQLite file (write-ahead log, one writer thread, a pool of readers).
///
/// Several processes may open the same file. Closing happens with the last reference, or earlier with `close`.
/// docs/store.md has the tables, the life of a block and what a crash leaves.
public final class SQLiteBlockStore: BlockStore {
    let core: SQLiteCore

    /// Opens `path`, making it when it is missing; its folder must exist.
    ///
    /// - Throws: `.newerSchema`, `.notAStore`, `.damagedStore`, `.io`, `.busy`.
    public init(path: String, options: SQLiteBlockStoreOptions = .init()) throws(BlockStoreError) {
        core = try SQLiteCore(path: path, options: options)
    }

    deinit { core.close() }

    /// Finishes what is queued and closes the file; later calls throw `.closed` or open it again for reading.
    public func close() { core.close() }

    /// Whether the block is here; identity CIDs always are.
    public func contains(_ multihash: Multihash) throws(BlockStoreError) -> Bool {
        if multihash.code == Multihash.identityCode { return true }
        return try core.read { reader in
            try reader.connection.integer("SELECT 1 FROM block WHERE multihash = ?", .blob(multihash.bytes))
                != nil
        }
    }

    /// Length of the block in bytes; `nil` when it is not here.
    public func byteCount(of cid: CID) throws(BlockStoreError) -> Int? {
        if cid.multihash.code == Multihash.identityCode { return cid.multihash.digest.count }
        return try core.read { reader in
            try reader.connection.integer(
                "SELECT length(data) FROM block WHERE multihash = ?",
                .blob(cid.multihash.bytes)
            ).map { Int($0) }
        }
    }

    /// Hands the verified block to `body`; the pointer is valid only inside it.
    public func withBlock<R>(_ cid: CID, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        if cid.multihash.code == Multihash.identityCode {
            return try cid.multihash.digest.withUnsafeBytes(body)
        }
        return try core.readers.withReader { reader in
            let bytes: UnsafeRawBufferPointer?
            do { bytes = try reader.read(cid.multihash.bytes) } catch { throw core.fault(error) }
            guard let bytes else { throw BlockStoreError.notFound(cid) }
            guard try Verification.matches(cid.multihash, bytes) else {
                try core.quarantine(cid.multihash)
                throw BlockStoreError(
                    .corrupt,
                    "block \(cid) was damaged in the store and is in quarantine; add or fetch it again",
                    cid: cid
                )
            }
            return try body(bytes)
        }
    }

    /// Starts a lease and gives the ingest that holds it.
    public func makeIngest() throws(BlockStoreError) -> Ingest {
        let lease = try core.writer.run { [core] connection in
            let session = try core.sessions.current(connection)
            try connection.run("INSERT INTO lease(session) VALUES(?)", .integer(session))
            return connection.lastInsertID
        }
        return Ingest(SQLiteIngest(core: core, lease: lease))
    }

    /// Every pin, by name.
    public func pins() throws(BlockStoreError) -> [Pin] {
        try core.read { reader in try core.pins(reader.connection, after: 0).map(\.pin) }
    }

    /// Removes a pin; `false` when there was none of that name.
    public func unpin(_ name: String) throws(BlockStoreError) -> Bool {
        try core.writer.run(isDurable: true) { connection in
            try connection.run("DELETE FROM pin WHERE name = ?", .text(name)) > 0
        }
    }

    /// Removes every block that no pin and no lease protects.
    public func collectGarbage(removed: (Multihash) -> Void) throws(BlockStoreError) -> GarbageReport {
        var collector = try SQLiteCollector(store: self)
        return try collector.run(removed: removed)
    }

    /// Removes the blocks of some DAGs that no pin and no lease protects, and no others.
    ///
    /// - Returns: what went; a damaged pin keeps everything, as in a collection.
    @discardableResult
    package func collect(_ roots: [CID]) throws(BlockStoreError) -> GarbageReport {
        var collector = try SQLiteCollector(store: self)
        return try collector.run(under: roots)
    }

    /// Says who gives up what can be done without when blocks would pass the size limit.
    ///
    /// `make` gets the number of bytes over the limit, on the thread that puts blocks, and may wait and use the store.
    package func whenFull(_ make: @escaping @Sendable (_ byteCount: UInt64) -> Void) {
        core.setRoomMaker(make)
    }

    /// Removes one block that no pin and no lease protects.
    public func remove(_ cid: CID) throws(BlockStoreError) {
        var collector = try SQLiteCollector(store: self)
        try collector.remove(cid)
    }

    /// Calls `body` for every block, in no particular order.
    public func forEachBlock(_ body: (Multihash, _ byteCount: Int) throws -> Void) throws {
        var last: Int64 = 0
        while true {
            let page = try core.page(after: last)
            for row in page { try body(try CIDFault.multihash(row.multihash), row.byteCount) }
            guard let end = page.last else { return }
            last = end.id
        }
    }

    /// Figures for `repo stat`.
    public func statistics() throws(BlockStoreError) -> StoreStatistics {
        try core.read { reader in
            let connection = reader.connection
            var figures = StoreStatistics()
            figures.blockCount = Int(try connection.integer("SELECT block_count FROM usage") ?? 0)
            figures.blockByteCount = UInt64(try connection.integer("SELECT byte_count FROM usage") ?? 0)
            figures.pinCount = Int(try connection.integer("SELECT count(*) FROM pin") ?? 0)
            figures.quarantinedBlockCount = Int(
                try connection.integer("SELECT count(*) FROM quarantine") ?? 0
            )
            figures.limitByteCount = core.options.limitByteCount
            figures.fileByteCount = core.fileByteCount
            return figures
        }
    }

    /// Reads and hashes every block; corrupt ones go to quarantine.
    public func verify(progress: (Int) -> Void) throws(BlockStoreError) -> VerifyReport {
        var report = VerifyReport()
        report.corrupt = try core.read { reader in
            try reader.connection.rows("SELECT multihash FROM quarantine") { $0.bytes(0) }
                .map { try CIDFault.multihash($0) }
        }
        do {
            try forEachBlock { multihash, _ in
                do {
                    try withBlock(CID(codec: .raw, multihash: multihash)) { _ in }
                } catch let error as BlockStoreError where error.code == .corrupt {
                    report.corrupt.append(multihash)
                } catch let error as BlockStoreError where error.code == .notFound {
                    return  // collected meanwhile
                }
                report.checkedBlockCount += 1
                progress(report.checkedBlockCount)
            }
        } catch {
            throw core.fault(error)
        }
        return report
    }
}

extension CIDFault {
    /// A multihash as the store's own rows hold it.
    static func multihash(_ bytes: [UInt8]) throws(BlockStoreError) -> Multihash {
        do throws(CIDFault) {
            return try Multihash.decodePrefix(bytes[...]).0
        } catch {
            throw BlockStoreError(
                .damagedStore,
                "a row of the store has no multihash (\(error))",
                cause: error
            )
        }
    }
}
