import Glibc
public import Multiformats

/// Writes files, directories and symlinks of the store to disk, as `ipfs get` does.
///
/// Nothing outside the target is touched and nothing there is replaced: every step opens relative to its directory
/// without following symlinks, files and symlinks must be new, names with `/`, NUL, `.` or `..` are refused. A symlink
/// is written with the target that it has, wherever that leads. A file that fails midway is removed again.
public struct TreeWriter {
    /// Deepest nesting of directories.
    public static let maxDepth = 256

    private let store: any BlockStore
    private let progress: (Int) -> Void

    /// Prepares writing.
    ///
    /// - Parameters:
    ///   - store: where the blocks are.
    ///   - progress: called with the file bytes written since the last call.
    public init(store: any BlockStore, progress: @escaping (Int) -> Void = { _ in }) {
        self.store = store
        self.progress = progress
    }

    /// Writes what is under a CID to a path.
    ///
    /// - Parameters:
    ///   - cid: a file, directory or symlink.
    ///   - path: where it goes; a directory may be there already, a file may not. Its parent must exist.
    /// - Throws: `.io`, `.badPath`, and what reading throws.
    public func write(_ cid: CID, to path: String) throws(BlockStoreError) {
        try write(cid, Array(path.utf8), in: AT_FDCWD, shown: path, depth: 0)
    }

    private func write(
        _ cid: CID,
        _ name: [UInt8],
        in directory: Int32,
        shown: String,
        depth: Int
    ) throws(BlockStoreError) {
        switch try UnixFSNode.read(cid, in: store) {
        case .file: try writeFile(cid, name, in: directory, shown: shown)
        case .symlink(let target):
            let made = target.withCString { target in name.withCString { symlinkat(target, directory, $0) } }
            guard made == 0 else { throw failure("make", shown, errno) }
        case .directory, .shard:
            guard depth < Self.maxDepth else {
                throw BlockStoreError(.badPath, "\(shown) is nested too deeply")
            }
            try writeDirectory(cid, name, in: directory, shown: shown, depth: depth)
        }
    }

    private func writeDirectory(
        _ cid: CID,
        _ name: [UInt8],
        in directory: Int32,
        shown: String,
        depth: Int
    ) throws(BlockStoreError) {
        guard name.withCString({ mkdirat(directory, $0, 0o777) }) == 0 || errno == EEXIST else {
            throw failure("make", shown, errno)
        }
        // The target itself may be named through a symlink by the user; nothing below it may be one.
        let follows = depth == 0 ? 0 : O_NOFOLLOW
        let inner = name.withCString { openat(directory, $0, O_RDONLY | O_DIRECTORY | O_CLOEXEC | follows) }
        guard inner >= 0 else { throw failure("open", shown, errno) }
        defer { close(inner) }
        for entry in try DirectoryReader.entries(of: cid, in: store) {
            let path = shown + "/" + String(decoding: entry.name, as: UTF8.self)
            try write(entry.cid, entry.name, in: inner, shown: path, depth: depth + 1)
        }
    }

    private func writeFile(
        _ cid: CID,
        _ name: [UInt8],
        in directory: Int32,
        shown: String
    ) throws(BlockStoreError) {
        let flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW
        let descriptor = name.withCString { openat(directory, $0, flags, 0o666) }
        guard descriptor >= 0 else { throw failure("make", shown, errno) }
        defer { close(descriptor) }
        do {
            try FileReader(cid, in: store).forEachPiece { bytes in
                let code = writeAll(descriptor, bytes)
                guard code == 0 else { throw failure("write", shown, code) }
                progress(bytes.count)
            }
        } catch {
            _ = name.withCString { unlinkat(directory, $0, 0) }
            throw .wrap(error)
        }
    }

    private func failure(_ verb: String, _ shown: String, _ code: Int32) -> BlockStoreError {
        BlockStoreError(.io, "cannot \(verb) \(shown): \(String(cString: strerror(code)))")
    }
}

/// Writes all of `bytes`; gives the error number, 0 for none.
///
/// Apart, so that `errno` is read right behind the call.
@inline(never)
func writeAll(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int32 {
    var rest = bytes
    while !rest.isEmpty {
        let count = write(descriptor, rest.baseAddress, rest.count)
        let code = errno
        if count < 0 && code != EINTR { return code }
        if count > 0 { rest = UnsafeRawBufferPointer(rebasing: rest[count...]) }
    }
    return 0
}
