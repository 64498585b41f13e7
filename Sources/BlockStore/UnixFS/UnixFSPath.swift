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
            guard let entry = try DirectoryReader.entry(named: name, of: cid, in: store) else {
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

/// Reads directories, in one block or in shards.
public enum DirectoryReader {
    /// The entries of a directory: in the order of its block, or by name when it is sharded.
    ///
    /// Of a name that occurs twice only the first is given.
    ///
    /// - Throws: `.notADirectory`, and what reading a node throws.
    public static func entries(
        of cid: CID,
        in store: any BlockStore
    ) throws(BlockStoreError) -> [UnixFSNode.DirectoryEntry] {
        var entries: [UnixFSNode.DirectoryEntry]
        switch try node(cid, in: store) {
        case .directory(let known): entries = known
        case .shard(let root):
            entries = try entriesOfShards(below: root, of: cid, in: store)
            entries.sort { $0.name.lexicographicallyPrecedes($1.name) }
        default: throw BlockStoreError(.notADirectory, "\(cid) is not a directory", cid: cid)
        }
        var seen: Set<[UInt8]> = []
        return entries.filter { seen.insert($0.name).inserted }
    }

    /// The entry of a name, found through the shards that its hash leads to.
    ///
    /// - Throws: `.notADirectory`, and what reading a node throws.
    public static func entry(
        named name: [UInt8],
        of cid: CID,
        in store: any BlockStore
    ) throws(BlockStoreError) -> UnixFSNode.DirectoryEntry? {
        var current = try node(cid, in: store)
        let hash = MurmurHash3.hash64(name)
        for depth in 0... {
            switch current {
            case .directory(let entries) where depth == 0: return entries.first { $0.name == name }
            case .shard(let shard):
                let slot = shard.slot(of: hash, depth: depth)
                guard let next = shard.slots.first(where: { $0.number == slot }) else { return nil }
                switch next.content {
                case .entry(let entry): return entry.name == name ? entry : nil
                case .shard(let below): current = try node(below, in: store)
                }
            default: throw BlockStoreError(.notADirectory, "\(cid) is not a directory", cid: cid)
            }
        }
        return nil
    }

    private static func node(_ cid: CID, in store: any BlockStore) throws(BlockStoreError) -> UnixFSNode {
        guard cid.codec == .dagPB else {
            throw BlockStoreError(.notADirectory, "\(cid) is not a directory", cid: cid)
        }
        return try UnixFSNode.read(cid, in: store)
    }

    private static func entriesOfShards(
        below root: DirectoryShard,
        of directory: CID,
        in store: any BlockStore
    ) throws(BlockStoreError) -> [UnixFSNode.DirectoryEntry] {
        var entries: [UnixFSNode.DirectoryEntry] = []
        var waiting: [(shard: DirectoryShard, depth: Int)] = [(root, 0)]
        var shardCount = 1
        while let (shard, depth) = waiting.popLast() {
            for (_, content) in shard.slots {
                switch content {
                case .entry(let entry): entries.append(entry)
                case .shard(let cid):
                    shardCount += 1
                    guard shardCount <= DirectoryShard.maxShardCount, depth < DirectoryShard.hashBitCount
                    else {
                        throw .badNode(directory, "it has too many shards, or they are nested too deeply")
                    }
                    guard case .shard(let next) = try node(cid, in: store) else {
                        throw .badNode(directory, "a shard leads to something else")
                    }
                    waiting.append((next, depth + 1))
                }
                guard entries.count <= DirectoryShard.maxEntryCount else {
                    throw .badNode(directory, "it has more than \(DirectoryShard.maxEntryCount) entries")
                }
            }
        }
        return entries
    }
}
