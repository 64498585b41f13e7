import Database
import Synchronization

/// Connections for reading, one to each thread that reads at a time.
final class ReaderPool: Sendable {
    /// Idle connections that are kept.
    static let maxIdleCount = 8

    private let path: String
    private let idle = Mutex<[Reader]>([])

    init(path: String) { self.path = path }

    /// Runs `body` with a connection that no other thread uses meanwhile.
    func withReader<R>(_ body: (Reader) throws -> R) throws -> R {
        let reader = try idle.withLock { $0.popLast() } ?? Reader(path: path)
        defer {
            idle.withLock { idle in
                if idle.count < Self.maxIdleCount { idle.append(reader) }
            }
        }
        return try body(reader)
    }

    /// Closes idle connections.
    func drain() { idle.withLock { $0 = [] } }
}

/// A connection for reading, with a buffer for one block.
///
/// Lent to one thread at a time by the pool: the invariant behind `@unchecked Sendable`.
final class Reader: @unchecked Sendable {
    let connection: Connection
    private var buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 0, alignment: 16)

    init(path: String) throws {
        connection = try Connection(path: path, mode: .readWrite)
        try connection.execute("PRAGMA cache_size = -\(Schema.readerCacheKibibytes); PRAGMA query_only = ON")
    }

    deinit { buffer.deallocate() }

    /// The block's bytes in this reader's buffer, valid until its next read; `nil` when it is not there.
    func read(_ multihash: [UInt8]) throws -> UnsafeRawBufferPointer? {
        let statement = try connection.statement("SELECT id FROM block WHERE multihash = ?")
        try statement.bind(.blob(multihash), at: 1)
        // Open until the bytes are read, so that both see the same snapshot.
        defer { statement.reset() }
        guard try statement.step() else { return nil }
        let blob = try connection.blob(table: "block", column: "data", row: statement.integer(0))
        let count = blob.byteCount
        reserve(count)
        let target = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
        try blob.read(into: target)
        return UnsafeRawBufferPointer(target)
    }

    private func reserve(_ count: Int) {
        guard buffer.count < count else { return }
        buffer.deallocate()
        buffer = .allocate(byteCount: max(count, 256 << 10), alignment: 16)
    }
}
