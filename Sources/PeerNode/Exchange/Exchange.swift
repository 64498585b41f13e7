package import BlockStore
import LibP2P
package import Multiformats

/// Exchanges blocks with peers by bitswap 1.2: fetches what callers want, and serves what the store holds.
///
/// The protocol is in `BitswapClient` and `BitswapServer`; this actor feeds them with what happens and carries out
/// what they decide. `run()` owns every task. Three threads do the work that would stop the default pool: this actor's
/// (messages, hashing), one that reads the store, and one that writes it.
///
///     inbound streams ─┐                              ┌─► one stream a peer for wants (read too, WIRE section 9)
///     replies ─────────┴─► client, server ─► links ───┴─► one stream a peer for answers
///                              │
///                              └─► fetches ─► StoreWriter ─► Ingest
package actor Exchange {
    private nonisolated let executor = ThreadExecutor()
    nonisolated let host: any StreamHost
    nonisolated let reader: StoreReader
    nonisolated let writer = StoreWriter()
    nonisolated let onEvent: @Sendable (ExchangeEvent) -> Void

    var client = BitswapClient()
    var server = BitswapServer()
    var links: [PeerID: Link] = [:]
    var lastLinkNumber = 0
    var fetches: [Int: Fetch] = [:]
    var lastFetchNumber = 0
    /// Fetches that wait for a block.
    var fetchers: [CID: Set<Int>] = [:]
    /// Peers with a lookup under way, and what waits behind it: at most one message of each of their streams.
    var lookups: [PeerID: [CheckedContinuation<Void, Never>]] = [:]
    var partials = PartialMessages()
    var figures = ExchangeStatus()
    private var isStopped = false
    /// Threads that wait for blocks.
    nonisolated let latches = ThreadLatches()

    /// Time since an origin, as the machines count it.
    nonisolated let clock: @Sendable () -> Duration
    private nonisolated let work: AsyncStream<Work>
    private nonisolated let workContinuation: AsyncStream<Work>.Continuation
    private nonisolated let clockWakeUps: AsyncStream<Void>
    private nonisolated let clockWaker: AsyncStream<Void>.Continuation

    /// Things that get a task of their own.
    enum Work: Sendable {
        case writeWants(PeerID, link: Int)
        case answer(PeerID, link: Int)
        /// Some peers answer on the stream that wants came in on.
        case readReplies(PeerID, any PeerStream)
        case fetch(CID, FetchOptions, Ingest?, ThreadLatch)
    }

    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// An exchange that does nothing until `run()`.
    ///
    /// - Parameters:
    ///   - host: the node's connections.
    ///   - store: the blocks to serve, and where reads look first.
    ///   - clock: time since some origin; tests let it run fast.
    ///   - onEvent: called for what belongs into the log; must not block.
    package init(
        host: any StreamHost,
        store: any BlockStore,
        clock: @escaping @Sendable () -> Duration = Exchange.systemClock(),
        onEvent: @escaping @Sendable (ExchangeEvent) -> Void = { _ in }
    ) {
        self.host = host
        self.clock = clock
        self.onEvent = onEvent
        reader = StoreReader(store)
        (work, workContinuation) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingOldest(ExchangeLimits.maxQueuedWorkCount)
        )
        (clockWakeUps, clockWaker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Serves peers and fetches until `stop()` is called or the task is cancelled; then every fetch fails.
    package func run() async {
        await host.serve(BitswapMessage.protocolID) { [self] peer, stream in
            try await serve(peer, stream)
        }
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepTime() }
            group.addTask { await self.followPeers() }
            group.addTask { await self.reconcilePeriodically() }
            group.addTask { await self.answerLaterBlocks() }
            for await item in work { group.addTask { await self.perform(item) } }
            group.cancelAll()
            endFetches()
        }
    }

    /// Lets `run()` return; fetches fail with `.stopped`.
    package nonisolated func stop() { workContinuation.finish() }

    /// Blocks were stored: peers that wait for them get their answers at once, and not at the next look.
    package func stored(_ blocks: [(cid: CID, byteCount: Int)]) {
        queueAnswers(server.stored(blocks))
    }

    /// Figures for `status`.
    package func status() -> ExchangeStatus {
        var status = figures
        status.unwantedBlockCount = client.unwantedBlockCount
        status.droppedWantCount = server.droppedWantCount
        status.wantCount = client.wantCount
        status.peerCount = client.usablePeerCount
        status.waits = distinctWaits()
        return status
    }

    /// What fetches wait for that have got nothing for a while, where a block that several wait for is in one of them: in
    /// that of the fetch that waits for most.
    private func distinctWaits() -> [FetchWait] {
        let time = now
        let waiting = fetches.values.filter { $0.isWaiting(now: time) }.sorted {
            ($1.wanted.count, $0.lastProgress) < ($0.wanted.count, $1.lastProgress)
        }
        var shown: Set<CID> = []
        return waiting.compactMap { fetch in
            let cids = Set(fetch.wanted.keys).subtracting(shown)
            shown.formUnion(cids)
            return wait(of: fetch, for: cids)
        }
    }

    /// What fetches wait for that have got nothing for a while, with the lease that their blocks go under.
    package func waits() -> [(ingest: Ingest, wait: FetchWait)] {
        fetches.values.filter { $0.isWaiting(now: now) }.compactMap { fetch in
            wait(of: fetch, for: fetch.wanted.keys).map { (fetch.ingest, $0) }
        }
    }

    nonisolated var now: Duration { clock() }

    /// The machine's clock, from now on.
    package static func systemClock() -> @Sendable () -> Duration {
        let origin = ContinuousClock.now
        return { ContinuousClock.now - origin }
    }

    /// Gives an item a task of its own.
    ///
    /// - Returns: `false` when too many wait already, or `run()` has ended.
    @discardableResult
    nonisolated func start(_ item: Work) -> Bool {
        if case .enqueued = workContinuation.yield(item) { return true }
        return false
    }

    private func perform(_ item: Work) async {
        switch item {
        case .writeWants(let peer, let link): await writeWants(to: peer, link: link)
        case .answer(let peer, let link): await answer(peer, link: link)
        case .readReplies(let peer, let stream):
            // A stream that ends badly is replaced at the next want.
            try? await readMessages(from: peer, on: stream)
        case .fetch(let cid, let options, let ingest, let latch):
            // A thread that is freed meanwhile wants the block no more.
            await latch.released.cancelling {
                do throws(ExchangeError) {
                    _ = try await self.fetchOne(cid, ingest: ingest, options: options)
                    latch.complete(nil)
                } catch {
                    latch.complete(error)
                }
            }
        }
    }

    private func endFetches() {
        isStopped = true
        workContinuation.finish()
        latches.end(.stopped)
        for id in fetches.keys { fail(id, .stopped) }
    }

    // MARK: Time

    private func keepTime() async {
        var wakeUps = clockWakeUps.makeAsyncIterator()
        while !Task.isCancelled {
            guard let deadline = nextDeadline else {
                if await wakeUps.next(isolation: self) == nil { return }
                continue
            }
            let time = now
            if deadline <= time {
                apply(client.deadlineReached(now: time))
                giveNotices(now: time)
            }
            // Cancelled: the loop ends.
            try? await Task.sleep(for: ExchangeLimits.clockTick)
        }
    }

    private var nextDeadline: Duration? {
        let notice = fetches.values.lazy.filter { !$0.wanted.isEmpty }.map(\.noticeAt).min()
        return [client.nextDeadline, notice].compactMap { $0 }.min()
    }

    // MARK: The client machine

    /// Carries out what the client machine decided.
    func apply(_ actions: [BitswapClient.Action]) {
        for action in actions {
            switch action {
            case .send(let wants, let peer): queue(wants, for: peer)
            case .deliver(let cid, let data, _): deliver(cid, data)
            case .fail(let cid, let fault): failed(cid, fault)
            case .distrust(let peer, let reason):
                figures.distrustedPeerCount += 1
                onEvent(.distrusted(peer, reason))
            }
        }
        clockWaker.yield()
    }

    private func deliver(_ cid: CID, _ data: ArraySlice<UInt8>) {
        figures.receivedBlockCount += 1
        figures.receivedByteCount += UInt64(data.count)
        guard let waiting = fetchers.removeValue(forKey: cid) else { return }
        let block = FetchedBlock(cid: cid, buffer: data.withUnsafeBytes { BlockBuffer(copying: $0) })
        for id in waiting { fetches[id]?.arrived(block, now: now) }
    }

    private func failed(_ cid: CID, _ fault: BitswapFault) {
        switch fault {
        case .tooManyWants(let limit):
            for id in fetchers[cid] ?? [] {
                fail(id, ExchangeError(.tooMuch, "over \(limit) blocks are wanted at once", cid: cid))
            }
        case .allLack(_, let count): allLack(cid, peerCount: count)
        case .nobodyHas(_, let asked):
            let time = now
            for id in fetchers[cid] ?? [] { askAgain(cid, for: id, askedPeerCount: asked, now: time) }
        }
    }

    /// All peers lack a block: fails the fetches that have given it its grace, and asks again for those that began later.
    private func allLack(_ cid: CID, peerCount: Int) {
        let time = now
        var later: [(id: Int, grace: Duration)] = []
        for id in fetchers[cid] ?? [] {
            guard let since = fetches[id]?.wanted[cid] else { continue }
            let grace = since + BitswapClient.refusalGrace - time
            if grace > .zero {
                later.append((id, grace))
            } else {
                fail(id, .allLack(cid, peerCount: peerCount))
            }
        }
        // One round for all of them: whoever asks after it has begun gets one of its own.
        guard let grace = later.map(\.grace).max() else { return }
        for (id, _) in later { askAgain(cid, for: id, askedPeerCount: peerCount, grace: grace, now: time) }
    }

    /// Gives a block another round within a fetch's patience: other blocks of the fetch still come, or an older fetch has
    /// begun the want.
    private func askAgain(
        _ cid: CID,
        for id: Int,
        askedPeerCount: Int,
        grace: Duration = BitswapClient.refusalGrace,
        now: Duration
    ) {
        guard let fetch = fetches[id] else { return }
        let patience = fetch.options.patience
        let rest = patience - (now - fetch.lastProgress)
        guard rest > .zero else {
            let connected = connectedPeerCount
            fail(id, .unavailable(cid, asked: askedPeerCount, connected: connected, patience: patience))
            return
        }
        apply(client.want([cid], hints: fetch.options.holders(cid), patience: rest, grace: grace, now: now))
    }

    private var connectedPeerCount: Int { links.values.count { $0.isConnected } }

    // MARK: Fetches

    /// Registers a fetch whose blocks go into `ingest`; `close` must follow.
    func open(_ options: FetchOptions, into ingest: Ingest) throws(ExchangeError) -> (
        id: Int, signals: AsyncStream<Void>
    ) {
        guard !isStopped else { throw .stopped }
        guard fetches.count < ExchangeLimits.maxFetchCount else {
            throw ExchangeError(.tooMuch, "this node runs \(fetches.count) fetches already; try again later")
        }
        let (signals, signal) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        lastFetchNumber += 1
        fetches[lastFetchNumber] = Fetch(options: options, ingest: ingest, signal: signal, now: now)
        return (lastFetchNumber, signals)
    }

    /// Asks for blocks on behalf of a fetch.
    func want(_ cids: [CID], for id: Int) {
        guard let fetch = fetches[id] else { return }
        if fetch.wanted.isEmpty { fetches[id]?.restartClock(now: now) }
        for cid in cids {
            fetches[id]?.wanted[cid] = now
            fetchers[cid, default: []].insert(id)
        }
        for (holders, group) in groups(of: cids, by: fetch.options.holders) {
            apply(client.want(group, hints: holders, patience: fetch.options.patience, now: now))
        }
    }

    /// Consecutive blocks with the same holders.
    private func groups(of cids: [CID], by holders: (CID) -> [PeerID]) -> [([PeerID], [CID])] {
        var groups: [([PeerID], [CID])] = []
        for cid in cids {
            let peers = holders(cid)
            if let last = groups.indices.last, groups[last].0 == peers {
                groups[last].1.append(cid)
            } else {
                groups.append((peers, [cid]))
            }
        }
        return groups
    }

    /// Blocks that arrived since the last call; empty when there are none yet.
    func takeArrived(_ id: Int) throws(ExchangeError) -> [FetchedBlock] {
        guard let fetch = fetches[id] else { throw .stopped }
        if let failure = fetch.failure { throw failure }
        fetches[id]?.arrived = []
        return fetch.arrived
    }

    /// Ends a fetch; what nobody else wants is cancelled.
    func close(_ id: Int) {
        guard let fetch = fetches.removeValue(forKey: id) else { return }
        fetch.signal.finish()
        var unwanted: [CID] = []
        for cid in fetch.wanted.keys {
            fetchers[cid]?.remove(id)
            if fetchers[cid]?.isEmpty == true {
                fetchers[cid] = nil
                unwanted.append(cid)
            }
        }
        if !unwanted.isEmpty { apply(client.cancel(unwanted, now: now)) }
    }

    private func fail(_ id: Int, _ error: ExchangeError) {
        fetches[id]?.failure = error
        fetches[id]?.signal.yield()
    }

    private func giveNotices(now: Duration) {
        for (id, fetch) in fetches where fetch.isWaiting(now: now) && fetch.noticeAt <= now {
            fetches[id]?.noticeAt = now + ExchangeLimits.noticeDelay
            if let wait = wait(of: fetch, for: fetch.wanted.keys) { fetch.options.onEvent(.waiting(wait)) }
        }
    }

    /// What to say of a fetch that waits for `cids`; `nil` when these are none.
    private func wait(of fetch: Fetch, for cids: some Collection<CID>) -> FetchWait? {
        guard let cid = cids.min(by: { $0.bytes.lexicographicallyPrecedes($1.bytes) }) else { return nil }
        return FetchWait(
            cid: cid,
            missingCount: cids.count,
            peerCount: connectedPeerCount,
            waited: now - fetch.lastProgress
        )
    }
}

/// One caller's fetch under way.
struct Fetch {
    let options: FetchOptions
    /// The lease that its blocks go under.
    let ingest: Ingest
    /// Wakes the caller: something arrived, or it is over.
    let signal: AsyncStream<Void>.Continuation
    /// Blocks asked for and not here yet, and when each was asked for.
    var wanted: [CID: Duration] = [:]
    /// Blocks that the caller has not taken yet.
    var arrived: [FetchedBlock] = []
    var failure: ExchangeError?
    private(set) var lastProgress: Duration
    var noticeAt: Duration

    init(options: FetchOptions, ingest: Ingest, signal: AsyncStream<Void>.Continuation, now: Duration) {
        self.options = options
        self.ingest = ingest
        self.signal = signal
        lastProgress = now
        noticeAt = now + ExchangeLimits.noticeDelay
    }

    /// Whether nothing came for so long that the user should know.
    func isWaiting(now: Duration) -> Bool {
        !wanted.isEmpty && now - lastProgress >= ExchangeLimits.noticeDelay
    }

    mutating func restartClock(now: Duration) {
        lastProgress = now
        noticeAt = now + ExchangeLimits.noticeDelay
    }

    mutating func arrived(_ block: FetchedBlock, now: Duration) {
        wanted[block.cid] = nil
        arrived.append(block)
        restartClock(now: now)
        signal.yield()
    }
}
