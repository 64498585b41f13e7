internal import CSQLite

/// A value to bind.
public enum SQLValue: Sendable, ExpressibleByIntegerLiteral, ExpressibleByStringLiteral,
    ExpressibleByNilLiteral
{
    case null
    case integer(Int64)
    case text(String)
    case blob([UInt8])
    /// A blob of zero bytes, to be filled through `Blob`.
    case zeroBlob(byteCount: Int)

    /// An integer.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// A text.
    public init(stringLiteral value: String) { self = .text(value) }
    /// NULL.
    public init(nilLiteral: ()) { self = .null }
}

/// A prepared statement; belongs to its connection and follows the same rule about threads.
public final class Statement: @unchecked Sendable {
    private let handle: OpaquePointer
    private let connection: OpaquePointer
    private let sql: String
    // Copies of what it binds are SQLite's own (SQLITE_TRANSIENT is a macro that Swift does not import).
    private static let transient = unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    init(_ handle: OpaquePointer, connection: OpaquePointer, sql: String) {
        self.handle = handle
        self.connection = connection
        self.sql = sql
    }

    deinit { sqlite3_finalize(handle) }

    /// Ends the current execution and drops the bindings.
    public func reset() {
        sqlite3_reset(handle)
        sqlite3_clear_bindings(handle)
    }

    /// Binds a value, copying it; the first parameter has index 1.
    public func bind(_ value: SQLValue, at index: Int) throws(DatabaseError) {
        let position = Int32(index)
        switch value {
        case .null: try check(sqlite3_bind_null(handle, position))
        case .integer(let value): try check(sqlite3_bind_int64(handle, position, value))
        case .text(let value): try check(sqlite3_bind_text(handle, position, value, -1, Self.transient))
        case .blob(let bytes):
            let code = bytes.withUnsafeBytes { buffer in
                // A NULL pointer would bind NULL instead of an empty blob.
                buffer.isEmpty
                    ? sqlite3_bind_zeroblob(handle, position, 0)
                    : sqlite3_bind_blob64(
                        handle,
                        position,
                        buffer.baseAddress,
                        UInt64(buffer.count),
                        Self.transient
                    )
            }
            try check(code)
        case .zeroBlob(let byteCount): try check(sqlite3_bind_zeroblob64(handle, position, UInt64(byteCount)))
        }
    }

    /// Binds bytes without copying them; they must stay until the statement is reset.
    public func bind(borrowing bytes: UnsafeRawBufferPointer, at index: Int) throws(DatabaseError) {
        guard !bytes.isEmpty else { return try bind(.zeroBlob(byteCount: 0), at: index) }
        try check(sqlite3_bind_blob64(handle, Int32(index), bytes.baseAddress, UInt64(bytes.count), nil))
    }

    /// Goes to the next row; `false` at the end.
    public func step() throws(DatabaseError) -> Bool {
        let code = sqlite3_step(handle)
        if code == SQLITE_ROW { return true }
        guard code == SQLITE_DONE else {
            let error = Connection.error(code, connection, sql)
            sqlite3_reset(handle)
            throw error
        }
        return false
    }

    /// The column is NULL.
    public func isNull(_ column: Int) -> Bool { sqlite3_column_type(handle, Int32(column)) == SQLITE_NULL }
    /// The column as an integer.
    public func integer(_ column: Int) -> Int64 { sqlite3_column_int64(handle, Int32(column)) }
    /// The column as text; empty for NULL.
    public func text(_ column: Int) -> String {
        guard let pointer = sqlite3_column_text(handle, Int32(column)) else { return "" }
        return String(cString: pointer)
    }
    /// The column's bytes, copied; empty for NULL.
    public func bytes(_ column: Int) -> [UInt8] { withBytes(column) { Array($0) } }
    /// Hands the column's bytes to `body`; the pointer is valid only inside it.
    public func withBytes<R>(_ column: Int, _ body: (UnsafeRawBufferPointer) throws -> R) rethrows -> R {
        let pointer = sqlite3_column_blob(handle, Int32(column))
        let count = Int(sqlite3_column_bytes(handle, Int32(column)))
        return try body(UnsafeRawBufferPointer(start: pointer, count: pointer == nil ? 0 : count))
    }

    private func check(_ code: Int32) throws(DatabaseError) {
        if code != SQLITE_OK { throw Connection.error(code, connection, sql) }
    }
}
