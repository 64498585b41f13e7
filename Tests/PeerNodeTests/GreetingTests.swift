import BlockStore
import MRProtocol
import Multiformats
import PeerCrypto
import PeerNode
import Synchronization
import Testing

/// A member whose answers to gossip a test turns on and off, while its connection stays.
private final class MutePeer: Sendable {
    let host: MemoryHost
    private let key: Ed25519.KeyPair
    private let isMute: Mutex<Bool>
    /// One element for each gossip call that got no answer.
    let unanswered: AsyncStream<Void>
    private let leftUnanswered: AsyncStream<Void>.Continuation

    init(in network: MemoryNetwork, isMute: Bool) async {
        key = Ed25519.KeyPair()
        self.isMute = Mutex(isMute)
        (unanswered, leftUnanswered) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(64))
        host = await network.makeHost(PeerID(key))
        await host.serve(MapReduceRequest.protocolID) { [weak self] _, stream in
            try await self?.answer(stream)
        }
    }

    func set(mute: Bool) { isMute.withLock { $0 = mute } }

    private func answer(_ stream: any PeerStream) async throws {
        let messages = MessageStream(stream, maxByteCount: MapReduceRequest.maxByteCount)
        guard let bytes = try await messages.next() else { return }
        switch try MapReduceRequest(bytes: bytes) {
        case .gossip:
            guard !isMute.withLock({ $0 }) else {
                leftUnanswered.yield()
                return await messages.reset()
            }
            var gossip = GossipMessage()
            let record = SignedPeerRecord(sequence: 1, addresses: [.plain], keyPair: key)
            gossip.records = [record.envelope.bytes]
            try await messages.send(MapReduceResponse.gossip(gossip).bytes)
        default:
            let hello = HelloMessage(agent: "mute/1", engines: [], slots: 1, busySlots: 0)
            try await messages.send(MapReduceResponse.hello(hello).bytes)
        }
    }
}

@Suite("Greetings that are repeated", .timeLimit(.minutes(1)))
struct GreetingTests {
    /// Settings in which nothing but a greeting brings a dead member back.
    private static var settings: MembershipSettings {
        var settings = MembershipSettings()
        settings.period = .milliseconds(20)
        settings.probeTimeout = .milliseconds(20)
        settings.indirectTimeout = .milliseconds(20)
        settings.suspicionPeriods = 2
        settings.reviveInterval = .seconds(3600)
        return settings
    }

    /// Runs `body` beside a node that is told of each change of its members.
    private func withNode(
        _ peer: MutePeer,
        in network: MemoryNetwork,
        _ body: (MembershipService, AsyncStream<MembershipEvent>) async throws -> Void
    ) async throws {
        let key = Ed25519.KeyPair()
        let host = await network.makeHost(PeerID(key))
        let (events, event) = AsyncStream.makeStream(
            of: MembershipEvent.self,
            bufferingPolicy: .bufferingNewest(64)
        )
        var configuration = MembershipService.Configuration(identity: key, settings: Self.settings)
        configuration.helloInterval = .milliseconds(20)
        let worker = StubWorker()
        let membership = MembershipService(
            configuration,
            host: host,
            addresses: { [.plain] },
            hello: { worker.hello(to: $0) },
            onEvent: { event.yield($0) }
        )
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await host.run() }
            group.addTask { await peer.host.run() }
            group.addTask { await membership.run() }
            defer { group.cancelAll() }
            try await body(membership, events)
        }
    }

    private func wait(for state: MemberState, _ events: AsyncStream<MembershipEvent>) async {
        for await event in events {
            if case .changed(_, state) = event { return }
        }
    }

    @Test("a greeting that was lost is repeated for as long as its connection lives")
    func lostGreeting() async throws {
        let network = MemoryNetwork()
        let peer = await MutePeer(in: network, isMute: true)
        try await withNode(peer, in: network) { membership, events in
            _ = try await membership.connect(to: .bootstrap(peer.host.localPeer))
            var calls = peer.unanswered.makeAsyncIterator()
            for _ in 0..<3 { await calls.next() }
            #expect(await membership.status().livingCount == 0)
            peer.set(mute: false)
            await wait(for: .alive, events)
            #expect(await membership.status().livingCount == 1)
        }
    }

    @Test("a member that was declared dead behind its connection is greeted until it is alive")
    func deadBehindConnection() async throws {
        let network = MemoryNetwork()
        let peer = await MutePeer(in: network, isMute: false)
        try await withNode(peer, in: network) { membership, events in
            _ = try await membership.connect(to: .bootstrap(peer.host.localPeer))
            await wait(for: .alive, events)
            peer.set(mute: true)
            await wait(for: .dead, events)
            #expect(await membership.peers().first?.isConnected == true)
            peer.set(mute: false)
            await wait(for: .alive, events)
            #expect(await membership.status().livingCount == 1)
        }
    }
}
