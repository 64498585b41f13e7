import CLinux
import Glibc
import PeerNode

/// What `-o` names: a file that appears only when it is complete, or a pipe, device or link that is written to.
///
/// As with the shell's `>`: links are followed, what is no regular file stays what it is, and a file that is replaced
/// keeps its permissions. `-` is standard output.
final class OutputFile: Sendable {
    private enum Target: Sendable {
        case new(NewFile)
        case open(Int32)
        case standardOutput(StandardStreams)
    }

    private let path: String
    private let target: Target

    /// Makes or opens the target, so that one that cannot be written is refused before there is anything to write.
    init(_ path: String, _ streams: StandardStreams) throws(NodeError) {
        self.path = path
        guard path != "-" else {
            target = .standardOutput(streams)
            return
        }
        var status = stat()
        guard stat(path, &status) == 0 else {
            // A link to nothing makes what it names, as the shell does.
            let isLink = (try? FileTree.kind(path, follow: false)) == .symlink
            target = isLink ? try OutputFile.opened(path) : .new(try NewFile(path))
            return
        }
        switch status.st_mode & S_IFMT {
        case S_IFDIR: throw NodeError(.file, "cannot write \(path): it is a directory")
        case S_IFREG:
            guard let resolved = realpath(path, nil) else { throw FileTree.failure("write", path) }
            defer { free(resolved) }
            target = .new(try NewFile(String(cString: resolved), permissions: status.st_mode & 0o7777))
        default: target = try OutputFile.opened(path)
        }
    }

    deinit { if case .open(let descriptor) = target { close(descriptor) } }

    private static func opened(_ path: String) throws(NodeError) -> Target {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0o666)
        guard descriptor >= 0 else { throw FileTree.failure("write", path) }
        return .open(descriptor)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(NodeError) {
        switch target {
        case .new(let file): try file.write(bytes)
        case .open(let descriptor): try FileTree.writeAll(bytes, to: descriptor, path)
        case .standardOutput(let streams): streams.bytes(bytes)
        }
    }

    /// Gives a complete file its name.
    func commit() throws(NodeError) {
        if case .new(let file) = target { try file.commit() }
    }
}

/// A file that appears under its name only when it is complete, in place of what has that name.
final class NewFile: Sendable {
    private let directory: Int32
    private let name: String
    private let shown: String
    /// Its name until it is complete; `nil` as long as it has none, so that nothing of a killed command stays.
    private let temporary: String?
    private let descriptor: Int32

    /// Makes the file without a name, or where the file system has no such files under another name beside its own.
    ///
    /// - Parameters:
    ///   - path: where it goes; with a `directory`, a name in it.
    ///   - directory: an open directory.
    ///   - shown: what messages call it; `nil`: `path`.
    ///   - permissions: `nil`: as the user's mask has it.
    /// - Throws: `NodeError` with code `file`.
    init(
        _ path: String,
        in directory: Int32 = AT_FDCWD,
        shown: String? = nil,
        permissions: mode_t? = nil
    ) throws(NodeError) {
        self.directory = directory
        self.shown = shown ?? path
        name = path
        let folder = NewFile.folder(of: path)
        let flags = O_WRONLY | O_CLOEXEC
        let unnamed = openat(directory, folder.isEmpty ? "." : folder, flags | open_unnamed, 0o666)
        temporary = unnamed >= 0 ? nil : NewFile.temporaryName(in: folder)
        descriptor =
            temporary.map { openat(directory, $0, flags | O_CREAT | O_EXCL, 0o666) } ?? unnamed
        guard descriptor >= 0 else { throw FileTree.failure("write", self.shown) }
        if let permissions { fchmod(descriptor, permissions) }
    }

    deinit {
        close(descriptor)
        if let temporary { unlinkat(directory, temporary, 0) }
    }

    /// The front of a path, up to its last `/`.
    private static func folder(of path: String) -> String {
        path.utf8.lastIndex(of: UInt8(ascii: "/")).map { String(path[...$0]) } ?? ""
    }

    /// Not made of the file's own name, which may be as long as a name can be.
    private static func temporaryName(in folder: String) -> String {
        "\(folder).peerctl-\(getpid())-\(UInt32.random(in: 0...UInt32.max)).part"
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(NodeError) {
        try FileTree.writeAll(bytes, to: descriptor, shown)
    }

    func commit() throws(NodeError) {
        let whole = if let temporary { temporary } else { try named() }
        guard renameat(directory, whole, directory, name) == 0 else {
            let failure = FileTree.failure("write", shown)
            unlinkat(directory, whole, 0)
            throw failure
        }
    }

    /// Gives a complete file a name beside its own: a link cannot replace a file, a renamed file can.
    private func named() throws(NodeError) -> String {
        let name = NewFile.temporaryName(in: NewFile.folder(of: name))
        let opened = "/proc/self/fd/\(descriptor)"
        guard linkat(AT_FDCWD, opened, directory, name, AT_SYMLINK_FOLLOW) == 0 else {
            throw FileTree.failure("write", shown)
        }
        return name
    }
}

extension FileTree {
    /// Writes all of `bytes` to the open file `path`.
    static func writeAll(
        _ bytes: UnsafeRawBufferPointer,
        to descriptor: Int32,
        _ path: String
    ) throws(NodeError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            let count = write(descriptor, part.baseAddress, part.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw failure("write", path) }
            rest = rest.dropFirst(count)
        }
    }
}
