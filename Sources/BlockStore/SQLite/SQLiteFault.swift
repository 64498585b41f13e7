package import Database
import Glibc

extension DatabaseError {
    /// A disk with less room than this many bytes is full: SQLite's files grow by whole pages.
    package static let fullDiskByteCount: UInt64 = 64 << 10

    /// The failure is that the disk of `path` has no room.
    ///
    /// SQLite calls some of them an error of the disk: where it makes its `-shm` file, which even a reader needs, or
    /// syncs a log.
    package func isOfFullDisk(_ path: String) -> Bool {
        if code.primary == .full { return true }
        guard code.primary == .ioError || code.primary == .cannotOpen else { return false }
        var disk = statvfs()
        guard statvfs(path, &disk) == 0 || statvfs(DatabaseError.folder(of: path), &disk) == 0 else {
            return false
        }
        return UInt64(disk.f_bavail) * UInt64(disk.f_frsize) < DatabaseError.fullDiskByteCount
    }

    private static func folder(of path: String) -> String {
        path.lastIndex(of: "/").map { String(path[..<$0]) } ?? "."
    }
}

extension BlockStoreError {
    /// There is no room on the disk of `path`.
    package static func fullDisk(_ path: String, cause: DatabaseError?) -> BlockStoreError {
        BlockStoreError(
            .full,
            "the disk of \(path) is full; free some space on it, then repo gc can free more",
            cause: cause
        )
    }

    /// What a failure of SQLite means to the store's user.
    static func from(_ error: any Error, path: String) -> BlockStoreError {
        guard let error = error as? DatabaseError else { return .wrap(error) }
        if error.isOfFullDisk(path) { return .fullDisk(path, cause: error) }
        switch error.code.primary {
        case .busy:
            return BlockStoreError(.busy, "\(path) is held by another process; try again", cause: error)
        case .notADatabase:
            return BlockStoreError(
                .notAStore,
                "\(path) is not a block store; move the file away or use another home folder",
                cause: error
            )
        case .corrupt:
            return BlockStoreError(
                .damagedStore,
                "\(path) is damaged (\(error.message)); export what repo verify still reads and add it to a new home",
                cause: error
            )
        case .cannotOpen, .readOnly:
            return BlockStoreError(
                .io,
                "cannot open \(path) for writing; check its permissions",
                cause: error
            )
        default:
            return BlockStoreError(.io, "\(path): \(error.message)", cause: error)
        }
    }
}
