import Glibc
import PeerNode

/// The user's files.
enum FileTree {
    enum Kind {
        case file, directory, symlink
        /// A pipe, terminal or other device that is read to an end.
        case stream
        /// A socket or disk.
        case special
    }

    /// What stands at a path.
    static func kind(_ path: String, follow: Bool) throws(NodeError) -> Kind {
        var status = stat()
        guard (follow ? stat(path, &status) : lstat(path, &status)) == 0 else { throw failure("read", path) }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .directory
        case S_IFLNK: return .symlink
        case S_IFIFO, S_IFCHR: return .stream
        default: return .special
        }
    }

    /// Names in a directory, sorted bytewise.
    static func entries(_ path: String, hidden: Bool) throws(NodeError) -> [String] {
        guard let directory = opendir(path) else { throw failure("read", path) }
        defer { closedir(directory) }
        var names: [String] = []
        while true {
            errno = 0
            guard let entry = readdir(directory) else { break }
            let bytes = withUnsafeBytes(of: entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            guard let name = String(validating: bytes, as: UTF8.self) else {
                let shown = String(decoding: bytes, as: UTF8.self)
                throw NodeError(.file, "the name of \(path)/\(shown) is not UTF-8; rename it")
            }
            if name == "." || name == ".." || (!hidden && name.hasPrefix(".")) { continue }
            names.append(name)
        }
        guard errno == 0 else { throw failure("list", path) }
        return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    }

    /// Opens a file for reading; `-` is standard input.
    static func open(_ path: String, progress: @escaping @Sendable (Int) -> Void) throws(NodeError)
        -> DescriptorSource
    {
        let descriptor = path == "-" ? STDIN_FILENO : Glibc.open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failure("read", path) }
        var status = stat()
        let isRegular = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        let position = isRegular ? max(lseek(descriptor, 0, SEEK_CUR), 0) : 0
        return DescriptorSource(
            descriptor: descriptor,
            name: path == "-" ? "standard input" : path,
            byteCount: isRegular && path != "-"
                ? knownSize(descriptor, UInt64(max(Int(status.st_size) - position, 0))) : nil,
            owned: path != "-",
            progress: progress
        )
    }

    /// The size of a regular file; `nil`: its size is 0, and it has bytes all the same, as files of /proc do.
    private static func knownSize(_ descriptor: Int32, _ size: UInt64) -> UInt64? {
        guard size == 0 else { return size }
        var byte: UInt8 = 0
        return pread(descriptor, &byte, 1, 0) == 1 ? nil : 0
    }

    /// Where a symbolic link points.
    static func target(_ path: String) throws(NodeError) -> String {
        var buffer = [UInt8](repeating: 0, count: Int(PATH_MAX))
        let count = buffer.withUnsafeMutableBytes { buffer in
            buffer.withMemoryRebound(to: CChar.self) { text in
                text.baseAddress.map { readlink(path, $0, text.count) } ?? -1
            }
        }
        guard count >= 0 else { throw failure("read", path) }
        guard let target = String(validating: buffer[..<count], as: UTF8.self) else {
            throw NodeError(.file, "the target of the link \(path) is not UTF-8")
        }
        return target
    }

    /// The last name of a path.
    static func baseName(_ path: String) -> String {
        let parts = path.split(separator: "/").filter { $0 != "." }
        if let last = parts.last, last != ".." { return String(last) }
        guard let full = realpath(path, nil) else { return path }
        defer { free(full) }
        return String(cString: full).split(separator: "/").last.map(String.init) ?? "root"
    }

    /// Bytes of the files under a path, as far as they can be seen.
    static func byteCount(_ path: String, _ hidden: Bool) -> UInt64 {
        var status = stat()
        guard path != "-", lstat(path, &status) == 0 else { return 0 }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return UInt64(max(status.st_size, 0))
        case S_IFDIR:
            let names = (try? entries(path, hidden: hidden)) ?? []  // the add itself will say what is wrong
            return names.reduce(0) { $0 + byteCount("\(path)/\($1)", hidden) }
        default: return 0
        }
    }

    /// The error for what is no file, directory or link.
    static func special(_ path: String) -> NodeError {
        NodeError(
            .file,
            "\(path) is a device, socket or pipe; only files, directories and links can be added"
        )
    }

    /// The error of the last system call on `path`.
    static func failure(_ what: String, _ path: String) -> NodeError {
        NodeError(.file, "cannot \(what) \(path): \(String(cString: strerror(errno)))")
    }
}
