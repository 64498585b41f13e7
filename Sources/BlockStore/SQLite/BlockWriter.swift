import Database
import Glibc
import Multiformats

/// Writes blocks and lease rows, inside a transaction of the writer's thread.
struct BlockWriter {
    /// Blocks that one transaction removes at most.
    static let removalBlockCount = 256
    /// Bytes of the disk that adding leaves free: for the rest of its transaction, whose batches all see the same free
    /// space, for copying the log (64 MiB) into the database, and for removing blocks, which needs the log first.
    static let reservedDiskByteCount: UInt64 = 96 << 20

    private let connection: Connection
    private let core: SQLiteCore

    init(_ connection: Connection, _ core: SQLiteCore) {
        self.connection = connection
        self.core = core
    }

    /// Inserts the blocks that are not there; leases all of them.
    func insert(_ batch: [StagedBlock], lease: Int64) throws {
        var added = Usage()
        for block in batch {
            let multihash = block.multihash.bytes
            if let id = try id(of: multihash) {
                try share(id, lease: lease)
                continue
            }
            let id = try insert(multihash, block.bytes.bytes)
            try connection.run("INSERT INTO leased_block VALUES(?, ?, 1)", .integer(lease), .integer(id))
            added.add(block.bytes.count)
        }
        try account(added)
        try checkLimit(added)
        try checkDisk(added)
    }

    /// Leases a block that is there.
    func protect(_ multihash: Multihash, lease: Int64) throws -> Bool {
        guard let id = try id(of: multihash.bytes) else { return false }
        try share(id, lease: lease)
        return true
    }

    /// Removes some blocks that only `lease` ever put.
    ///
    /// - Returns: whether there may be more.
    func removeSome(ofLease lease: Int64) throws -> Bool {
        let ids = try connection.rows(
            "SELECT block FROM leased_block WHERE lease = ? AND is_sole = 1 LIMIT \(Self.removalBlockCount)",
            .integer(lease),
            row: { $0.integer(0) }
        )
        for id in ids {
            _ = try remove(id)
            try connection.run(
                "DELETE FROM leased_block WHERE lease = ? AND block = ?",
                .integer(lease),
                .integer(id)
            )
        }
        return ids.count == Self.removalBlockCount
    }

    /// Removes one block and its bytes from the account.
    ///
    /// - Returns: its length; `nil` when it was not there.
    func remove(_ id: Int64) throws -> Int? {
        guard let count = try connection.integer("SELECT length(data) FROM block WHERE id = ?", .integer(id))
        else {
            return nil
        }
        try connection.run("DELETE FROM block WHERE id = ?", .integer(id))
        try account(Usage(blockCount: -1, byteCount: -Int(count)))
        return Int(count)
    }

    func id(of multihash: [UInt8]) throws -> Int64? {
        try connection.integer("SELECT id FROM block WHERE multihash = ?", .blob(multihash))
    }

    private func insert(_ multihash: [UInt8], _ bytes: UnsafeRawBufferPointer) throws -> Int64 {
        // A good copy heals a block that was found corrupt.
        try connection.run("DELETE FROM quarantine WHERE multihash = ?", .blob(multihash))
        let statement = try connection.statement("INSERT INTO block(multihash, data) VALUES(?, ?)")
        defer { statement.reset() }
        try statement.bind(.blob(multihash), at: 1)
        try statement.bind(borrowing: bytes, at: 2)
        _ = try statement.step()
        return connection.lastInsertID
    }

    /// Leases a block that another put: from now on nobody is its sole owner.
    private func share(_ id: Int64, lease: Int64) throws {
        try connection.run(
            "UPDATE leased_block SET is_sole = 0 WHERE block = ? AND lease <> ? AND is_sole = 1",
            .integer(id),
            .integer(lease)
        )
        try connection.run(
            "INSERT OR IGNORE INTO leased_block VALUES(?, ?, 0)",
            .integer(lease),
            .integer(id)
        )
    }

    private func account(_ change: Usage) throws {
        try connection.run(
            "UPDATE usage SET block_count = block_count + ?, byte_count = byte_count + ?",
            .integer(Int64(change.blockCount)),
            .integer(Int64(change.byteCount))
        )
    }

    private func checkDisk(_ added: Usage) throws {
        var disk = statvfs()
        guard added.byteCount > 0, statvfs(core.path, &disk) == 0 else { return }
        let free = UInt64(disk.f_bavail) * UInt64(disk.f_frsize)
        guard free < UInt64(added.byteCount) + Self.reservedDiskByteCount else { return }
        throw BlockStoreError.fullDisk(core.path, cause: nil)
    }

    private func checkLimit(_ added: Usage) throws {
        guard let limit = core.options.limitByteCount, added.byteCount > 0 else { return }
        let used = UInt64(try connection.integer("SELECT byte_count FROM usage") ?? 0)
        guard used > limit else { return }
        throw BlockStoreError(
            .full,
            "the store would hold \(used) bytes and its limit is \(limit); run repo gc, remove pins, or raise the limit"
        )
    }
}

/// A change of the number and bytes of blocks.
struct Usage {
    var blockCount = 0
    var byteCount = 0

    mutating func add(_ bytes: Int) {
        blockCount += 1
        byteCount += bytes
    }
}
