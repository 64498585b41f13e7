import BlockStore
import Multiformats

/// A block that came from a peer, its hash checked, in memory of its own.
struct FetchedBlock: Sendable {
    let cid: CID
    let buffer: BlockBuffer
}

/// Puts fetched blocks into the store on a thread of its own.
actor StoreWriter {
    private let executor = ThreadExecutor()

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Hands blocks to the ingest, which takes over their memory; it may wait for the disk.
    func put(_ blocks: [FetchedBlock], into ingest: Ingest) throws(BlockStoreError) {
        for block in blocks {
            try ingest.put(StagedBlock(multihash: block.cid.multihash, bytes: block.buffer))
        }
    }

    /// Makes everything put so far visible.
    func flush(_ ingest: Ingest) throws(BlockStoreError) { try ingest.flush() }

    /// Puts blocks that are here under the ingest's lease.
    ///
    /// - Returns: those that are not here after all.
    func protect(_ cids: [CID], in ingest: Ingest) throws(BlockStoreError) -> [CID] {
        guard try ingest.protect(cids) != nil else { return [] }
        var gone: [CID] = []
        var rest = cids
        while let missing = try ingest.protect(rest) {
            gone.append(missing)
            rest.removeAll { $0 == missing }
        }
        return gone
    }

    /// Ends a lease.
    func close(_ ingest: Ingest) throws(BlockStoreError) { try ingest.close() }
}
