package import BlockStore
package import Multiformats

/// What callers ask of the exchange.
extension Exchange {
    /// The verified bytes of a block, from the store or else from a peer; then it is stored, too.
    ///
    /// - Throws: `ExchangeError`.
    package nonisolated func block(
        _ cid: CID,
        options: FetchOptions = FetchOptions()
    ) async throws(ExchangeError) -> [UInt8] {
        if let bytes = try await readBlock(cid) { return bytes }
        return try await fetchOne(cid, ingest: nil, options: options)
    }

    /// Makes sure that blocks are in the store: fetches those that are missing from several holders at once.
    ///
    /// Blocks are verified and stored in batches; when this returns they are visible to readers, and protected for as
    /// long as the ingest is open.
    ///
    /// - Throws: `ExchangeError`; what arrived until then stays in the ingest.
    @discardableResult
    package nonisolated func ensure(
        _ cids: [CID],
        ingest: Ingest,
        options: FetchOptions = FetchOptions()
    ) async throws(ExchangeError) -> FetchReport {
        try await fetch(DAGWalk(cids, followsLinks: false), ingest, options)
    }

    /// Makes sure that everything under `root` is in the store, in the order in which a file is read.
    ///
    /// - Throws: `ExchangeError`, also `.badDAG` when a block is not what its codec says.
    @discardableResult
    package nonisolated func fetchDAG(
        _ root: CID,
        ingest: Ingest,
        options: FetchOptions = FetchOptions()
    ) async throws(ExchangeError) -> FetchReport {
        try await fetch(DAGWalk([root], followsLinks: true), ingest, options)
    }

    /// Runs `body` over the store while everything under `root` is fetched ahead of it.
    ///
    /// - Parameters:
    ///   - root: the DAG to fetch.
    ///   - store: the store underneath.
    ///   - options: how to fetch.
    ///   - body: reads the store it is given on a thread of its own, which may wait there for blocks.
    /// - Returns: what `body` returns.
    /// - Throws: what `body` throws; an `ExchangeError` comes out of the store's reads.
    package nonisolated func reading<Value: Sendable>(
        _ root: CID,
        in store: any BlockStore,
        options: FetchOptions = FetchOptions(),
        _ body: @escaping @Sendable (FetchingStore) throws -> Value
    ) async throws -> Value {
        let ingest = try await reader.makeIngest()
        let reading = FetchingStore(store, exchange: self, ingest: ingest, options: options)
        let thread = ThreadExecutor()
        let value: Value
        do {
            value = try await withTaskCancellationHandler {
                try await withThrowingTaskGroup(of: Value?.self) { group in
                    group.addTask {
                        // The reader meets the same failure where it matters, and says it better.
                        _ = try? await self.fetchDAG(root, ingest: ingest, options: options)
                        return nil
                    }
                    group.addTask(executorPreference: thread) { try body(reading) }
                    defer { group.cancelAll() }
                    while let result = try await group.next() { if let result { return result } }
                    throw ExchangeError.cancelled
                }
            } onCancel: {
                reading.cancel()
            }
        } catch {
            try? await writer.close(ingest)
            throw error
        }
        try await writer.close(ingest)
        return value
    }

    /// Fetches one block; stores it in `ingest`, or in one of its own when that is `nil`.
    nonisolated func fetchOne(
        _ cid: CID,
        ingest: Ingest?,
        options: FetchOptions
    ) async throws(ExchangeError) -> [UInt8] {
        let used: Ingest
        do { used = if let ingest { ingest } else { try await reader.makeIngest() } } catch {
            throw .store(error)
        }
        do {
            try await ensure([cid], ingest: used, options: options)
            let bytes = try await readBlock(cid)
            if ingest == nil { try await writer.close(used) }
            guard let bytes else {
                throw ExchangeError(.store, "block \(cid) was stored and is gone", cid: cid)
            }
            return bytes
        } catch {
            // The failure that counts is the first one.
            if ingest == nil { try? await writer.close(used) }
            throw .store(error)
        }
    }

    private nonisolated func readBlock(_ cid: CID) async throws(ExchangeError) -> [UInt8]? {
        do { return try await reader.block(cid) } catch { throw .store(error) }
    }

    private nonisolated func fetch(
        _ walk: DAGWalk,
        _ ingest: Ingest,
        _ options: FetchOptions
    ) async throws(ExchangeError) -> FetchReport {
        let (id, signals) = try await open(options, into: ingest)
        var run = FetchRun(
            exchange: self,
            id: id,
            signals: signals,
            walk: walk,
            ingest: ingest,
            options: options
        )
        do {
            try await run.toEnd()
            await close(id)
            return run.report
        } catch {
            await close(id)
            throw .store(error)
        }
    }
}

/// One fetch from its first look at the store to its last block: keeps a window of wants in flight.
private struct FetchRun {
    let exchange: Exchange
    let id: Int
    var signals: AsyncStream<Void>.Iterator
    var walk: DAGWalk
    let ingest: Ingest
    let options: FetchOptions
    var report = FetchReport()
    /// Blocks asked for that did not arrive.
    private var inFlightCount = 0
    /// Blocks put into the ingest that may not be visible yet.
    private var unflushed: [(cid: CID, byteCount: Int)] = []

    /// Most blocks looked at in one visit to the store.
    private static let lookCount = 64

    init(
        exchange: Exchange,
        id: Int,
        signals: AsyncStream<Void>,
        walk: DAGWalk,
        ingest: Ingest,
        options: FetchOptions
    ) {
        self.exchange = exchange
        self.id = id
        self.signals = signals.makeAsyncIterator()
        self.walk = walk
        self.ingest = ingest
        self.options = options
    }

    mutating func toEnd() async throws {
        try await fillWindow()
        while inFlightCount > 0 {
            let blocks = try await nextBlocks()
            inFlightCount -= blocks.count
            for block in blocks where walk.followsLinks { try walk.push(links(of: block)) }
            // Wants go out before the disk is waited for.
            try await fillWindow()
            try await store(blocks)
            if inFlightCount == 0 { try await fillWindow() }
        }
        try await flush()
    }

    private func links(of block: FetchedBlock) throws(ExchangeError) -> [CID] {
        do throws(BlockStoreError) {
            return try DAGLinks.links(of: block.cid, block.buffer.bytes)
        } catch {
            throw ExchangeError(.badDAG, error.message, cid: block.cid, cause: error)
        }
    }

    /// Blocks under way that are allowed: as many as fit the window's bytes, going by those that came.
    private var windowBlockCount: Int {
        guard report.fetchedBlockCount > 0 else { return ExchangeLimits.windowByteCount >> 18 }
        let average = Int(report.fetchedByteCount) / report.fetchedBlockCount + 1
        return min(
            max(ExchangeLimits.windowByteCount / average, ExchangeLimits.minWindowBlockCount),
            ExchangeLimits.maxWindowBlockCount
        )
    }

    private mutating func fillWindow() async throws {
        while !walk.isEmpty, inFlightCount < windowBlockCount {
            if Task.isCancelled { throw ExchangeError.cancelled }
            let cids = walk.take(min(windowBlockCount - inFlightCount, Self.lookCount))
            let missing = try await look(at: cids)
            guard !missing.isEmpty else { continue }
            inFlightCount += missing.count
            await exchange.want(missing, for: id)
        }
    }

    /// Sorts out what is here already; pushes its links.
    private mutating func look(at cids: [CID]) async throws -> [CID] {
        var missing: [CID]
        var present: [CID]
        if walk.followsLinks {
            let looked = try await exchange.reader.examine(cids)
            (missing, present) = (looked.missing, looked.present)
            try walk.push(looked.links)
        } else {
            (missing, present) = try await exchange.reader.missing(among: cids)
        }
        if options.protectsPresentBlocks, !present.isEmpty {
            let gone = try await exchange.writer.protect(present, in: ingest)
            present.removeAll { gone.contains($0) }
            missing += gone
        }
        report.presentBlockCount += present.count
        return missing
    }

    private mutating func nextBlocks() async throws -> [FetchedBlock] {
        while true {
            let blocks = try await exchange.takeArrived(id)
            if !blocks.isEmpty { return blocks }
            guard await signals.next() != nil else { throw ExchangeError.cancelled }
        }
    }

    private mutating func store(_ blocks: [FetchedBlock]) async throws {
        try await exchange.writer.put(blocks, into: ingest)
        report.fetchedBlockCount += blocks.count
        for block in blocks {
            report.fetchedByteCount += UInt64(block.buffer.count)
            unflushed.append((block.cid, block.buffer.count))
        }
        options.onEvent(.stored(blockCount: report.fetchedBlockCount, byteCount: report.fetchedByteCount))
        if unflushed.count >= ExchangeLimits.blocksPerFlush { try await flush() }
    }

    private mutating func flush() async throws {
        guard !unflushed.isEmpty else { return }
        try await exchange.writer.flush(ingest)
        await exchange.stored(unflushed)
        unflushed = []
        walk.settle()
    }
}
