import BlockStore
import Glibc
import MRProtocol
import Multiformats
import PeerCrypto
import PeerNode
import Synchronization
import Testing

@Suite("Membership over connections", .timeLimit(.minutes(1)))
struct MembershipServiceTests {
    @Test("five nodes that know one address each learn the whole cluster, with its slots")
    func oneBootstrap() async throws {
        try await withCluster(5) { nodes, events in
            for await _ in events {
                if await Self.all(nodes, know: 4) { break }
            }
            for node in nodes {
                let peers = await node.membership.peers()
                #expect(Set(peers.map(\.peer)) == Set(nodes.map(\.id)).subtracting([node.id]))
                #expect(peers.allSatisfy { $0.state == .alive })
            }
            #expect(await nodes[1].membership.peers().contains { $0.slots == 4 && $0.agent == "stub/1" })
            let status = await nodes[3].membership.status()
            #expect(status.livingCount == 4)
            #expect(status.bootstrap.map(\.isConnected) == [true])
        }
    }

    @Test("who gives records that nobody signed is told of")
    func forgedRecords() async throws {
        let network = MemoryNetwork()
        let told = Mutex<[MembershipEvent]>([])
        let key = Ed25519.KeyPair()
        let membership = MembershipService(
            MembershipService.Configuration(identity: key, bootstrap: [], tablePath: nil),
            host: await network.makeHost(PeerID(key)),
            addresses: { [.plain] },
            hello: { _ in HelloMessage(agent: "", engines: [], slots: 0, busySlots: 0) },
            onEvent: { event in told.withLock { $0.append(event) } }
        )
        let (honest, liar) = (Ed25519.KeyPair(), PeerID.numbered(9))
        let record = PeerRecord(peer: PeerID(honest), sequence: 5, addresses: [])
        func signed(by signer: Ed25519.KeyPair) -> [UInt8] {
            SignedPeerRecord(record, publicKey: PublicKey(honest.publicKey), sign: signer.sign).envelope.bytes
        }
        var gossip = GossipMessage()
        gossip.records = [signed(by: key), [1, 2, 3]]
        _ = await membership.answer(gossip, from: liar)
        #expect(told.withLock { $0 } == [.forgedRecords(liar, count: 2)])
        gossip.records = [signed(by: honest)]
        _ = await membership.answer(gossip, from: PeerID(honest))
        #expect(told.withLock { $0.last } == .changed(PeerID(honest), .alive))
    }

    @Test("a node that stops without a word is suspected, and dead in the end, everywhere")
    func crash() async throws {
        try await withCluster(4) { nodes, events in
            for await _ in events {
                if await Self.all(nodes, know: 3) { break }
            }
            await nodes[3].network.remove(nodes[3].id)
            for await _ in events {
                if await Self.all(Array(nodes[..<3]), know: 2) { break }
            }
            for node in nodes[..<3] {
                let gone = await node.membership.peers().first { $0.peer == nodes[3].id }
                #expect(gone?.state == .dead)
                #expect(gone?.isConnected == false)
            }
        }
    }

    @Test("a node that comes back finds its cluster by its table alone")
    func restart() async throws {
        let path = "/tmp/membership-\(getpid())-\(UInt64.random(in: .min ... .max)).db"
        defer { for end in ["", "-wal", "-shm"] { unlink(path + end) } }
        try await withCluster(3) { nodes, events in
            for await _ in events {
                if await Self.all(nodes, know: 2) { break }
            }
            let network = nodes[0].network
            let key = Ed25519.KeyPair()
            let seen = await Self.life(
                of: key,
                in: network,
                bootstrap: [nodes[0].address],
                tablePath: path,
                until: 3
            )
            #expect(seen == 3)
            let again = await Self.life(of: key, in: network, bootstrap: [], tablePath: path, until: 3)
            #expect(again == 3)
        }
    }

    @Test("an unreachable bootstrap is tried again, shown, and joined when it appears")
    func lateBootstrap() async throws {
        let network = MemoryNetwork()
        let lateKey = Ed25519.KeyPair()
        let (events, event) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(64))
        let early = await ClusterNode(
            Ed25519.KeyPair(),
            in: network,
            bootstrap: [.bootstrap(PeerID(lateKey))],
            event: event
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            await early.start(in: &group)
            for await _ in events {
                if await early.membership.status().bootstrap.first?.failureCount ?? 0 > 0 { break }
            }
            let target = try #require(await early.membership.status().bootstrap.first)
            #expect(!target.isConnected)
            #expect(!target.lastFailure.isEmpty)
            let late = await ClusterNode(lateKey, in: network, bootstrap: [], event: event)
            await late.start(in: &group)
            for await _ in events {
                if await Self.all([early, late], know: 1) { break }
            }
            #expect(await early.membership.status().bootstrap.first?.isConnected == true)
            group.cancelAll()
        }
    }

    @Test("a peer that speaks no /mapreduce/1 is listed, and no member")
    func plainPeer() async throws {
        try await withCluster(1) { nodes, _ in
            let other = await nodes[0].network.makeHost(77)
            let peer = try await nodes[0].membership.connect(to: .bootstrap(other.localPeer))
            #expect(peer == other.localPeer)
            let summary = try #require(await nodes[0].membership.peers().first)
            #expect(summary.isConnected)
            #expect(summary.state == nil)
            #expect(await nodes[0].membership.status().livingCount == 0)
        }
    }

    // MARK: Clusters

    private static func all(_ nodes: [ClusterNode], know count: Int) async -> Bool {
        for node in nodes where await node.membership.status().livingCount != count { return false }
        return true
    }

    /// Lets a node live until it knows so many others.
    private static func life(
        of key: Ed25519.KeyPair,
        in network: MemoryNetwork,
        bootstrap: [Multiaddr],
        tablePath: String,
        until count: Int
    ) async -> Int {
        let (events, event) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(64))
        let node = await ClusterNode(
            key,
            in: network,
            bootstrap: bootstrap,
            tablePath: tablePath,
            event: event
        )
        return await withThrowingTaskGroup(of: Void.self) { group in
            await node.start(in: &group)
            for await _ in events {
                if await all([node], know: count) { break }
            }
            let known = await node.membership.status().livingCount
            node.membership.stop()
            await node.ended()
            await network.remove(node.id)
            group.cancelAll()
            return known
        }
    }

    /// Runs `body` beside `count` nodes of which the first is the bootstrap of the others.
    private func withCluster(
        _ count: Int,
        _ body: ([ClusterNode], AsyncStream<Void>) async throws -> Void
    ) async throws {
        let network = MemoryNetwork()
        let (events, event) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(64))
        var nodes: [ClusterNode] = []
        for _ in 0..<count {
            nodes.append(
                await ClusterNode(
                    Ed25519.KeyPair(),
                    in: network,
                    bootstrap: nodes.first.map { [$0.address] } ?? [],
                    event: event
                )
            )
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for node in nodes { await node.start(in: &group) }
            defer { group.cancelAll() }
            try await body(nodes, events)
        }
    }
}

/// A node with membership and nothing else.
private struct ClusterNode: Sendable {
    let host: MemoryHost
    let network: MemoryNetwork
    let membership: MembershipService
    private let service: MapReduceService
    private let end = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))

    var id: PeerID { host.localPeer }
    var address: Multiaddr { .bootstrap(id) }

    init(
        _ key: Ed25519.KeyPair,
        in network: MemoryNetwork,
        bootstrap: [Multiaddr],
        tablePath: String? = nil,
        event: AsyncStream<Void>.Continuation
    ) async {
        host = await network.makeHost(PeerID(key))
        self.network = network
        var settings = MembershipSettings()
        settings.period = .milliseconds(20)
        // Generous beside the period: other suites keep the machine busy, and nobody may be suspected for that.
        settings.probeTimeout = .seconds(2)
        settings.indirectTimeout = .seconds(1)
        settings.suspicionPeriods = 25
        settings.reviveInterval = .milliseconds(100)
        let worker = StubWorker()
        membership = MembershipService(
            MembershipService.Configuration(
                identity: key,
                bootstrap: bootstrap,
                tablePath: tablePath,
                settings: settings
            ),
            host: host,
            addresses: { [.plain] },
            hello: { worker.hello(to: $0) },
            onEvent: { _ in event.yield() }
        )
        service = MapReduceService(host: host, store: MemoryBlockStore(), worker: worker, gossip: membership)
    }

    func start(in group: inout ThrowingTaskGroup<Void, any Error>) async {
        await service.start()
        group.addTask { await host.run() }
        group.addTask {
            await membership.run()
            end.continuation.yield()
        }
    }

    func ended() async { for await _ in end.stream { break } }
}

extension Multiaddr {
    /// An address that is as good as any: memory needs none.
    static var plain: Multiaddr {
        guard let address = Multiaddr("/ip4/127.0.0.1/tcp/4001") else {
            preconditionFailure("a well-known address")
        }
        return address
    }

    static func bootstrap(_ peer: PeerID) -> Multiaddr { plain.with(peer: peer) }
}
