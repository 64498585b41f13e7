import Database

extension BlockStoreError {
    static func fullDisk(_ path: String, cause: DatabaseError?) -> BlockStoreError {
        BlockStoreError(.full, "the disk of \(path) is full; free space or run repo gc", cause: cause)
    }

    /// What a failure of SQLite means to the store's user.
    static func from(_ error: any Error, path: String) -> BlockStoreError {
        guard let error = error as? DatabaseError else { return .wrap(error) }
        switch error.code.primary {
        case .busy:
            return BlockStoreError(.busy, "\(path) is held by another process; try again", cause: error)
        case .full:
            return .fullDisk(path, cause: error)
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
