public import Multiformats

/// A root and names below it: `CID/a/b`, also after `/ipfs/` or `ipfs://`.
public struct UnixFSPath: Hashable, Sendable {
    /// Where the path starts.
    public var root: CID
    /// Names from the root down.
    public var names: [[UInt8]]

    /// Most names of a path.
    public static let maxNameCount = 256

    /// Parses a path; empty names (`//`, a `/` at the end) are dropped.
    ///
    /// - Throws: `.badPath` when the front is no CID, or a name is `.` or `..` or too long.
    public init(_ text: String) throws(BlockStoreError) {
        var rest = Array(text.utf8)[...]
        for prefix in ["/ipfs/", "ipfs://"] where rest.starts(with: prefix.utf8) {
            rest = rest.dropFirst(prefix.utf8.count)
        }
        let parts = rest.split(separator: UInt8(ascii: "/"))
        guard let first = parts.first, parts.count <= Self.maxNameCount else {
            throw BlockStoreError(.badPath, "\"\(text)\" does not start with a CID")
        }
        do throws(CIDFault) {
            root = try CID(parsing: String(decoding: first, as: UTF8.self))
        } catch {
            throw BlockStoreError(.badPath, "\"\(text)\" does not start with a CID (\(error))", cause: error)
        }
        names = parts.dropFirst().map { Array($0) }
        guard names.allSatisfy(EntryName.isAllowed) else {
            throw BlockStoreError(.badPath, "\"\(text)\" holds a name that no entry can have")
        }
    }

    /// The CID that the path leads to; symlinks are not followed.
    ///
    /// - Throws: `.noSuchPath`, `.notADirectory`, and what reading nodes throws.
    public func resolve(in store: any BlockStore) throws(BlockStoreError) -> CID {
        var cid = root
        for name in names {
            let entries = try DirectoryReader.entries(of: cid, in: store)
            guard let entry = entries.first(where: { $0.name == name }) else {
                throw BlockStoreError(
                    .noSuchPath,
                    "\(cid) has no entry \"\(String(decoding: name, as: UTF8.self))\""
                )
            }
            cid = entry.cid
        }
        return cid
    }
}

/// Reads directories.
public enum DirectoryReader {
    /// The entries of a directory in the order of its block; of a name that occurs twice only the first.
    ///
    /// - Throws: `.notADirectory`, and what reading a node throws.
    public static func entries(
        of cid: CID,
        in store: any BlockStore
    ) throws(BlockStoreError) -> [UnixFSNode.DirectoryEntry] {
        guard cid.codec == .dagPB, case .directory(let entries) = try UnixFSNode.read(cid, in: store) else {
            throw BlockStoreError(.notADirectory, "\(cid) is not a directory", cid: cid)
        }
        var seen: Set<[UInt8]> = []
        return entries.filter { seen.insert($0.name).inserted }
    }
}
