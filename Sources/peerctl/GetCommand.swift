import Glibc
import Multiformats
import PeerNode

/// `get`: files and directories out of the store.
enum GetCommand {
    static let verb = Verb(
        name: "get",
        summary: "write a file or a directory to disk",
        operands: "CID[/path]",
        options: [.value("output", "o", "PATH", "where to write (default: the last name, here)")],
        details: "Files appear whole or not at all; existing ones are replaced.",
        example: "peerctl get -o photos bafybe…",
        operandCount: 1...1
    ) { call in
        let path = try call.path(call.operands[0])
        let output = call.arguments.value("output") ?? path.names.last ?? path.root.description
        try await call.withNode { access in
            let info = try await call.session.waiting(for: "\(path)") {
                try await access.service.resolve(path)
            }
            let writer = TreeWriter(node: access.service)
            var target = output
            if info.kind != .directory, call.arguments.value("output") != nil, FileTree.isDirectory(output) {
                target += "/" + (path.names.last ?? path.root.description)
            }
            try await writer.write(info, to: target)
            if !call.isQuiet { call.streams.note("saved \(path) to \(target)") }
        }
    }
}

/// Writes DAGs as files and directories.
struct TreeWriter: Sendable {
    let node: any NodeService

    /// Deepest directory that is written.
    static let depthLimit = 256

    func write(_ info: ContentInfo, to path: String, depth: Int = 0) async throws {
        guard depth < TreeWriter.depthLimit else {
            throw NodeError(.corrupt, "directories nest over \(TreeWriter.depthLimit) levels at \(path)")
        }
        switch info.kind {
        case .directory: try await writeDirectory(info.cid, to: path, depth)
        case .symlink: try link(info.target ?? "", at: path)
        case .file: try await writeFile(info.cid, to: path)
        case .other:
            throw NodeError(
                .wrongKind,
                "\(info.cid) is no file or directory; `peerctl block get` prints its bytes"
            )
        }
    }

    private func writeDirectory(_ cid: CID, to path: String, _ depth: Int) async throws {
        guard mkdir(path, 0o777) == 0 || (errno == EEXIST && FileTree.isDirectory(path)) else {
            throw FileTree.failure("make", path)
        }
        for entry in try await node.list(ContentPath(root: cid)) {
            // Names come from others: none may lead out of the directory.
            guard !entry.name.isEmpty, entry.name != ".", entry.name != "..", !entry.name.utf8.contains(47),
                !entry.name.utf8.contains(0)
            else {
                throw NodeError(
                    .corrupt,
                    "directory \(cid) holds the name «\(entry.name)», which no file can have"
                )
            }
            let info = try await node.resolve(ContentPath(root: entry.cid))
            try await write(info, to: "\(path)/\(entry.name)", depth: depth + 1)
        }
    }

    private func link(_ target: String, at path: String) throws {
        unlink(path)
        guard symlink(target, path) == 0 else { throw FileTree.failure("make", path) }
    }

    /// Writes beside the target first, so that a file of that name is always whole.
    func writeFile(_ cid: CID, to path: String) async throws {
        let file = try OutputFile(path)
        try await node.read(ContentPath(root: cid), offset: 0, length: nil) { try file.write($0) }
        try file.commit()
    }
}

/// A file that appears under its name only when it is complete.
final class OutputFile: Sendable {
    private let path: String
    private let temporary: String
    private let descriptor: Int32

    init(_ path: String) throws(NodeError) {
        self.path = path
        temporary = "\(path).part-\(getpid())"
        guard !FileTree.isDirectory(path) else {
            throw NodeError(.file, "cannot write \(path): it is a directory")
        }
        descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0o666)
        guard descriptor >= 0 else { throw FileTree.failure("write", path) }
    }

    deinit {
        close(descriptor)
        unlink(temporary)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(NodeError) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            let count = Glibc.write(descriptor, part.baseAddress, part.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw FileTree.failure("write", path) }
            rest = rest.dropFirst(count)
        }
    }

    func commit() throws(NodeError) {
        guard rename(temporary, path) == 0 else { throw FileTree.failure("write", path) }
    }
}

extension FileTree {
    static func isDirectory(_ path: String) -> Bool {
        var status = stat()
        return stat(path, &status) == 0 && status.st_mode & S_IFMT == S_IFDIR
    }
}
