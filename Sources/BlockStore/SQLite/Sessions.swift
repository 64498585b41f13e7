import Database
import Glibc

/// Which processes hold leases: each has a session row and a lock on the byte of that number in a lock file.
///
/// The kernel drops the lock when the process ends, however it ends; a session whose byte is free is dead, and its
/// leases go. Open-file-description locks work across process-id namespaces and do not confuse reused process ids.
final class Sessions: @unchecked Sendable {
    // `id` is touched on the writer's thread only; the descriptor never changes.
    private let descriptor: Int32
    private var id: Int64?

    // Missing from the Glibc module: F_OFD_GETLK and F_OFD_SETLK of fcntl(2).
    private static let getLock: Int32 = 36
    private static let setLock: Int32 = 37

    init(path: String) throws(BlockStoreError) {
        descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw BlockStoreError(.io, "cannot open \(path): \(String(cString: strerror(errno)))")
        }
    }

    deinit { Glibc.close(descriptor) }

    /// This process's session, made at the first call; inside a write transaction.
    func current(_ connection: Connection) throws -> Int64 {
        if let id { return id }
        try reap(connection)
        try connection.run("INSERT INTO session DEFAULT VALUES")
        let made = connection.lastInsertID
        var lock = Self.lock(byte: made)
        guard fcntl(descriptor, Self.setLock, &lock) == 0 else {
            throw BlockStoreError(.io, "cannot lock a session: \(String(cString: strerror(errno)))")
        }
        id = made
        return made
    }

    /// Drops the leases of sessions whose process is gone; inside a write transaction.
    func reap(_ connection: Connection) throws {
        for session in try connection.rows("SELECT id FROM session", row: { $0.integer(0) })
        where session != id {
            guard isDead(session) else { continue }
            try connection.run(
                "DELETE FROM leased_block WHERE lease IN (SELECT id FROM lease WHERE session = ?)",
                .integer(session)
            )
            try connection.run(
                "DELETE FROM leased_root WHERE lease IN (SELECT id FROM lease WHERE session = ?)",
                .integer(session)
            )
            try connection.run("DELETE FROM lease WHERE session = ?", .integer(session))
            try connection.run("DELETE FROM session WHERE id = ?", .integer(session))
        }
    }

    private func isDead(_ session: Int64) -> Bool {
        var lock = Self.lock(byte: session)
        return fcntl(descriptor, Self.getLock, &lock) == 0 && lock.l_type == Int16(F_UNLCK)
    }

    private static func lock(byte: Int64) -> flock {
        var lock = flock()
        lock.l_type = Int16(F_WRLCK)
        lock.l_whence = Int16(SEEK_SET)
        lock.l_start = off_t(byte)
        lock.l_len = 1
        return lock
    }
}
