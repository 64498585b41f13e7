import Database
import Glibc
import Multiformats
import Synchronization

/// What the store, its ingests and its collector share: the writer, the readers, the session.
final class SQLiteCore: Sendable {
    /// Rows that a listing reads at a time.
    static let pageRowCount = 1024

    let path: String
    let options: SQLiteBlockStoreOptions
    let writer: WriteQueue
    let readers: ReaderPool
    let sessions: Sessions
    /// Gives up what can be done without when the size limit is reached; one call at a time.
    private let roomMaker = Mutex<RoomMaker?>(nil)

    /// Makes room for a number of bytes, as far as it can.
    typealias RoomMaker = @Sendable (_ byteCount: UInt64) -> Void

    init(path: String, options: SQLiteBlockStoreOptions) throws(BlockStoreError) {
        self.path = path
        self.options = options
        let prepared: Connection
        do {
            prepared = try Connection(path: path)
            try Schema.prepare(prepared, path: path)
        } catch {
            throw .from(error, path: path)
        }
        sessions = try Sessions(path: path + "-leases")
        readers = ReaderPool(path: path)
        writer = WriteQueue(path: path, prepared: prepared) { prepared in
            let connection = try prepared ?? Connection(path: path, mode: .readWrite)
            try Schema.configureWriter(connection)
            return connection
        }
    }

    func close() {
        writer.close()
        readers.drain()
    }

    func setRoomMaker(_ maker: @escaping RoomMaker) { roomMaker.withLock { $0 = maker } }

    /// Has room made when so many further bytes would pass the limit; the writer checks that again.
    func makeRoom(for byteCount: Int) throws(BlockStoreError) {
        guard try excess(of: byteCount) > 0 else { return }
        do {
            try roomMaker.withLock { maker in
                guard let maker else { return }
                // Another thread may have made room while this one waited.
                let excess = try excess(of: byteCount)
                if excess > 0 { maker(excess) }
            }
        } catch {
            throw fault(error)
        }
    }

    /// By how many bytes the limit would be passed.
    private func excess(of byteCount: Int) throws(BlockStoreError) -> UInt64 {
        guard let limit = options.limitByteCount, byteCount > 0 else { return 0 }
        let used = try read { try $0.connection.integer("SELECT byte_count FROM usage") ?? 0 }
        let wanted = UInt64(used) + UInt64(writer.queuedByteCount) + UInt64(byteCount)
        return wanted > limit ? wanted - limit : 0
    }

    func fault(_ error: any Error) -> BlockStoreError { .from(error, path: path) }

    func read<R>(_ body: (Reader) throws -> R) throws(BlockStoreError) -> R {
        do { return try readers.withReader(body) } catch { throw fault(error) }
    }

    /// Moves a block whose bytes do not match into quarantine, after looking again.
    func quarantine(_ multihash: Multihash) throws(BlockStoreError) {
        try writer.run { [self] connection in
            let writer = BlockWriter(connection, self)
            guard let id = try writer.id(of: multihash.bytes) else { return }
            let stillWrong = try connection.rows("SELECT data FROM block WHERE id = ?", .integer(id)) { row in
                row.withBytes(0) { bytes in Result { try !Verification.matches(multihash, bytes) } }
            }
            guard try stillWrong.first?.get() ?? false else { return }
            try connection.run(
                "INSERT OR REPLACE INTO quarantine SELECT multihash, data FROM block WHERE id = ?",
                .integer(id)
            )
            _ = try writer.remove(id)
            try connection.run("DELETE FROM leased_block WHERE block = ?", .integer(id))
        }
    }

    /// Gives free pages back to the file system, and then the log, which grows with every removal.
    func returnFreePages() throws(BlockStoreError) {
        var left = Int64.max
        while true {
            let free = try writer.run { connection in
                // Each page is a row of this statement: it stops after so many.
                try connection.execute("PRAGMA incremental_vacuum(\(Schema.vacuumPageCount))")
                return try connection.integer("PRAGMA freelist_count") ?? 0
            }
            guard free > 0, free < left else { break }
            left = free
        }
        try writer.maintain { connection in
            // A reader in the way keeps the log as it is: no failure, only a row that says so.
            try connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        }
    }

    /// Pins with a row id above `last`, oldest first.
    func pins(_ connection: Connection, after last: Int64) throws -> [(id: Int64, pin: Pin)] {
        try connection.rows("SELECT id, name, cid FROM pin WHERE id > ? ORDER BY id", .integer(last)) { row in
            (id: row.integer(0), name: row.text(1), cid: row.bytes(2))
        }.map { row in
            do throws(CIDFault) {
                return (row.id, Pin(name: row.name, root: try CID(bytes: row.cid)))
            } catch {
                throw BlockStoreError(.damagedStore, "pin \(row.name) has no CID (\(error))", cause: error)
            }
        }
    }

    /// Roots that leases hold with a row id above `last`, oldest first.
    func leasedRoots(_ connection: Connection, after last: Int64) throws -> [(id: Int64, root: CID)] {
        try connection.rows("SELECT id, cid FROM leased_root WHERE id > ? ORDER BY id", .integer(last)) {
            row in
            (id: row.integer(0), cid: row.bytes(1))
        }.map { row in
            do throws(CIDFault) {
                return (row.id, try CID(bytes: row.cid))
            } catch {
                throw BlockStoreError(.damagedStore, "a leased root has no CID (\(error))", cause: error)
            }
        }
    }

    /// The next blocks by row id.
    func page(after last: Int64) throws(BlockStoreError) -> [(id: Int64, multihash: [UInt8], byteCount: Int)]
    {
        try read { reader in
            try reader.connection.rows(
                "SELECT id, multihash, length(data) FROM block WHERE id > ? ORDER BY id LIMIT \(Self.pageRowCount)",
                .integer(last)
            ) { ($0.integer(0), $0.bytes(1), Int($0.integer(2))) }
        }
    }

    /// Bytes of the database and its log on disk.
    var fileByteCount: UInt64 {
        [path, path + "-wal"].reduce(0) { total, file in
            var status = stat()
            return stat(file, &status) == 0 ? total + UInt64(status.st_size) : total
        }
    }
}
