import Database

/// The row ids of blocks that pins reach, in a temporary file, so that memory does not grow with the store.
final class MarkSet {
    private let connection: Connection

    init() throws(DatabaseError) {
        // SQLite gives a nameless database a file of its own that goes with the connection.
        connection = try Connection(path: "")
        try connection.execute(
            """
            PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -8192;
            CREATE TABLE mark(id INTEGER PRIMARY KEY, is_walked INTEGER NOT NULL);
            BEGIN
            """
        )
    }

    /// Marks a block.
    ///
    /// - Parameters:
    ///   - id: the block's row.
    ///   - walking: its links are going to be followed.
    /// - Returns: whether its links have to be followed now: they are wanted and were not before.
    /// - Throws: what SQLite reports about the temporary file.
    func insert(_ id: Int64, walking: Bool) throws(DatabaseError) -> Bool {
        if walking,
            try connection.run("UPDATE mark SET is_walked = 1 WHERE id = ? AND is_walked = 0", .integer(id))
                > 0
        {
            return true
        }
        return try connection.run(
            "INSERT OR IGNORE INTO mark VALUES(?, ?)",
            .integer(id),
            .integer(walking ? 1 : 0)
        )
            > 0 && walking
    }

    func contains(_ id: Int64) throws(DatabaseError) -> Bool {
        try connection.integer("SELECT 1 FROM mark WHERE id = ?", .integer(id)) != nil
    }

    func count() throws(DatabaseError) -> Int {
        Int(try connection.integer("SELECT count(*) FROM mark") ?? 0)
    }
}
