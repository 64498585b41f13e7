public import Multiformats

/// Verified blocks by multihash, with named pins and leases.
///
/// Synchronous and thread-safe; calls may block on disk, so they belong on threads of their own. A block is kept while
/// a pin reaches it or a lease of a running `Ingest` names it; anything else may go at the next garbage collection.
/// The codec of a CID plays no part in looking a block up: `Qm…`, `bafy…` and `bafkrei…` of one multihash are one block.
public protocol BlockStore: Sendable {
    /// Whether the block is here; identity CIDs always are.
    func contains(_ multihash: Multihash) throws(BlockStoreError) -> Bool

    /// Length of the block in bytes; `nil` when it is not here. Does not verify it.
    func byteCount(of cid: CID) throws(BlockStoreError) -> Int?

    /// Hands the block's bytes to `body`, verified against the CID; the pointer is valid only inside it.
    ///
    /// - Throws: `BlockStoreError` with code `.notFound` (carrying the CID), or `.corrupt` after moving the block to
    ///   quarantine; and what `body` throws.
    func withBlock<R>(_ cid: CID, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R

    /// Starts a lease: what is put through it is safe from garbage collection until it is closed.
    func makeIngest() throws(BlockStoreError) -> Ingest

    /// Every pin, by name.
    func pins() throws(BlockStoreError) -> [Pin]

    /// Removes a pin; blocks stay until the next collection.
    ///
    /// - Returns: `false` when there was none of that name.
    func unpin(_ name: String) throws(BlockStoreError) -> Bool

    /// Removes every block that no pin and no lease protects, in short steps beside running reads and writes.
    ///
    /// A pinned DAG with a missing, corrupt or unreadable node keeps what its other nodes reach; the report names it.
    ///
    /// - Parameter removed: called for each removed block.
    /// - Returns: what went, and which pins are damaged.
    /// - Throws: `.io`, `.busy`, `.damagedStore`; what was removed before stays removed.
    func collectGarbage(removed: (Multihash) -> Void) throws(BlockStoreError) -> GarbageReport

    /// Removes one block.
    ///
    /// - Throws: `.pinned`, `.inUse` or `.notFound`.
    func remove(_ cid: CID) throws(BlockStoreError)

    /// Calls `body` for every block, in no particular order.
    func forEachBlock(_ body: (Multihash, _ byteCount: Int) throws -> Void) throws

    /// Figures for `repo stat`.
    func statistics() throws(BlockStoreError) -> StoreStatistics

    /// Reads and hashes every block; corrupt ones go to quarantine.
    ///
    /// - Parameter progress: called after each block with the number done.
    /// - Returns: how many were right, and which were not.
    /// - Throws: `.io`, `.damagedStore`, `.unsupported` for a hash function that cannot be checked here.
    func verify(progress: (Int) -> Void) throws(BlockStoreError) -> VerifyReport
}

extension BlockStore {
    /// The block's bytes, copied; see `withBlock`.
    public func block(_ cid: CID) throws(BlockStoreError) -> [UInt8] {
        do { return try withBlock(cid) { Array($0) } } catch { throw .wrap(error) }
    }

    /// Removes every block that nothing protects.
    @discardableResult
    public func collectGarbage() throws(BlockStoreError) -> GarbageReport {
        try collectGarbage(removed: { _ in })
    }
}

/// A name for a root whose whole DAG is kept.
public struct Pin: Hashable, Sendable {
    /// What the user calls it.
    public var name: String
    /// The DAG that is kept.
    public var root: CID

    /// Longest name of a pin, in UTF-8 bytes.
    public static let maxNameByteCount = 1024

    /// Names a root.
    public init(name: String, root: CID) {
        self.name = name
        self.root = root
    }
}

/// What a garbage collection did.
public struct GarbageReport: Hashable, Sendable {
    /// Blocks that are gone.
    public var removedBlockCount = 0
    /// Bytes that those blocks had.
    public var removedByteCount: UInt64 = 0
    /// Blocks that pins reach.
    public var markedBlockCount = 0
    /// Pins whose DAG has a node that cannot be read: what only that node linked to is not kept.
    public var damagedPins: [DamagedPin] = []
}

/// A pin whose DAG could not be walked to its end.
public struct DamagedPin: Hashable, Sendable {
    /// The pin.
    public var pin: Pin
    /// The first node that could not be read; there may be more.
    public var node: CID
    /// Why not; one line.
    public var reason: String

    /// Describes a damaged pin.
    public init(pin: Pin, node: CID, reason: String) {
        self.pin = pin
        self.node = node
        self.reason = reason
    }
}

/// Figures of a store.
public struct StoreStatistics: Hashable, Sendable {
    /// Blocks in the store.
    public var blockCount = 0
    /// Bytes of the blocks themselves.
    public var blockByteCount: UInt64 = 0
    /// Bytes of the files on disk; 0 for a store in memory.
    public var fileByteCount: UInt64 = 0
    /// Most bytes of blocks that the store takes; `nil` when unlimited.
    public var limitByteCount: UInt64?
    /// Names that keep a DAG.
    public var pinCount = 0
    /// Blocks set aside because their bytes were wrong.
    public var quarantinedBlockCount = 0
}

/// What a verification found.
public struct VerifyReport: Hashable, Sendable {
    /// Blocks whose bytes were right.
    public var checkedBlockCount = 0
    /// Blocks whose bytes did not match, now in quarantine, and those quarantined before.
    public var corrupt: [Multihash] = []
}

/// Limits that every store shares.
public enum BlockLimits {
    /// Longest block that is stored, in bytes: what IPFS peers exchange.
    public static let maxByteCount = 2 << 20
    /// Deepest DAG that is walked.
    public static let maxDepth = 64
}
