import Database

/// The tables of `blocks.db`; docs/store.md describes them.
enum Schema {
    /// Version of the tables; a file with a higher one is refused.
    static let version: Int64 = 1
    /// Marks the file as ours in SQLite's header: "PNBS".
    static let applicationID: Int64 = 0x504e_4253
    /// Bytes of a database page: a 256 KiB block takes four of them, against 65 of the usual 4 KiB.
    static let pageByteCount = 65_536
    /// Pages of write-ahead log after which a commit starts a checkpoint (64 MiB).
    static let checkpointPageCount = 1024
    /// Pages that one step of shrinking the file moves (16 MiB).
    static let vacuumPageCount = 256
    /// Page cache of the writer, in KiB.
    static let writerCacheKibibytes = 8192
    /// Page cache of a reader, in KiB; large blocks pass through it.
    static let readerCacheKibibytes = 1024

    static let tables = """
        CREATE TABLE block(
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            multihash BLOB NOT NULL UNIQUE,
            data BLOB NOT NULL);
        CREATE TABLE pin(
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            name TEXT NOT NULL UNIQUE,
            cid BLOB NOT NULL);
        CREATE TABLE session(id INTEGER PRIMARY KEY AUTOINCREMENT);
        CREATE TABLE lease(
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            session INTEGER NOT NULL);
        CREATE TABLE leased_block(
            lease INTEGER NOT NULL,
            block INTEGER NOT NULL,
            is_sole INTEGER NOT NULL,
            PRIMARY KEY(lease, block)) WITHOUT ROWID;
        CREATE INDEX leased_block_by_block ON leased_block(block);
        CREATE TABLE leased_root(
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            lease INTEGER NOT NULL,
            cid BLOB NOT NULL);
        CREATE TABLE quarantine(
            multihash BLOB PRIMARY KEY,
            data BLOB NOT NULL);
        CREATE TABLE usage(
            one INTEGER PRIMARY KEY CHECK(one = 1),
            block_count INTEGER NOT NULL,
            byte_count INTEGER NOT NULL);
        INSERT INTO usage VALUES(1, 0, 0);
        PRAGMA application_id = \(applicationID);
        PRAGMA user_version = \(version);
        """

    /// Makes the tables in a new file, or checks that they are the ones this version knows.
    static func prepare(_ connection: Connection, path: String) throws {
        var found = try connection.integer("PRAGMA user_version") ?? 0
        if found == 0, try connection.integer("SELECT count(*) FROM sqlite_schema") ?? 0 == 0 {
            // The page size counts only before the first write, and before write-ahead logging.
            try connection.execute("PRAGMA page_size = \(pageByteCount); PRAGMA auto_vacuum = INCREMENTAL")
            try connection.useWriteAheadLog()
            try connection.transaction {
                // Another process may have made the tables since.
                guard try connection.integer("PRAGMA user_version") ?? 0 == 0 else { return }
                try connection.execute(tables)
            }
        }
        // Another process may have made the tables between the two questions above, too.
        if found == 0 { found = try connection.integer("PRAGMA user_version") ?? 0 }
        guard try connection.integer("PRAGMA application_id") == applicationID else {
            throw BlockStoreError(
                .notAStore,
                "\(path) is a database of another program; use another home folder"
            )
        }
        guard found == version else {
            throw BlockStoreError(
                .newerSchema,
                "\(path) has version \(found); this program reads version \(version): use the newer program"
            )
        }
    }

    /// Settings of a connection that writes.
    ///
    /// Undo pages of savepoints stay in memory: with pages of 64 KiB SQLite would make a temporary file in each
    /// transaction.
    static func configureWriter(_ connection: Connection) throws(DatabaseError) {
        try connection.execute(
            """
            PRAGMA synchronous = NORMAL;
            PRAGMA secure_delete = OFF;
            PRAGMA temp_store = MEMORY;
            PRAGMA wal_autocheckpoint = \(checkpointPageCount);
            PRAGMA journal_size_limit = \(checkpointPageCount * pageByteCount);
            PRAGMA cache_size = -\(writerCacheKibibytes);
            """
        )
    }
}
