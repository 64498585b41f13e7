public import Multiformats

/// A CID, or a name below one: `CID`, `CID/a/b`, `/ipfs/CID/a/b`.
public struct ContentPath: Hashable, Sendable, CustomStringConvertible {
    /// The CID that the path starts at.
    public var root: CID
    /// Names to follow from the root, none empty.
    public var names: [String]

    /// Names a place in a DAG.
    public init(root: CID, names: [String] = []) {
        self.root = root
        self.names = names
    }

    /// Reads the text forms above.
    ///
    /// - Throws: `NodeError` with code `invalidArgument`.
    public init(parsing text: String) throws(NodeError) {
        var rest = text[...]
        for prefix in ["/ipfs/", "ipfs://"] where rest.hasPrefix(prefix) {
            rest = rest.dropFirst(prefix.count)
        }
        let parts = rest.split(separator: "/", omittingEmptySubsequences: true).map(String.init)
        guard let first = parts.first, let root = CID(first) else {
            throw NodeError(.invalidArgument, "«\(text)» is not a CID or CID/path")
        }
        self.init(root: root, names: Array(parts.dropFirst()))
    }

    /// `CID/a/b`.
    public var description: String { ([root.description] + names).joined(separator: "/") }
}

/// What a CID stands for.
public enum ContentKind: String, Hashable, Sendable, CaseIterable {
    case file
    case directory
    case symlink
    /// A block that is no UnixFS node, such as dag-cbor.
    case other
}

/// One node of a DAG, resolved.
public struct ContentInfo: Hashable, Sendable {
    /// What it is called by.
    public var cid: CID
    /// What it is.
    public var kind: ContentKind
    /// File bytes; for a directory 0; otherwise the block's bytes.
    public var size: UInt64
    /// Where a symbolic link points, as bytes of a path.
    public var target: String?

    /// Describes a node.
    public init(cid: CID, kind: ContentKind, size: UInt64, target: String? = nil) {
        self.cid = cid
        self.kind = kind
        self.size = size
        self.target = target
    }
}

/// One entry of a directory.
public struct ContentEntry: Hashable, Sendable {
    /// Its name; empty: none.
    public var name: String
    /// What it is called by.
    public var cid: CID
    /// File bytes; 0 for a directory.
    public var size: UInt64
    /// What it is.
    public var kind: ContentKind

    /// Describes an entry.
    public init(name: String, cid: CID, size: UInt64, kind: ContentKind) {
        self.name = name
        self.cid = cid
        self.size = size
        self.kind = kind
    }
}

/// One node that was added, with what a directory above it needs to link to it.
public struct AddedNode: Hashable, Sendable {
    /// What it is called by.
    public var cid: CID
    /// Bytes of the block and of everything below it (Tsize).
    public var dagSize: UInt64
    /// File bytes; 0 for a directory.
    public var size: UInt64

    /// Describes a node.
    public init(cid: CID, dagSize: UInt64, size: UInt64) {
        self.cid = cid
        self.dagSize = dagSize
        self.size = size
    }
}

/// A link from a directory that is being made.
public struct NewEntry: Hashable, Sendable {
    /// Its name; empty: none.
    public var name: String
    /// What the entry leads to.
    public var node: AddedNode

    /// Names a node.
    public init(name: String, node: AddedNode) {
        self.name = name
        self.node = node
    }
}

/// How files become blocks; another profile gives another CID for the same bytes.
public enum ImportProfile: String, Hashable, Sendable, CaseIterable {
    /// As `ipfs add --cid-version=1`: 256 KiB raw leaves, 174 links. The default.
    case standard
    /// As a plain `ipfs add`: CIDv0, dag-pb leaves.
    case unixFSv0 = "unixfs-v0-2015"
    /// IPIP-499: 1 MiB raw leaves, 1,024 links.
    case unixFSv1 = "unixfs-v1-2025"
}

/// A running add: what it stores is safe from garbage collection until it is finished or abandoned.
public struct AddSession: Hashable, Sendable {
    /// Names the add in later calls.
    public var id: String

    /// Names a session.
    public init(id: String) { self.id = id }
}

/// A named root that garbage collection keeps.
public struct PinInfo: Hashable, Sendable {
    /// What it is called by.
    public var cid: CID
    /// Its name; empty: none.
    public var name: String

    /// Describes a pin.
    public init(cid: CID, name: String) {
        self.cid = cid
        self.name = name
    }

    /// Refuses names that the node gives its own pins.
    public static func checkName(_ name: String) throws(NodeError) {
        if name.hasPrefix(LocalNode.ownPinPrefix) {
            throw NodeError(
                .invalidArgument,
                "names of pins that start with ~ are the node's own, such as «\(name)»"
            )
        }
        if name.hasPrefix(JobStorage.resultPinPrefix) {
            throw NodeError(
                .invalidArgument,
                "«\(name)» is a name that results of jobs get; choose one that does not start with "
                    + JobStorage.resultPinPrefix
            )
        }
    }
}

/// A block and its length.
public struct BlockInfo: Hashable, Sendable {
    /// What it is called by.
    public var cid: CID
    /// Bytes.
    public var size: Int

    /// Describes a block.
    public init(cid: CID, size: Int) {
        self.cid = cid
        self.size = size
    }
}

/// The distinct blocks under a root.
public struct DAGStatistics: Hashable, Sendable {
    /// Distinct blocks.
    public var blockCount: UInt64
    /// Bytes of the blocks.
    public var byteCount: UInt64

    /// Describes a DAG.
    public init(blockCount: UInt64, byteCount: UInt64) {
        self.blockCount = blockCount
        self.byteCount = byteCount
    }
}

/// What a CAR brought.
public struct ImportReport: Hashable, Sendable {
    /// The roots that the CAR names.
    public var roots: [CID]
    /// Distinct blocks.
    public var blockCount: UInt64
    /// Bytes of the blocks.
    public var byteCount: UInt64
    /// Whether the roots were pinned.
    public var isPinned: Bool

    /// Describes an import.
    public init(roots: [CID], blockCount: UInt64, byteCount: UInt64, isPinned: Bool) {
        self.roots = roots
        self.blockCount = blockCount
        self.byteCount = byteCount
        self.isPinned = isPinned
    }
}

/// What the store holds.
public struct RepositoryStatistics: Hashable, Sendable {
    /// Distinct blocks.
    public var blockCount: UInt64
    /// Bytes of the blocks.
    public var byteCount: UInt64
    /// Most bytes of blocks; `nil`: no limit.
    public var byteLimit: UInt64?
    /// Pins, those of results among them, and those of remembered outputs not.
    public var pinCount: UInt64
    /// Pins of remembered outputs.
    public var rememberedCount: UInt64
    /// Bytes of remembered outputs.
    public var rememberedByteCount: UInt64
    /// Corrupt blocks set aside.
    public var quarantinedCount: UInt64
    /// The node's folder.
    public var path: String

    /// Describes a store.
    public init(
        blockCount: UInt64,
        byteCount: UInt64,
        byteLimit: UInt64?,
        pinCount: UInt64,
        rememberedCount: UInt64 = 0,
        rememberedByteCount: UInt64 = 0,
        quarantinedCount: UInt64,
        path: String
    ) {
        self.blockCount = blockCount
        self.byteCount = byteCount
        self.byteLimit = byteLimit
        self.pinCount = pinCount
        self.rememberedCount = rememberedCount
        self.rememberedByteCount = rememberedByteCount
        self.quarantinedCount = quarantinedCount
        self.path = path
    }
}

/// What a garbage collection removed.
public struct CollectionReport: Hashable, Sendable {
    /// Blocks removed.
    public var removedCount: UInt64
    /// Bytes of the blocks removed.
    public var removedByteCount: UInt64
    /// A line for each pin whose DAG could not be walked to its end.
    public var warnings: [String]

    /// Describes a collection.
    public init(removedCount: UInt64, removedByteCount: UInt64, warnings: [String] = []) {
        self.removedCount = removedCount
        self.removedByteCount = removedByteCount
        self.warnings = warnings
    }
}

/// What a check of every block found.
public struct VerificationReport: Hashable, Sendable {
    /// Blocks read and hashed.
    public var checkedCount: UInt64
    /// Blocks whose bytes do not match their CID; they are quarantined.
    public var corrupt: [CID]
    /// Blocks missing under a pin, and not among the corrupt ones.
    public var missing: [CID]
    /// The name of a pin that needs a bad block, where one does.
    public var neededBy: [CID: String]

    /// Describes a check.
    public init(checkedCount: UInt64, corrupt: [CID], missing: [CID], neededBy: [CID: String] = [:]) {
        self.checkedCount = checkedCount
        self.corrupt = corrupt
        self.missing = missing
        self.neededBy = neededBy
    }
}
