internal import CSQLite
internal import Glibc

/// One connection to a SQLite file, with its prepared statements kept.
///
/// Opened without SQLite's own mutex: used by one thread at a time, which whoever owns it guarantees (a lock, a pool,
/// or one thread). That is the invariant behind `@unchecked Sendable`.
public final class Connection: @unchecked Sendable {
    /// How the file is opened.
    public enum Mode: Sendable {
        case readOnly
        case readWrite
        /// Creates the file when it is missing.
        case create
    }

    /// Most attempts at the change to a write-ahead log: half a minute, as long as other calls wait.
    private static let maxModeAttempts = 3_000
    /// Time between two of them, in microseconds.
    private static let modeRetryMicroseconds: UInt32 = 10_000
    /// Prepared statements kept by a connection.
    public static let maxCachedStatementCount = 64

    private let handle: OpaquePointer
    private var statements: [String: Statement] = [:]

    /// Opens a file.
    ///
    /// - Parameters:
    ///   - path: the file; `:memory:` for none.
    ///   - mode: whether to write or create.
    ///   - busyTimeoutMilliseconds: how long a call waits for a lock of another connection.
    /// - Throws: `DatabaseError` with `.cannotOpen`, `.readOnly` or what the system reported.
    public init(path: String, mode: Mode = .create, busyTimeoutMilliseconds: Int32 = 30_000)
        throws(DatabaseError)
    {
        var opened: OpaquePointer?
        let access: Int32 =
            switch mode {
            case .readOnly: SQLITE_OPEN_READONLY
            case .readWrite: SQLITE_OPEN_READWRITE
            case .create: SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE
            }
        // What a node stores is its user's alone; SQLite gives its other files the mode of this one. Made without
        // opening it: closing a descriptor would drop the locks that another connection of the process holds.
        if mode == .create, path != ":memory:" { mknod(path, S_IFREG | 0o600, 0) }
        let code = sqlite3_open_v2(path, &opened, access | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, nil)
        guard code == SQLITE_OK, let opened else {
            let error = Self.error(code, opened, nil)
            sqlite3_close_v2(opened)
            throw error
        }
        handle = opened
        sqlite3_busy_timeout(handle, busyTimeoutMilliseconds)
    }

    deinit {
        statements.removeAll()
        sqlite3_close_v2(handle)
    }

    /// Runs one or several statements without parameters; rows are dropped.
    public func execute(_ sql: String) throws(DatabaseError) {
        let code = sqlite3_exec(handle, sql, nil, nil, nil)
        if code != SQLITE_OK { throw Self.error(code, handle, sql) }
    }

    /// Has changes go to a write-ahead log from now on, however many programs ask for that at once.
    ///
    /// SQLite does not wait for the others here, because two that wait for each other would never end: it is tried again.
    ///
    /// - Throws: `.busy` when the file is held for longer than any call waits.
    public func useWriteAheadLog() throws(DatabaseError) {
        for _ in 1..<Self.maxModeAttempts {
            do throws(DatabaseError) {
                return try execute("PRAGMA journal_mode = WAL")
            } catch {
                guard error.code.primary == .busy else { throw error }
                usleep(Self.modeRetryMicroseconds)
            }
        }
        try execute("PRAGMA journal_mode = WAL")
    }

    /// The prepared form of one statement, reset and without bindings; kept for the next call.
    public func statement(_ sql: String) throws(DatabaseError) -> Statement {
        if let kept = statements[sql] {
            kept.reset()
            return kept
        }
        var prepared: OpaquePointer?
        let code = sqlite3_prepare_v3(handle, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &prepared, nil)
        guard code == SQLITE_OK, let prepared else { throw Self.error(code, handle, sql) }
        if statements.count >= Self.maxCachedStatementCount { statements.removeAll() }
        let statement = Statement(prepared, connection: handle, sql: sql)
        statements[sql] = statement
        return statement
    }

    /// Runs one statement to its end.
    ///
    /// - Returns: the number of rows it changed.
    @discardableResult
    public func run(_ sql: String, _ values: SQLValue...) throws(DatabaseError) -> Int {
        let statement = try statement(sql)
        defer { statement.reset() }
        for (index, value) in values.enumerated() { try statement.bind(value, at: index + 1) }
        while try statement.step() {}
        return changedRowCount
    }

    /// The first column of the first row as an integer; `nil` when there is no row or it is NULL.
    public func integer(_ sql: String, _ values: SQLValue...) throws(DatabaseError) -> Int64? {
        let statement = try statement(sql)
        defer { statement.reset() }
        for (index, value) in values.enumerated() { try statement.bind(value, at: index + 1) }
        guard try statement.step(), !statement.isNull(0) else { return nil }
        return statement.integer(0)
    }

    /// Every row, each made into a value by `row`.
    public func rows<T>(
        _ sql: String,
        _ values: SQLValue...,
        row: (Statement) -> T
    ) throws(DatabaseError) -> [T] {
        let statement = try statement(sql)
        defer { statement.reset() }
        for (index, value) in values.enumerated() { try statement.bind(value, at: index + 1) }
        var all: [T] = []
        while try statement.step() { all.append(row(statement)) }
        return all
    }

    /// Runs `body` between `BEGIN IMMEDIATE` and `COMMIT`; any error rolls back.
    public func transaction<T, E: Error>(_ body: () throws(E) -> T) throws -> T {
        try execute("BEGIN IMMEDIATE")
        do {
            let result = try body()
            try execute("COMMIT")
            return result
        } catch {
            rollback()
            throw error
        }
    }

    /// Ends a transaction, if one is open, without its changes.
    public func rollback() {
        guard isInTransaction else { return }
        // A rollback that fails leaves the journal, which the next opening rolls back.
        try? execute("ROLLBACK")
    }

    /// A transaction is open.
    public var isInTransaction: Bool { sqlite3_get_autocommit(handle) == 0 }
    /// Row id of the last insert.
    public var lastInsertID: Int64 { sqlite3_last_insert_rowid(handle) }
    /// Rows changed by the last statement.
    public var changedRowCount: Int { Int(sqlite3_changes64(handle)) }

    /// Opens the blob in one row for reading or writing in place.
    public func blob(
        table: String,
        column: String,
        row: Int64,
        writable: Bool = false
    ) throws(DatabaseError) -> Blob {
        var opened: OpaquePointer?
        let code = sqlite3_blob_open(handle, "main", table, column, row, writable ? 1 : 0, &opened)
        guard code == SQLITE_OK, let opened else { throw Self.error(code, handle, "blob \(table).\(column)") }
        return Blob(opened, connection: handle)
    }

    static func error(_ code: Int32, _ handle: OpaquePointer?, _ sql: String?) -> DatabaseError {
        let words = handle.flatMap { sqlite3_errmsg($0) } ?? sqlite3_errstr(code)
        return DatabaseError(
            code: DatabaseError.ResultCode(rawValue: code),
            message: words.map { String(cString: $0) } ?? "unknown error",
            sql: sql
        )
    }
}
