public import Multiformats

/// One leaf block of an input file.
public struct InputLeaf: Hashable, Sendable {
    /// Names the block.
    public var cid: CID
    /// File bytes in the leaf (for a raw leaf its length).
    public var byteCount: Int

    /// Describes one leaf.
    public init(cid: CID, byteCount: Int) {
        self.cid = cid
        self.byteCount = byteCount
    }
}

/// Consecutive leaves of one file whose records one attempt maps: one map task a leaf.
///
/// A record belongs to the leaf that holds the delimiter before it (the first record to the first leaf), as in
/// Hadoop: a segment that does not start its file skips to behind the first delimiter, and reads on in `lookahead`
/// until the record that began in it, or right at its end, is whole.
public struct MapSegment: Hashable, Sendable {
    /// Position of the file in the order of the job's inputs.
    public var fileIndex: Int
    /// What record keys call the file.
    public var fileName: String
    /// Offset in the file of the first byte of `leaves`.
    public var fileOffset: UInt64
    /// The leaves whose records are mapped; at least one.
    public var leaves: [InputLeaf]
    /// Leaves right behind `leaves`, as many as the longest legal record may reach into; read only as needed.
    public var lookahead: [InputLeaf]
    /// The file ends behind `lookahead` (or behind `leaves` when that is empty).
    public var reachesEndOfFile: Bool

    /// Describes a segment.
    public init(
        fileIndex: Int,
        fileName: String,
        fileOffset: UInt64,
        leaves: [InputLeaf],
        lookahead: [InputLeaf],
        reachesEndOfFile: Bool
    ) {
        self.fileIndex = fileIndex
        self.fileName = fileName
        self.fileOffset = fileOffset
        self.leaves = leaves
        self.lookahead = lookahead
        self.reachesEndOfFile = reachesEndOfFile
    }
}

/// Map tasks that one attempt executes together, in input order; their outputs are one run file.
public struct MapAssignment: Hashable, Sendable {
    /// One for each file that the tasks belong to.
    public var segments: [MapSegment]

    /// Bundles segments.
    public init(segments: [MapSegment]) { self.segments = segments }

    /// Number of map tasks (leaf blocks).
    public var taskCount: Int { segments.reduce(0) { $0 + $1.leaves.count } }
    /// File bytes of the leaves.
    public var byteCount: UInt64 {
        segments.reduce(0) { $0 + $1.leaves.reduce(0) { $0 + UInt64($1.byteCount) } }
    }
}
