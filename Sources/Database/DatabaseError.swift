internal import CSQLite

/// A failure that SQLite reported.
public struct DatabaseError: Error, Equatable, Sendable, CustomStringConvertible {
    /// SQLite's result code, extended where it has one.
    public struct ResultCode: RawRepresentable, Hashable, Sendable {
        /// SQLite's number for it.
        public let rawValue: Int32

        /// Names a code.
        public init(rawValue: Int32) { self.rawValue = rawValue }

        /// The code without its extension: `SQLITE_IOERR` for `SQLITE_IOERR_READ`.
        public var primary: ResultCode { ResultCode(rawValue: rawValue & 0xff) }

        /// Another connection holds the lock for longer than the busy timeout.
        public static let busy = ResultCode(rawValue: SQLITE_BUSY)
        /// The disk, or `max_page_count`, is full.
        public static let full = ResultCode(rawValue: SQLITE_FULL)
        /// The file's structure is damaged.
        public static let corrupt = ResultCode(rawValue: SQLITE_CORRUPT)
        /// The file is not a database.
        public static let notADatabase = ResultCode(rawValue: SQLITE_NOTADB)
        /// The file cannot be opened.
        public static let cannotOpen = ResultCode(rawValue: SQLITE_CANTOPEN)
        /// The file or folder cannot be written.
        public static let readOnly = ResultCode(rawValue: SQLITE_READONLY)
        /// The operating system reported an error on reading or writing.
        public static let ioError = ResultCode(rawValue: SQLITE_IOERR)
        /// A constraint of the schema was violated.
        public static let constraint = ResultCode(rawValue: SQLITE_CONSTRAINT)
    }

    /// What kind of failure it is.
    public var code: ResultCode
    /// SQLite's own words.
    public var message: String
    /// The statement it happened in, when there was one.
    public var sql: String?

    /// Describes a failure.
    public init(code: ResultCode, message: String, sql: String? = nil) {
        self.code = code
        self.message = message
        self.sql = sql
    }

    /// One line: words, code, statement.
    public var description: String {
        "\(message) (SQLite \(code.rawValue))" + (sql.map { " in: \($0)" } ?? "")
    }
}
