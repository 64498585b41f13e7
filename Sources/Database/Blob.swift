internal import CSQLite

/// The bytes of one column of one row, read and written in place by pointer.
public struct Blob: ~Copyable {
    private let handle: OpaquePointer
    private let connection: OpaquePointer

    init(_ handle: OpaquePointer, connection: OpaquePointer) {
        self.handle = handle
        self.connection = connection
    }

    deinit { sqlite3_blob_close(handle) }

    /// Length in bytes; fixed while the blob is open.
    public var byteCount: Int { Int(sqlite3_blob_bytes(handle)) }

    /// Moves to another row of the same table and column, which is cheaper than opening it.
    public mutating func move(toRow row: Int64) throws(DatabaseError) {
        try check(sqlite3_blob_reopen(handle, row))
    }

    /// Fills `buffer` with the bytes from `offset` on.
    public func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int = 0) throws(DatabaseError) {
        guard !buffer.isEmpty else { return }
        try check(sqlite3_blob_read(handle, buffer.baseAddress, Int32(buffer.count), Int32(offset)))
    }

    /// Overwrites the bytes from `offset` on; the length does not change.
    public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int = 0) throws(DatabaseError) {
        guard !bytes.isEmpty else { return }
        try check(sqlite3_blob_write(handle, bytes.baseAddress, Int32(bytes.count), Int32(offset)))
    }

    private func check(_ code: Int32) throws(DatabaseError) {
        if code != SQLITE_OK { throw Connection.error(code, connection, "blob") }
    }
}
