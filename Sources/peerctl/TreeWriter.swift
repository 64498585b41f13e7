import Glibc
import Multiformats
import PeerNode

/// Writes DAGs as files, directories and symbolic links.
///
/// Names and links come from others, so nothing outside the target is touched: below the path that the user named,
/// every step is taken from an open directory and follows no link, also none that was written before.
struct TreeWriter: Sendable {
    /// Deepest nesting of directories, as in `Adder`.
    static let depthLimit = FileTree.depthLimit

    let node: any NodeService

    /// Where an entry goes.
    private struct Place {
        var directory: Int32
        var name: String
        /// What messages call it.
        var shown: String
        var depth: Int
    }

    /// Writes a file, a directory with what it holds, or a link to `path`.
    ///
    /// Files replace what has their name; directories may be there.
    func write(_ info: ContentInfo, to path: String) async throws {
        try await write(info, at: Place(directory: AT_FDCWD, name: path, shown: path, depth: 0))
    }

    private func write(_ info: ContentInfo, at place: Place) async throws {
        switch info.kind {
        case .directory: try await writeDirectory(info.cid, at: place)
        case .symlink: try link(info.target ?? "", at: place)
        case .file: try await writeFile(info.cid, at: place)
        case .other:
            throw NodeError(
                .wrongKind,
                "\(info.cid) is no file or directory; `peerctl block get` prints its bytes"
            )
        }
    }

    private func writeDirectory(_ cid: CID, at place: Place) async throws {
        guard place.depth < TreeWriter.depthLimit else { throw FileTree.tooDeep(place.shown) }
        let directory = try open(place)
        defer { close(directory) }
        for entry in try await node.list(ContentPath(root: cid)) {
            guard FileTree.isName(entry.name) else {
                throw NodeError(
                    .corrupt,
                    "directory \(cid) holds the name «\(entry.name)», which no file can have"
                )
            }
            let info = try await node.resolve(ContentPath(root: entry.cid))
            let shown = "\(place.shown)/\(entry.name)"
            try await write(
                info,
                at: Place(directory: directory, name: entry.name, shown: shown, depth: place.depth + 1)
            )
        }
    }

    /// Makes the directory unless it is there, and opens it.
    private func open(_ place: Place) throws(NodeError) -> Int32 {
        guard mkdirat(place.directory, place.name, 0o777) == 0 || errno == EEXIST else {
            throw FileTree.failure("make", place.shown)
        }
        // The user may name a directory by a link; nothing below may be one.
        let follows = place.depth == 0 ? 0 : O_NOFOLLOW
        let flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC | follows
        let descriptor = openat(place.directory, place.name, flags)
        guard descriptor >= 0 else {
            guard errno == ENOTDIR || errno == ELOOP else { throw FileTree.failure("open", place.shown) }
            throw NodeError(
                .file,
                "cannot write the directory \(place.shown): a file or link of that name is there; remove it"
            )
        }
        return descriptor
    }

    private func link(_ target: String, at place: Place) throws(NodeError) {
        unlinkat(place.directory, place.name, 0)
        guard symlinkat(target, place.directory, place.name) == 0 else {
            throw FileTree.failure("make", place.shown)
        }
    }

    private func writeFile(_ cid: CID, at place: Place) async throws {
        let file = try NewFile(place.name, in: place.directory, shown: place.shown)
        try await node.read(ContentPath(root: cid), offset: 0, length: nil) { try file.write($0) }
        try file.commit()
    }
}

extension FileTree {
    /// Deepest nesting of directories that is added or written.
    static let depthLimit = 256

    static func tooDeep(_ path: String) -> NodeError {
        NodeError(.file, "\(path) is nested too deeply: directories may stand \(depthLimit) in each other")
    }

    /// Whether a directory can hold this name.
    static func isName(_ name: String) -> Bool {
        !name.isEmpty && name != "." && name != ".." && !name.utf8.contains(UInt8(ascii: "/"))
            && !name.utf8.contains(0)
    }

    static func isDirectory(_ path: String) -> Bool {
        (try? kind(path, follow: true)) == .directory
    }
}
