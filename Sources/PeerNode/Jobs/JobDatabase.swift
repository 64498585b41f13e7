import BlockStore
package import Database
package import MRProtocol
import Multiformats

/// `jobs.db`: the jobs of a node, and the outputs that it remembers.
///
/// Opened at the first use. Belongs to one thread at a time, as `Connection` does. Several processes may use the file
/// at once (embedded `peerctl`s side by side).
package final class JobDatabase {
    /// A job as it is kept.
    package struct Record {
        package var status: JobStatus
        package var usesRememberedOutputs: Bool
        package var log: [JobLogEntry]
    }

    /// What is remembered under one key.
    package struct Memory {
        package var key: TaskKey
        /// Groups the keys that a job may ask for.
        package var context: TaskKeyContext
        package var value: RememberedRun
    }

    private let path: String
    private var connection: Database.Connection?

    private static let schemaVersion: Int64 = 1

    package init(path: String) { self.path = path }

    private func open() throws(DatabaseError) -> Database.Connection {
        if let connection { return connection }
        let opened = try Database.Connection(path: path)
        try opened.useWriteAheadLog()
        try opened.execute("PRAGMA synchronous=FULL")
        let version = try opened.integer("PRAGMA user_version") ?? 0
        guard version <= JobDatabase.schemaVersion else { throw JobDatabase.newerSchema(path, version) }
        if version < JobDatabase.schemaVersion { try opened.execute(JobDatabase.schema) }
        connection = opened
        return opened
    }

    private static func newerSchema(_ path: String, _ version: Int64) -> DatabaseError {
        DatabaseError(
            code: DatabaseError.ResultCode.notADatabase,
            message:
                "\(path) has version \(version); this program reads version \(schemaVersion): use the newer program",
            sql: nil
        )
    }

    /// Opens the file, and finds out whether it can be used.
    package func check() throws(DatabaseError) {
        _ = try open().rows("SELECT status, uses_memory, log FROM jobs LIMIT 1") { _ in }
        _ = try open().rows("SELECT key FROM remembered LIMIT 1") { _ in }
    }

    /// What a failure means to the user, and what to do about it; one line.
    package func explanation(of error: DatabaseError) -> String {
        // What `open` found by itself says all.
        if error.sql == nil, error.message.hasPrefix(path) { return error.message }
        if error.isOfFullDisk(path) { return BlockStoreError.fullDisk(path, cause: error).message }
        switch error.code.primary {
        case .corrupt, .notADatabase:
            return
                "\(path) is damaged (\(error.message)); move it away: only the list of jobs and what outputs "
                + "are remembered are lost"
        case .busy: return "\(path) is held by another process; try again"
        case .cannotOpen, .readOnly: return "cannot open \(path) for writing; check its permissions"
        default: return "\(path): \(error.message)"
        }
    }

    // `used` is a count of remembering turns, not a time: the smallest is the one used longest ago.
    private static let schema = """
        BEGIN IMMEDIATE;
        CREATE TABLE IF NOT EXISTS jobs(
            id TEXT PRIMARY KEY, is_final INTEGER NOT NULL, uses_memory INTEGER NOT NULL,
            status BLOB NOT NULL, log BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS remembered(
            key BLOB PRIMARY KEY, context BLOB NOT NULL, root BLOB, reads_on INTEGER NOT NULL,
            byte_count INTEGER NOT NULL, task_count INTEGER NOT NULL, counters BLOB NOT NULL, used INTEGER NOT NULL) WITHOUT ROWID;
        CREATE INDEX IF NOT EXISTS remembered_context ON remembered(context);
        CREATE INDEX IF NOT EXISTS remembered_used ON remembered(used);
        PRAGMA user_version=1;
        COMMIT;
        """
}

// MARK: - Jobs

extension JobDatabase {
    /// Writes a job's state and log, remembers its result if there is one, and drops the oldest ended jobs over the limit.
    package func save(_ record: Record, result: Memory? = nil) throws(DatabaseError) {
        try inTransaction { (connection) throws(DatabaseError) in
            try connection.run(
                "INSERT OR REPLACE INTO jobs VALUES(?,?,?,?,?)",
                .text(record.status.id.description),
                .integer(record.status.state.isFinal ? 1 : 0),
                .integer(record.usesRememberedOutputs ? 1 : 0),
                .blob(record.status.dagCBOR.encoded()),
                .blob(DagCBOR.array(record.log.map(\.dagCBOR)).encoded())
            )
            if let result { try insert(result, turn: try turn(connection), into: connection) }
            guard record.status.state.isFinal else { return }
            try connection.run(
                """
                DELETE FROM jobs WHERE is_final = 1 AND id <= (
                    SELECT id FROM jobs WHERE is_final = 1 ORDER BY id DESC LIMIT 1 OFFSET ?)
                """,
                .integer(Int64(JobLimits.maxEndedJobs))
            )
        }
    }

    private func inTransaction<T>(
        _ body: (Database.Connection) throws(DatabaseError) -> T
    ) throws(DatabaseError) -> T {
        let connection = try open()
        try connection.execute("BEGIN IMMEDIATE")
        do throws(DatabaseError) {
            let value = try body(connection)
            try connection.execute("COMMIT")
            return value
        } catch {
            connection.rollback()
            throw error
        }
    }

    /// A number above every one given before: the order of use.
    private func turn(_ connection: Database.Connection) throws(DatabaseError) -> Int64 {
        (try connection.integer("SELECT max(used) FROM remembered") ?? 0) + 1
    }

    /// One job; `nil` when it is not known.
    package func job(_ id: JobID) throws(DatabaseError) -> Record? {
        try open().rows(
            "SELECT status, uses_memory, log FROM jobs WHERE id = ?",
            .text(id.description),
            row: Record.init
        ).first ?? nil
    }

    /// All jobs, newest first.
    package func jobs() throws(DatabaseError) -> [Record] {
        try open().rows("SELECT status, uses_memory, log FROM jobs ORDER BY id DESC", row: Record.init)
            .compactMap { $0 }
    }

    /// Jobs that no process has ended, oldest first.
    package func unfinishedJobs() throws(DatabaseError) -> [Record] {
        try open().rows(
            "SELECT status, uses_memory, log FROM jobs WHERE is_final = 0 ORDER BY id",
            row: Record.init
        ).compactMap { $0 }
    }
}

extension JobDatabase.Record {
    fileprivate init?(_ row: Statement) {
        // A row that another version wrote is passed over, not fatal.
        guard let value = try? DagCBOR(decoding: row.bytes(0)), let status = JobStatus(value) else {
            return nil
        }
        self.status = status
        usesRememberedOutputs = row.integer(1) != 0
        let lines = try? DagCBOR(decoding: row.bytes(2))
        log = lines?.elements?.compactMap(JobLogEntry.init) ?? []
    }
}

extension JobLogEntry {
    fileprivate var dagCBOR: DagCBOR { .array([.integer(time), .string(message)]) }

    fileprivate init?(_ value: DagCBOR) {
        guard let parts = value.elements, parts.count == 2, let message = parts[1].text else { return nil }
        self.init(time: Int64(parts[0].number ?? 0), message: message)
    }
}

// MARK: - Remembered outputs

extension JobDatabase {
    /// Every key that is remembered in `context`: so a first run of a job asks once, not for every group.
    package func keys(in context: TaskKeyContext) throws(DatabaseError) -> Set<TaskKey> {
        Set(
            try open().rows("SELECT key FROM remembered WHERE context = ?", .blob(context.digest)) {
                TaskKey(digest: $0.bytes(0))
            }
        )
    }

    /// What is remembered under `key`.
    package func value(of key: TaskKey) throws(DatabaseError) -> RememberedRun? {
        try open().rows(
            "SELECT root, reads_on, byte_count, counters, task_count FROM remembered WHERE key = ?",
            .blob(key.digest),
            row: RememberedRun.init
        ).first ?? nil
    }

    /// Remembers outputs, which must be pinned already, and forgets the ones used longest ago over `byteLimit`.
    ///
    /// - Returns: the keys that were forgotten, whose pins can go.
    package func remember(_ memories: [Memory], byteLimit: UInt64) throws(DatabaseError) -> [TaskKey] {
        try inTransaction { (connection) throws(DatabaseError) in
            let turn = try turn(connection)
            for memory in memories { try insert(memory, turn: turn, into: connection) }
            return try evict(over: byteLimit, from: connection)
        }
    }

    private func insert(_ memory: Memory, turn: Int64, into connection: Database.Connection)
        throws(DatabaseError)
    {
        var root: SQLValue = .null
        var (readsOn, byteCount, taskCount, counters) = (0, UInt64(0), 0, TaskCounters())
        switch memory.value {
        case .run(let output):
            root = .blob(output.root.bytes)
            (byteCount, taskCount, counters) = (output.byteCount, output.taskCount, output.counters)
        case .readsOn(let count): readsOn = count
        }
        try connection.run(
            "INSERT OR REPLACE INTO remembered VALUES(?,?,?,?,?,?,?,?)",
            .blob(memory.key.digest),
            .blob(memory.context.digest),
            root,
            .integer(Int64(readsOn)),
            .integer(Int64(byteCount)),
            .integer(Int64(taskCount)),
            .blob(counters.dagCBOR.encoded()),
            .integer(turn)
        )
    }

    private func evict(over limit: UInt64, from connection: Database.Connection) throws(DatabaseError)
        -> [TaskKey]
    {
        let rowCost = JobDatabase.rememberedRowByteCount
        let sum = "SELECT total(byte_count + \(rowCost)) FROM remembered"
        var excess = (try connection.integer(sum) ?? 0) - Int64(clamping: limit)
        guard excess > 0 else { return [] }
        let oldest = try connection.rows(
            "SELECT key, byte_count FROM remembered ORDER BY used LIMIT ?",
            .integer(JobDatabase.maxEvictedAtOnce)
        ) { (TaskKey(digest: $0.bytes(0)), $0.integer(1)) }
        var forgotten: [TaskKey] = []
        for (key, byteCount) in oldest where excess > 0 {
            try connection.run("DELETE FROM remembered WHERE key = ?", .blob(key.digest))
            excess -= byteCount + rowCost
            forgotten.append(key)
        }
        return forgotten
    }

    /// How many outputs are remembered, and their bytes; results, which users' pins keep, are not counted.
    package func rememberedUsage() throws(DatabaseError) -> (count: Int, byteCount: UInt64) {
        let totals = try open().rows(
            "SELECT count(*), total(byte_count) FROM remembered WHERE root IS NOT NULL AND length(context) > 0"
        ) { (Int($0.integer(0)), UInt64(clamping: $0.integer(1))) }
        return totals.first ?? (0, 0)
    }

    /// Forgets the outputs used longest ago, of at least `byteCount` bytes together if there are as many.
    ///
    /// - Returns: the keys that were forgotten, whose pins can go.
    package func forgetOldest(byteCount: UInt64) throws(DatabaseError) -> [TaskKey] {
        try inTransaction { (connection) throws(DatabaseError) in
            let oldest = try connection.rows(
                "SELECT key, byte_count FROM remembered WHERE length(context) > 0 ORDER BY used LIMIT ?",
                .integer(JobDatabase.maxEvictedAtOnce)
            ) { (TaskKey(digest: $0.bytes(0)), UInt64(clamping: $0.integer(1))) }
            var forgotten: [TaskKey] = []
            var freed: UInt64 = 0
            for (key, size) in oldest where freed < byteCount {
                try connection.run("DELETE FROM remembered WHERE key = ?", .blob(key.digest))
                freed += size
                forgotten.append(key)
            }
            return forgotten
        }
    }

    /// Forgets all outputs.
    package func forgetAll() throws(DatabaseError) { try open().run("DELETE FROM remembered") }

    /// Counts these keys as used now.
    package func touch(_ keys: [TaskKey]) throws(DatabaseError) {
        try inTransaction { (connection) throws(DatabaseError) in
            let turn = try turn(connection)
            for key in keys {
                try connection.run(
                    "UPDATE remembered SET used = ? WHERE key = ?",
                    .integer(turn),
                    .blob(key.digest)
                )
            }
        }
    }

    /// Forgets what is under `keys`, because its blocks are gone.
    package func forget(_ keys: [TaskKey]) throws(DatabaseError) {
        let connection = try open()
        for key in keys { try connection.run("DELETE FROM remembered WHERE key = ?", .blob(key.digest)) }
    }

    /// What a row counts for in the limit besides its output, in bytes.
    private static let rememberedRowByteCount: Int64 = 512
    /// Rows forgotten in one transaction.
    private static let maxEvictedAtOnce: Int64 = 100_000
}

extension RememberedRun {
    fileprivate init?(_ row: Statement) {
        if row.isNull(0) {
            self = .readsOn(Int(row.integer(1)))
            return
        }
        guard let root = try? CID(bytes: row.bytes(0)) else { return nil }
        let counters = (try? DagCBOR(decoding: row.bytes(3))).map(TaskCounters.init) ?? TaskCounters()
        self = .run(
            RememberedOutput(
                root: root,
                byteCount: UInt64(clamping: row.integer(2)),
                taskCount: Int(row.integer(4)),
                counters: counters
            )
        )
    }
}
