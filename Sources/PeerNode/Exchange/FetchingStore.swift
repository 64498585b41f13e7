package import BlockStore
package import Multiformats

/// A store whose reads fetch what is missing, or damaged, from peers, and then go on.
///
/// For everything that reads blocks from a thread of its own: file readers, engines. A read may block its thread for as
/// long as the options' patience lasts; it must never run on a thread that the exchange itself needs, nor on the
/// default pool.
package final class FetchingStore: BlockStore {
    private let local: any BlockStore
    private let exchange: Exchange
    private let ingest: Ingest?
    private let options: FetchOptions
    private let latches = ThreadLatches()

    /// Wraps a store.
    ///
    /// - Parameters:
    ///   - local: the store underneath.
    ///   - exchange: fetches what is missing; must be running.
    ///   - ingest: the lease that fetched blocks are put under; `nil`: none, they may be collected at any time.
    ///   - options: how to fetch.
    package init(
        _ local: any BlockStore,
        exchange: Exchange,
        ingest: Ingest? = nil,
        options: FetchOptions = FetchOptions()
    ) {
        self.local = local
        self.exchange = exchange
        self.ingest = ingest
        self.options = options
    }

    /// Hands the block's bytes to `body`, fetched first when it is not here; see `BlockStore`.
    ///
    /// - Throws: `BlockStoreError.notFound` with the `ExchangeError` as its cause when nobody has it.
    package func withBlock<R>(_ cid: CID, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        do {
            return try local.withBlock(cid, body)
        } catch let error as BlockStoreError where isMissing(error, cid) {
            try fetch(cid)
            return try local.withBlock(cid, body)
        }
    }

    /// Length of the block, fetched first when it is not here.
    package func byteCount(of cid: CID) throws(BlockStoreError) -> Int? {
        if let count = try local.byteCount(of: cid) { return count }
        try fetch(cid)
        return try local.byteCount(of: cid)
    }

    /// Fails reads that wait for a block, and later ones that would have to.
    package func cancel() { latches.end(.cancelled) }

    private func isMissing(_ error: BlockStoreError, _ cid: CID) -> Bool {
        (error.code == .notFound || error.code == .corrupt) && error.cid == cid
    }

    private func fetch(_ cid: CID) throws(BlockStoreError) {
        let latch = ThreadLatch()
        latches.add(latch)
        exchange.latches.add(latch)
        defer {
            latches.remove(latch)
            exchange.latches.remove(latch)
        }
        do throws(ExchangeError) {
            guard exchange.start(.fetch(cid, options, ingest, latch)) else { throw .stopped }
            try latch.wait()
        } catch {
            throw BlockStoreError(.notFound, error.message, cid: cid, cause: error)
        }
    }

    // MARK: As the local store

    /// Whether the block is here already.
    package func contains(_ multihash: Multihash) throws(BlockStoreError) -> Bool {
        try local.contains(multihash)
    }

    /// Starts a lease in the local store.
    package func makeIngest() throws(BlockStoreError) -> Ingest { try local.makeIngest() }

    /// Pins of the local store.
    package func pins() throws(BlockStoreError) -> [Pin] { try local.pins() }

    /// Removes a pin of the local store.
    package func unpin(_ name: String) throws(BlockStoreError) -> Bool { try local.unpin(name) }

    /// Collects garbage in the local store.
    package func collectGarbage(removed: (Multihash) -> Void) throws(BlockStoreError) -> GarbageReport {
        try local.collectGarbage(removed: removed)
    }

    /// Removes a block of the local store.
    package func remove(_ cid: CID) throws(BlockStoreError) { try local.remove(cid) }

    /// Calls `body` for every block of the local store.
    package func forEachBlock(_ body: (Multihash, _ byteCount: Int) throws -> Void) throws {
        try local.forEachBlock(body)
    }

    /// Figures of the local store.
    package func statistics() throws(BlockStoreError) -> StoreStatistics { try local.statistics() }

    /// Verifies the local store.
    package func verify(progress: (Int) -> Void) throws(BlockStoreError) -> VerifyReport {
        try local.verify(progress: progress)
    }
}
