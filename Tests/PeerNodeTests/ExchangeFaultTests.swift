import BlockStore
import LibP2P
import Multiformats
import Synchronization
import Testing

@testable import PeerNode

@Suite("Exchange: peers that lie, stall or leave, and callers that give up", .timeLimit(.minutes(1)))
struct ExchangeFaultTests {
    private let bytes = noise(20_000, seed: 21)
    private var cid: CID { CID.of(bytes, codec: .raw) }

    @Test("a block that nobody has ends in an error that names it and counts who was asked")
    func nobodyHas() async throws {
        try await withNodes(3, clock: fastClock(20)) { _, nodes in
            let error = await #expect(throws: ExchangeError.self) { try await nodes[0].exchange.block(cid) }
            #expect(error?.code == .unavailable)
            #expect(error?.cid == cid)
            #expect(error?.askedPeerCount == 2)
            #expect(
                error?.message
                    == "no peer has \(cid): all 2 that are connected lack it, and none came with it in 10 s"
            )
            #expect(await nodes[0].exchange.status().wantCount == 0)
        }
    }

    @Test("without any peer the error says so")
    func noPeers() async throws {
        try await withNodes(1, clock: fastClock(50)) { _, nodes in
            let error = await #expect(throws: ExchangeError.self) { try await nodes[0].exchange.block(cid) }
            #expect(error?.code == .noPeers)
        }
    }

    @Test("after two seconds of waiting the caller is told for what, again and again")
    func notices() async throws {
        try await withNodes(2, clock: fastClock(10)) { _, nodes in
            let waits = Mutex<[FetchWait]>([])
            let options = FetchOptions(
                patience: .seconds(10),
                onEvent: { event in
                    if case .waiting(let wait) = event { waits.withLock { $0.append(wait) } }
                }
            )
            await #expect(throws: ExchangeError.self) {
                try await nodes[0].exchange.block(cid, options: options)
            }
            let told = waits.withLock { $0 }
            #expect(told.count >= 2)
            #expect(told.first?.cid == cid)
            #expect(told.first?.missingCount == 1)
            #expect(told.first?.peerCount == 1)
            #expect(told.allSatisfy { $0.waited >= .seconds(2) })
        }
    }

    @Test(
        "a peer that sends wrong bytes is asked no more, and an honest one gives the block",
        arguments: [1, 50]
    )
    func liar(blockCount: Int) async throws {
        try await withNodes(2) { network, nodes in
            let cids = try nodes[1].put((0..<blockCount).map { noise(20_000, seed: UInt64($0) + 1) })
            let liar = await ScriptedPeer(9, in: network) { message, reply in
                let wanted = message.cids(.block)
                if !wanted.isEmpty { try await reply(.blocks(wanted.map { ($0, noise(500, seed: 99)) })) }
                let asked = message.cids(.have)
                if !asked.isEmpty { try await reply(.presences(asked, isHeld: true)) }
            }
            try await with(liar, connectedTo: nodes[0]) {
                let hinted = FetchOptions(holders: { _ in [liar.host.localPeer] })
                let report = try await nodes[0].exchange.ensure(
                    cids,
                    ingest: nodes[0].store.makeIngest(),
                    options: hinted
                )
                #expect(report.fetchedBlockCount == blockCount)
                let status = await nodes[0].exchange.status()
                #expect(status.distrustedPeerCount == 1)
                #expect(status.unwantedBlockCount >= 1)
                for cid in cids { #expect(try nodes[0].store.block(cid).count == 20_000) }
            }
        }
    }

    @Test("a peer that says HAVE and then nothing is passed over for one that answers")
    func silent() async throws {
        try await withNodes(2, clock: fastClock(10)) { network, nodes in
            let cid = try nodes[1].put([bytes])[0]
            let silent = await ScriptedPeer(9, in: network) { message, reply in
                let asked = message.cids(.have)
                if !asked.isEmpty { try await reply(.presences(asked, isHeld: true)) }
            }
            try await with(silent, connectedTo: nodes[0]) {
                let hinted = FetchOptions(holders: { _ in [silent.host.localPeer] })
                let fetched = try await nodes[0].exchange.block(cid, options: hinted)
                #expect(fetched == bytes)
            }
        }
    }

    @Test("a holder that leaves in the middle of a transfer is replaced by the other")
    func leaver() async throws {
        try await withNodes(3) { network, nodes in
            let file = noise(4_000_000, seed: 31)
            let root = try nodes[1].addFile(file, chunkByteCount: 20_000)
            _ = try nodes[2].addFile(file, chunkByteCount: 20_000)
            let (progress, made) = AsyncStream.makeStream(of: Int.self, bufferingPolicy: .bufferingNewest(1))
            let options = FetchOptions(onEvent: { event in
                if case .stored(let count, _) = event, count > 20 { made.yield(count) }
            })
            async let report = nodes[0].exchange.fetchDAG(
                root,
                ingest: nodes[0].store.makeIngest(),
                options: options
            )
            for await _ in progress { break }
            await network.remove(nodes[1].id)
            #expect(try await report.fetchedBlockCount == 203)  // 200 leaves, 2 nodes, 1 root
            #expect(try read(root, in: nodes[0].store) == file)
        }
    }

    @Test("a block pushed by a peer that nobody asked is dropped and counted")
    func unasked() async throws {
        try await withNodes(1) { network, nodes in
            let pusher = await ScriptedPeer(9, in: network) { _, _ in }
            try await with(pusher, connectedTo: nodes[0]) {
                let stream = try await pusher.host.openStream(
                    to: nodes[0].id,
                    protocolIDs: [BitswapMessage.protocolID]
                )
                try await stream.write(BitswapMessage.blocks([(cid, bytes)]).delimitedBytes)
                while await nodes[0].exchange.status().unwantedBlockCount == 0 { await Task.yield() }
                #expect(!nodes[0].store.contains(cid.multihash))
            }
        }
    }

    @Test(
        "bytes that are no message end their stream only",
        arguments: [
            [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],  // a length without end
            [0x81, 0x80, 0x80, 0x02],  // 4 MiB and one byte
            [0x02, 0x0a, 0x05],  // a field longer than its message
        ]
    )
    func badMessage(garbage: [UInt8]) async throws {
        try await withNodes(1) { network, nodes in
            let cid = try nodes[0].put([bytes])[0]
            let answers = Mutex<[BitswapMessage]>([])
            let peer = await ScriptedPeer(9, in: network) { message, _ in
                answers.withLock { $0.append(message) }
            }
            try await with(peer, connectedTo: nodes[0]) {
                let bad = try await peer.host.openStream(
                    to: nodes[0].id,
                    protocolIDs: [BitswapMessage.protocolID]
                )
                try await bad.write(garbage)
                await #expect(throws: (any Error).self) { while try await bad.read(atMost: 100) != nil {} }
                #expect(await nodes[0].exchange.status().badMessageCount == 1)

                let good = try await peer.host.openStream(
                    to: nodes[0].id,
                    protocolIDs: [BitswapMessage.protocolID]
                )
                var message = BitswapMessage()
                message.wants = [BitswapMessage.Want(cid, kind: .block)]
                try await good.write(message.delimitedBytes)
                while answers.withLock({ $0.isEmpty }) { await Task.yield() }
                #expect(answers.withLock { $0.first?.blocks.first?.verifiedCID() } == cid)
            }
        }
    }

    @Test(
        "a peer that sends wants without end is read at its rate, on all its streams; another gets its block"
    )
    func wantFlood() async throws {
        // A clock that stands still gives no rate beyond the burst.
        try await withNodes(2, clock: { .seconds(1) }) { network, nodes in
            let cid = try nodes[0].put([bytes])[0]
            let flooder = await ScriptedPeer(9, in: network) { _, _ in }
            var message = BitswapMessage()
            message.wants = (0..<BitswapServer.maxWantsPerPeer).map {
                .init(CID.of(Array("lacking \($0)".utf8), codec: .raw), kind: .have, sendsDontHave: true)
            }
            let flood = message.delimitedBytes
            try await with(flooder, connectedTo: nodes[0]) {
                var streams: [any PeerStream] = []
                for _ in 0..<4 {
                    streams.append(
                        try await flooder.host.openStream(
                            to: nodes[0].id,
                            protocolIDs: [BitswapMessage.protocolID]
                        )
                    )
                }
                await withTaskGroup(of: Void.self) { group in
                    for stream in streams {
                        // Ends with the stream.
                        group.addTask { while (try? await stream.write(flood)) != nil {} }
                    }
                    let exchange = nodes[0].exchange
                    while await exchange.status().heldBackMessageCount < UInt64(streams.count) {
                        await Task.yield()
                    }
                    let fetched = try? await nodes[1].exchange.block(cid)
                    #expect(fetched?.count == bytes.count)
                    for stream in streams { await stream.reset() }
                }
            }
        }
    }

    @Test("answers on the stream that wants went out on are read too, as py-libp2p sends them")
    func answersOnWantStream() async throws {
        try await withNodes(1) { network, nodes in
            let peer = await ScriptedPeer(9, in: network, onInboundStream: true) {
                [bytes, cid] message, reply in
                if !message.cids(.have).isEmpty || !message.cids(.block).isEmpty {
                    try await reply(.blocks([(cid, bytes)]))
                }
            }
            try await with(peer, connectedTo: nodes[0]) {
                let fetched = try await nodes[0].exchange.block(cid)
                #expect(fetched == bytes)
            }
        }
    }

    @Test("a cancelled caller gets an error, and its wants are withdrawn")
    func cancellation() async throws {
        try await withNodes(2) { _, nodes in
            let fetching = Task { try await nodes[0].exchange.block(cid) }
            while await nodes[0].exchange.status().wantCount == 0 { await Task.yield() }
            fetching.cancel()
            let error = await #expect(throws: ExchangeError.self) { try await fetching.value }
            #expect(error?.code == .cancelled)
            #expect(await nodes[0].exchange.status().wantCount == 0)
        }
    }

    @Test("a thread that reads a block nobody sends is freed when its reader is cancelled; so is its want")
    func cancelledReader() async throws {
        try await withNodes(2, clock: StillClock().now) { _, nodes in
            let exchange = nodes[0].exchange
            let reading = reader(nodes[0])
            while await exchange.fetchers[cid]?.count != 2 { await Task.yield() }
            reading.cancel()
            let error = await #expect(throws: BlockStoreError.self) { try await reading.value }
            #expect(error?.code == .notFound)
            while await exchange.status().wantCount > 0 { await Task.yield() }
            #expect(await exchange.fetches.isEmpty)
        }
    }

    @Test("a reader that is cancelled takes the block from nobody else who waits for it")
    func cancelledBesideOthers() async throws {
        try await withNodes(2, clock: StillClock().now) { _, nodes in
            let exchange = nodes[0].exchange
            let staying = Task { try await exchange.block(cid) }
            let leaving = reader(nodes[0])
            while await exchange.fetchers[cid]?.count != 3 { await Task.yield() }
            leaving.cancel()
            await #expect(throws: BlockStoreError.self) { try await leaving.value }
            while await exchange.fetchers[cid]?.count != 1 { await Task.yield() }
            _ = try nodes[1].put([bytes])
            await nodes[1].exchange.stored([(cid, bytes.count)])
            #expect(try await staying.value == bytes)
        }
    }

    /// A reader as `cat` is one: of the block, while everything under it is fetched ahead.
    private func reader(_ node: TestNode) -> Task<[UInt8], any Error> {
        Task { try await node.exchange.reading(cid, in: node.store) { store in try store.block(cid) } }
    }

    @Test("a block that several fetches wait for is one wait, and each counts what no other one does")
    func oneWaitPerBlock() async throws {
        let clock = StillClock()
        try await withNodes(2, clock: clock.now) { _, nodes in
            let exchange = nodes[0].exchange
            let cids = (0..<3).map { CID.of(noise(100, seed: $0 + 1), codec: .raw) }
            let reading = reader(nodes[0])
            while await exchange.fetchers[cid]?.count != 2 { await Task.yield() }
            clock.advance(to: .seconds(3))
            #expect(await exchange.status().waits.map(\.cid) == [cid])
            let fetching = [[cid] + cids[..<2], Array(cids[1...])].map { wanted in
                Task { try await exchange.ensure(wanted, ingest: nodes[0].store.makeIngest()) }
            }
            while await exchange.fetchers.count != 4 { await Task.yield() }
            clock.advance(to: .seconds(6))
            let waits = await exchange.status().waits
            #expect(waits.map(\.missingCount) == [3, 1])
            #expect(waits.last?.cid == cids[2])
            reading.cancel()
            for fetch in fetching { fetch.cancel() }
        }
    }

    @Test("who asks later for a block that everybody lacks has its own time for it: it is asked for again")
    func laterCaller() async throws {
        let clock = StillClock()
        try await withNodes(1, clock: clock.now) { network, nodes in
            let exchange = nodes[0].exchange
            let lacking = Lacking(cid)
            let peer = await ScriptedPeer(9, in: network) { try await lacking.answer($0, $1) }
            try await with(peer, connectedTo: nodes[0]) {
                let first = Task { try await exchange.block(cid) }
                _ = try await exchange.block(lacking.others[0].0)
                clock.advance(to: .seconds(7))
                let second = Task { try await exchange.block(cid) }
                while await exchange.fetchers[cid]?.count != 2 { await Task.yield() }
                lacking.give(bytes)
                clock.advance(to: .seconds(10))
                let error = await #expect(throws: ExchangeError.self) { try await first.value }
                #expect(error?.code == .unavailable)
                #expect(try await second.value == bytes)
            }
        }
    }

    @Test("the time of who asks later ends, too: after all of the grace, and no sooner")
    func laterCallerFails() async throws {
        let clock = StillClock()
        try await withNodes(1, clock: clock.now) { network, nodes in
            let exchange = nodes[0].exchange
            let lacking = Lacking(cid)
            let peer = await ScriptedPeer(9, in: network) { try await lacking.answer($0, $1) }
            try await with(peer, connectedTo: nodes[0]) {
                let first = Task { try await exchange.block(cid) }
                _ = try await exchange.block(lacking.others[0].0)
                clock.advance(to: .seconds(7))
                let waited = Mutex(Duration.zero)
                let options = FetchOptions(onEvent: { event in
                    if case .waiting(let wait) = event { waited.withLock { $0 = wait.waited } }
                })
                let second = Task { try await exchange.block(cid, options: options) }
                while await exchange.fetchers[cid]?.count != 2 { await Task.yield() }
                clock.advance(to: .seconds(10))
                await #expect(throws: ExchangeError.self) { try await first.value }
                // Comes with the answer that the peer lacks the first one still.
                _ = try await exchange.block(lacking.others[1].0)
                clock.advance(to: .milliseconds(16_999))
                while waited.withLock({ $0 }) < .milliseconds(9_999) { await Task.yield() }
                #expect(await exchange.fetchers[cid]?.count == 1)
                clock.advance(to: .seconds(17))
                let error = await #expect(throws: ExchangeError.self) { try await second.value }
                #expect(error?.message.contains("none came with it in 10 s") == true)
                #expect(await exchange.status().wantCount == 0)
            }
        }
    }

    @Test("when the exchange stops, fetches end with an error")
    func stopped() async throws {
        try await withNodes(2) { _, nodes in
            let fetching = Task { try await nodes[0].exchange.block(cid) }
            while await nodes[0].exchange.status().wantCount == 0 { await Task.yield() }
            nodes[0].exchange.stop()
            let error = await #expect(throws: ExchangeError.self) { try await fetching.value }
            #expect(error?.code == .stopped)
        }
    }

    @Test("wants in flight stay within the window however many blocks are missing")
    func boundedWindow() async throws {
        try await withNodes(1) { network, nodes in
            let cids = (0..<2000).map { CID.of(noise(100, seed: $0 + 1), codec: .raw) }
            let silent = await ScriptedPeer(9, in: network) { _, _ in }
            try await with(silent, connectedTo: nodes[0]) {
                let fetching = Task {
                    try await nodes[0].exchange.ensure(cids, ingest: nodes[0].store.makeIngest())
                }
                while await nodes[0].exchange.status().wantCount < 64 { await Task.yield() }
                for _ in 0..<1000 { #expect(await nodes[0].exchange.status().wantCount == 64) }
                fetching.cancel()
                await #expect(throws: ExchangeError.self) { try await fetching.value }
            }
        }
    }

    @Test("a node of a DAG that is not what its codec says fails the fetch")
    func badNode() async throws {
        try await withNodes(2) { _, nodes in
            let root = CID(codec: .dagPB, multihash: .sha256(of: bytes))
            let ingest = nodes[1].store.makeIngest()
            try ingest.put(root, bytes)
            try ingest.flush()
            let error = await #expect(throws: ExchangeError.self) {
                try await nodes[0].exchange.fetchDAG(root, ingest: nodes[0].store.makeIngest())
            }
            #expect(error?.code == .badDAG)
            #expect(error?.cid == root)
        }
    }

    @Test("a store that is full ends the fetch with the store's reason")
    func fullStore() async throws {
        try await withNodes(2) { network, nodes in
            let cids = try nodes[1].put((0..<50).map { noise(10_000, seed: $0 + 1) })
            let host = await network.makeHost(8)
            let small = MemoryBlockStore(limitByteCount: 100_000)
            let exchange = Exchange(host: host, store: small)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await host.run() }
                group.addTask { await exchange.run() }
                await host.awaitHandlers(1)
                try await host.connect(to: nodes[1].id, addresses: [])
                let error = await #expect(throws: ExchangeError.self) {
                    try await exchange.ensure(cids, ingest: small.makeIngest())
                }
                #expect(error?.code == .store)
                #expect((error?.cause as? BlockStoreError)?.code == .full)
                group.cancelAll()
            }
        }
    }

    /// Runs the peer's host beside `body`, connected to `node`.
    private func with(
        _ peer: ScriptedPeer,
        connectedTo node: TestNode,
        _ body: () async throws -> Void
    ) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await peer.host.run() }
            defer { group.cancelAll() }
            try await node.host.connect(to: peer.host.localPeer, addresses: [])
            try await body()
        }
    }
}

/// What a peer says that lacks a block for as long as it is not given it.
private final class Lacking: Sendable {
    private struct State {
        var asked: Set<CID> = []
        var bytes: [UInt8]?
    }

    private let cid: CID
    private let state = Mutex(State())
    /// Blocks that it has.
    ///
    /// It waits until it is asked for one of them to say that it lacks the other one: who gets the one has heard of the
    /// other.
    let others = [UInt64(1), 2].map { seed in
        let bytes = noise(50, seed: seed)
        return (CID.of(bytes, codec: .raw), bytes)
    }

    init(_ cid: CID) { self.cid = cid }

    func give(_ bytes: [UInt8]) { state.withLock { $0.bytes = bytes } }

    func answer(_ message: BitswapMessage, _ reply: ScriptedPeer.Reply) async throws {
        let answer = state.withLock { state -> BitswapMessage? in
            state.asked.formUnion(message.cids(.have) + message.cids(.block))
            guard state.asked.contains(cid) else { return nil }
            let had = others.filter { state.asked.contains($0.0) }
            if let bytes = state.bytes { return .blocks(had + [(cid, bytes)]) }
            guard !had.isEmpty else { return nil }
            state.asked = []
            var answer = BitswapMessage.blocks(had)
            answer.presences = BitswapMessage.presences([cid], isHeld: false).presences
            return answer
        }
        if let answer { try await reply(answer) }
    }
}
