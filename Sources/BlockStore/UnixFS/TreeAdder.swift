import Glibc
import Multiformats

/// Adds files and directories of the disk as `ipfs add` does.
///
/// Names that start with a dot are skipped inside directories unless asked for; a path named by the user never is.
/// Symlinks are kept as such and not followed. Empty directories are kept. Permissions and times are not stored.
public struct TreeAdder {
    /// What to add and how.
    public struct Options: Sendable {
        /// Directories are added with what they hold; otherwise they are an error.
        public var isRecursive = false
        /// Also names that start with a dot.
        public var includesHidden = false
        /// Asked before every read; `true` stops with `.cancelled`.
        public var isCancelled: @Sendable () -> Bool = { false }

        /// The options of `ipfs add` without flags.
        public init() {}
    }

    /// Deepest nesting of directories.
    public static let maxDepth = 256
    /// Most entries of one directory.
    public static let maxEntryCount = 1 << 20

    private let ingest: Ingest
    private let settings: ImportSettings
    private let options: Options

    /// Prepares adding into `ingest`, which the caller pins or abandons afterwards.
    public init(ingest: Ingest, settings: ImportSettings = .standard, options: Options = Options()) {
        self.ingest = ingest
        self.settings = settings
        self.options = options
    }

    /// Adds what is at a path.
    ///
    /// - Parameters:
    ///   - path: a file, symlink or directory.
    ///   - added: called for every node, children before their directory, with its path from the last name of
    ///     `path` on.
    ///   - progress: called with the file bytes read since the last call.
    /// - Returns: the node of the path itself.
    /// - Throws: `.io` for what cannot be read, `.specialFile`, `.notAFile` for a directory that is not wanted,
    ///   `.unsupported`, `.full`.
    public func add(
        _ path: String,
        added: (_ name: String, ImportedNode) -> Void = { _, _ in },
        progress: (Int) -> Void = { _ in }
    ) throws(BlockStoreError) -> ImportedNode {
        let name = path.split(separator: "/").last.map(String.init) ?? "/"
        return try add(Array(path.utf8), name, 0, added, progress)
    }

    /// Adds the bytes of an open descriptor, such as standard input.
    ///
    /// - Parameters:
    ///   - descriptor: read to its end and left open.
    ///   - name: what messages call it.
    ///   - progress: called with the bytes read since the last call.
    /// - Returns: the file.
    /// - Throws: `.io`, `.full`.
    public func add(
        descriptor: Int32,
        name: String,
        progress: (Int) -> Void = { _ in }
    ) throws(BlockStoreError) -> ImportedNode {
        let builder = FileBuilder(ingest: ingest, settings: settings)
        do {
            while try builder.fill({ buffer in
                if options.isCancelled() { throw BlockStoreError(.cancelled, "adding \(name) was stopped") }
                let (count, code) = readSome(descriptor, buffer)
                guard count >= 0 else { throw Self.failure("read", name, code) }
                progress(count)
                return count
            }) {}
        } catch {
            throw .wrap(error)
        }
        return try builder.finish()
    }

    private func add(
        _ path: [UInt8],
        _ name: String,
        _ depth: Int,
        _ added: (String, ImportedNode) -> Void,
        _ progress: (Int) -> Void
    ) throws(BlockStoreError) -> ImportedNode {
        let node: ImportedNode
        switch try fileType(path, name) {
        case S_IFREG: node = try addFile(path, name, progress)
        case S_IFLNK: node = try addSymlink(path, name)
        case S_IFDIR: node = try addDirectory(path, name, depth, added, progress)
        default:
            throw BlockStoreError(
                .specialFile,
                "\(name) is a socket, pipe or device; only files can be added"
            )
        }
        added(name, node)
        return node
    }

    private func fileType(_ path: [UInt8], _ name: String) throws(BlockStoreError) -> mode_t {
        var status = stat()
        guard path.withCString({ lstat($0, &status) }) == 0 else { throw Self.failure("find", name, errno) }
        return status.st_mode & S_IFMT
    }

    private func addFile(
        _ path: [UInt8],
        _ name: String,
        _ progress: (Int) -> Void
    ) throws(BlockStoreError) -> ImportedNode {
        // Without blocking, in case a pipe has taken the file's place.
        let descriptor = path.withCString { open($0, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK) }
        guard descriptor >= 0 else { throw Self.failure("open", name, errno) }
        defer { close(descriptor) }
        return try add(descriptor: descriptor, name: name, progress: progress)
    }

    private func addSymlink(_ path: [UInt8], _ name: String) throws(BlockStoreError) -> ImportedNode {
        var target = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = path.withCString { path in
            target.withUnsafeMutableBytes { buffer in
                buffer.baseAddress.map {
                    readlink(path, $0.assumingMemoryBound(to: CChar.self), buffer.count)
                } ?? -1
            }
        }
        guard count >= 0 else { throw Self.failure("read", name, errno) }
        return try DirectoryBuilder.symlink(Array(target.prefix(count)), into: ingest, settings: settings)
    }

    private func addDirectory(
        _ path: [UInt8],
        _ name: String,
        _ depth: Int,
        _ added: (String, ImportedNode) -> Void,
        _ progress: (Int) -> Void
    ) throws(BlockStoreError) -> ImportedNode {
        guard options.isRecursive else {
            throw BlockStoreError(.notAFile, "\(name) is a directory; use -r to add it with what it holds")
        }
        guard depth < Self.maxDepth else { throw BlockStoreError(.badPath, "\(name) is nested too deeply") }
        var entries: [(name: [UInt8], node: ImportedNode)] = []
        for entry in try names(path, name) where options.includesHidden || entry[0] != UInt8(ascii: ".") {
            let shown = name + "/" + String(decoding: entry, as: UTF8.self)
            entries.append(
                (entry, try add(path + [UInt8(ascii: "/")] + entry, shown, depth + 1, added, progress))
            )
        }
        return try DirectoryBuilder.directory(entries, into: ingest, settings: settings)
    }

    /// The names in a directory, sorted bytewise.
    private func names(_ path: [UInt8], _ name: String) throws(BlockStoreError) -> [[UInt8]] {
        guard let directory = path.withCString({ opendir($0) }) else {
            throw Self.failure("open", name, errno)
        }
        defer { closedir(directory) }
        var names: [[UInt8]] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else { break }
            let bytes = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            guard EntryName.isAllowed(bytes) else { continue }  // `.` and `..`
            guard names.count < Self.maxEntryCount else {
                throw BlockStoreError(.unsupported, "\(name) has more than \(Self.maxEntryCount) entries")
            }
            names.append(bytes)
        }
        guard errno == 0 else { throw Self.failure("list", name, errno) }
        return names.sorted { $0.lexicographicallyPrecedes($1) }
    }

    private static func failure(_ verb: String, _ name: String, _ code: Int32) -> BlockStoreError {
        BlockStoreError(.io, "cannot \(verb) \(name): \(String(cString: strerror(code)))")
    }
}

/// `read(2)`, again after a signal; apart, so that `errno` is read right behind the call.
@inline(never)
func readSome(_ descriptor: Int32, _ buffer: UnsafeMutableRawBufferPointer) -> (count: Int, code: Int32) {
    while true {
        let count = read(descriptor, buffer.baseAddress, buffer.count)
        let code = errno
        if count >= 0 || code != EINTR { return (count, code) }
    }
}
