public import Multiformats
import PeerCrypto
import Synchronization

/// Puts blocks into a store under a lease.
///
/// What is put, or protected, is safe from garbage collection until `close` or `abandon`; a lease also ends with its
/// process. Blocks are collected into batches, so they are visible to readers after `flush`, and are sure to survive
/// a power failure after `flush(durable: true)` or `pin`. May be called from several threads.
///
/// A failed write is reported by the call after it at the latest, and by every later one.
public final class Ingest: Sendable {
    /// Bytes of one batch.
    public static let batchByteCount = 4 << 20
    /// Blocks of one batch.
    public static let batchBlockCount = 1024

    private struct Staged: ~Copyable {
        var blocks: [StagedBlock] = []
        var byteCount = 0
        var isClosed = false
    }

    private let backend: any IngestBackend
    private let staged = Mutex(Staged())

    package init(_ backend: any IngestBackend) { self.backend = backend }

    deinit {
        // An ingest that is dropped without a word leaves its blocks to the collector; there is no one to tell.
        try? close()
    }

    /// Only hashes: blocks are counted and thrown away (`add -n`).
    public static func discarding() -> Ingest { Ingest(DiscardingBackend()) }

    /// Puts a block, copying its bytes.
    ///
    /// - Parameters:
    ///   - cid: what the bytes are said to be; only its multihash counts.
    ///   - bytes: the block.
    ///   - verifying: hash the bytes first; pass `false` only when `cid` was computed from these very bytes.
    /// - Throws: `.badBlock` when they do not match or are over `BlockLimits.maxByteCount`; `.full`.
    public func put(_ cid: CID, _ bytes: UnsafeRawBufferPointer, verifying: Bool = true)
        throws(BlockStoreError)
    {
        guard bytes.count <= BlockLimits.maxByteCount else {
            throw BlockStoreError(
                .badBlock,
                "block \(cid) has \(bytes.count) bytes; the longest allowed has \(BlockLimits.maxByteCount)",
                cid: cid
            )
        }
        if cid.multihash.code == Multihash.identityCode { return }
        if verifying { try Verification.check(cid, bytes) }
        try put(StagedBlock(multihash: cid.multihash, bytes: BlockBuffer(copying: bytes)))
    }

    /// Puts a block, copying its bytes; see the form with a pointer.
    public func put(_ cid: CID, _ bytes: [UInt8], verifying: Bool = true) throws(BlockStoreError) {
        try bytes.withBytes { (buffer) throws(BlockStoreError) in try put(cid, buffer, verifying: verifying) }
    }

    /// Puts bytes under the CIDv1 that they have.
    public func put(_ bytes: [UInt8], codec: CID.Codec) throws(BlockStoreError) -> CID {
        let cid = CID.of(bytes, codec: codec)
        try put(cid, bytes, verifying: false)
        return cid
    }

    /// Puts a block whose buffer the store takes over, without a copy.
    package func put(_ block: StagedBlock) throws(BlockStoreError) {
        let full: [StagedBlock]? = try staged.withLock { (staged) throws(BlockStoreError) in
            guard !staged.isClosed else { throw Self.closed }
            staged.blocks.append(block)
            staged.byteCount += block.bytes.count
            guard staged.byteCount >= Self.batchByteCount || staged.blocks.count >= Self.batchBlockCount
            else {
                return nil
            }
            return Self.take(&staged)
        }
        if let full { try backend.write(full) }
    }

    /// Protects blocks that are in the store already, in one transaction.
    ///
    /// - Parameter cids: blocks to protect; those that are missing are left out.
    /// - Returns: the first one that is missing, or `nil`.
    /// - Throws: what an earlier put failed with.
    public func protect(_ cids: [CID]) throws(BlockStoreError) -> CID? {
        try writeStaged()
        let real = cids.filter { $0.multihash.code != Multihash.identityCode }
        let missing = try backend.protect(real.map(\.multihash))
        return missing.map { real[$0] }
    }

    /// Keeps everything that some roots reach until the lease ends: what is here and what comes later.
    ///
    /// One short transaction however large the DAGs are, for the collector walks them as it walks pins. Blocks may be
    /// missing; those are not kept from being missing.
    ///
    /// - Parameter roots: such as the inputs of a job.
    /// - Throws: what an earlier put failed with.
    public func hold(_ roots: [CID]) throws(BlockStoreError) {
        try writeStaged()
        if !roots.isEmpty { try backend.hold(roots) }
    }

    /// Waits until everything put so far is committed and visible to readers.
    ///
    /// - Parameter durable: also until it survives a power failure.
    /// - Throws: what an earlier put failed with.
    public func flush(durable: Bool = false) throws(BlockStoreError) {
        try writeStaged()
        try backend.finish(IngestEnd(pins: [], isDurable: durable, closes: false))
    }

    /// Commits what is staged and names a root, in one durable transaction; an existing pin of that name is replaced.
    ///
    /// The DAG under `root` must be complete, and every block of it put or protected through this ingest or pinned.
    ///
    /// - Parameters:
    ///   - name: 1 to `Pin.maxNameByteCount` bytes.
    ///   - root: what is kept from now on.
    ///   - closing: also end the lease in the same transaction.
    /// - Throws: `.badName`, and what an earlier put failed with; then nothing is pinned.
    public func pin(_ name: String, _ root: CID, closing: Bool = false) throws(BlockStoreError) {
        try pin([Pin(name: name, root: root)], closing: closing)
    }

    /// Commits what is staged and names several roots, in one durable transaction; see the form with one root.
    public func pin(_ pins: [Pin], closing: Bool = false) throws(BlockStoreError) {
        for pin in pins where pin.name.isEmpty || pin.name.utf8.count > Pin.maxNameByteCount {
            throw BlockStoreError(.badName, "a pin's name has 1 to \(Pin.maxNameByteCount) bytes")
        }
        try writeStaged()
        try backend.finish(IngestEnd(pins: pins, isDurable: true, closes: closing))
        if closing { staged.withLock { $0.isClosed = true } }
    }

    /// Commits what is staged and ends the lease; blocks that no pin reaches may be collected from now on.
    public func close() throws(BlockStoreError) {
        guard let rest = end() else { return }
        if !rest.isEmpty { try backend.write(rest) }
        try backend.finish(IngestEnd(pins: [], isDurable: false, closes: true))
    }

    /// Ends the lease and removes what only this ingest put: as if it had not been.
    public func abandon() throws(BlockStoreError) {
        guard end() != nil else { return }
        try backend.abandon()
    }

    private func end() -> [StagedBlock]? {
        staged.withLock { staged in
            guard !staged.isClosed else { return nil }
            staged.isClosed = true
            return Self.take(&staged)
        }
    }

    private func writeStaged() throws(BlockStoreError) {
        let rest = try staged.withLock { (staged) throws(BlockStoreError) in
            guard !staged.isClosed else { throw Self.closed }
            return Self.take(&staged)
        }
        if !rest.isEmpty { try backend.write(rest) }
    }

    private static func take(_ staged: inout Staged) -> [StagedBlock] {
        defer {
            staged.blocks = []
            staged.byteCount = 0
        }
        return staged.blocks
    }

    private static let closed = BlockStoreError(.closed, "the ingest was closed before")
}

/// A block on its way into a store.
package struct StagedBlock: Sendable {
    package let multihash: Multihash
    package let bytes: BlockBuffer

    package init(multihash: Multihash, bytes: BlockBuffer) {
        self.multihash = multihash
        self.bytes = bytes
    }
}

/// How a run of puts ends: one transaction.
package struct IngestEnd: Sendable {
    var pins: [Pin]
    var isDurable: Bool
    var closes: Bool
}

/// What a store does for one ingest.
package protocol IngestBackend: AnyObject, Sendable {
    /// Takes a batch; may return before it is committed, and then reports failure at the next call.
    func write(_ batch: [StagedBlock]) throws(BlockStoreError)
    /// Gives the index of the first one that is not there.
    func protect(_ multihashes: [Multihash]) throws(BlockStoreError) -> Int?
    /// Keeps what the roots reach, and takes from other leases the right to remove blocks that only they put.
    func hold(_ roots: [CID]) throws(BlockStoreError)
    func finish(_ end: IngestEnd) throws(BlockStoreError)
    func abandon() throws(BlockStoreError)
}

/// Takes blocks and forgets them.
private final class DiscardingBackend: IngestBackend {
    func write(_ batch: [StagedBlock]) {}
    func protect(_ multihashes: [Multihash]) -> Int? { nil }
    func hold(_ roots: [CID]) {}
    func finish(_ end: IngestEnd) {}
    func abandon() {}
}

/// Checks bytes against the hash in a CID.
enum Verification {
    static func matches(_ multihash: Multihash, _ bytes: UnsafeRawBufferPointer) throws(BlockStoreError)
        -> Bool
    {
        switch multihash.code {
        case Multihash.sha256Code: return SHA256.hash(bytes) == multihash.digest
        case Multihash.identityCode: return multihash.digest.elementsEqual(bytes)
        default:
            throw BlockStoreError(
                .unsupported,
                "multihash function \(multihash.code) cannot be checked here; only SHA2-256 is supported"
            )
        }
    }

    static func check(_ cid: CID, _ bytes: UnsafeRawBufferPointer) throws(BlockStoreError) {
        guard try matches(cid.multihash, bytes) else {
            throw BlockStoreError(.badBlock, "\(bytes.count) bytes do not match their CID \(cid)", cid: cid)
        }
    }
}
