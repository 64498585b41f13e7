import MRProtocol
import Multiformats
import PeerTestKit
import Testing

@Suite("Membership")
struct MembershipTests {
    private static let origin: UInt64 = 1_700_000_000_000_000_000

    private static func record(_ number: UInt8, sequence: UInt64 = origin, port: UInt16 = 1)
        -> SignedPeerRecord
    {
        let key = PublicKey(simulated: [UInt8](repeating: number, count: 32))
        let record = PeerRecord(peer: PeerID(key), sequence: sequence, addresses: [Multiaddr([.tcp(port)])])
        return SignedPeerRecord(record, publicKey: key) { _ in [UInt8](repeating: 1, count: 64) }
    }

    /// Signatures of ones verify, others do not.
    private static func node(knowing others: ClosedRange<UInt8>? = nil) -> Membership {
        var node = Membership(record: record(0), unixOrigin: origin, now: .zero) { _, _, signature in
            signature[0] == 1
        }
        for number in others ?? 1...1 where others != nil {
            _ = node.learn([record(number).envelope.bytes], now: .zero)
        }
        return node
    }

    private static func gossip(records: [[UInt8]] = [], suspicions: [GossipMessage.Suspicion] = [])
        -> GossipMessage
    {
        var message = GossipMessage()
        message.records = records
        message.suspicions = suspicions
        return message
    }

    @Test("the newest record wins; older and equal ones are dropped and counted")
    func newestWins() {
        var node = Self.node()
        let peer = Self.record(1).record.peer
        #expect(node.learn([Self.record(1).envelope.bytes], now: .zero) == [.changed(peer, .alive)])
        #expect(node.learn([Self.record(1).envelope.bytes], now: .zero) == [])
        let newer = Self.record(1, sequence: Self.origin + 1, port: 9)
        #expect(node.learn([newer.envelope.bytes], now: .zero) == [.changed(peer, .alive)])
        #expect(node.learn([Self.record(1).envelope.bytes], now: .zero) == [])
        #expect(node.counters.stale == 2)
        #expect(node.member(peer)?.record == newer.record)
        #expect(node.member(peer)?.envelope == newer.envelope.bytes)
    }

    @Test("forged, malformed, oversized and future records are dropped and counted")
    func hostileRecords() {
        var node = Self.node()
        let key = PublicKey(simulated: [UInt8](repeating: 1, count: 32))
        let record = PeerRecord(peer: PeerID(key), sequence: 5, addresses: [])
        let forged = SignedPeerRecord(record, publicKey: key) { _ in [UInt8](repeating: 2, count: 64) }
        let limit = MembershipSettings.maxFutureNanoseconds
        #expect(
            node.learn([forged.envelope.bytes, [1, 2, 3], [UInt8](repeating: 0, count: 1025)], now: .zero)
                == []
        )
        #expect(
            node.learn([Self.record(1, sequence: Self.origin + limit + 1).envelope.bytes], now: .zero) == []
        )
        #expect(node.counters.forged == 2)
        #expect(node.counters.oversized == 1)
        #expect(node.counters.future == 1)
        #expect(
            node.learn([Self.record(1, sequence: Self.origin + limit).envelope.bytes], now: .zero).count == 1
        )
    }

    @Test("who pulls introduces itself, also when its record is no news any more")
    func introduction() throws {
        var random = SeededRandom(seed: 1)
        var node = Self.node(knowing: 1...1)
        let peer = Self.record(1).record.peer
        let stranger = Self.node(knowing: 2...2)
        var other = Self.gossip()
        other.summary = try #require(Self.firstCall(of: stranger)).summary
        // The news of our own record goes out in calls that are never answered.
        for second in 0..<20 {
            _ = node.deadlineReached(now: .seconds(second), random: &random)
        }
        let greeting = node.greet(peer, now: .seconds(20), random: &random)
        guard case .call(let number, _, _, let message) = greeting.first else {
            Issue.record("no greeting")
            return
        }
        #expect(message.records.isEmpty)
        let actions = node.answered(number, other, now: .seconds(20), random: &random)
        let pulls = actions.compactMap { action in
            if case .call(_, _, _, let pull) = action, pull.wantedBuckets != 0 { pull } else { nil }
        }
        #expect(pulls.map(\.records) == [[Self.record(0).envelope.bytes]])
    }

    private static func firstCall(of node: Membership) -> GossipMessage? {
        var node = node
        var random = SeededRandom(seed: 1)
        for case .call(_, _, _, let message) in node.deadlineReached(now: .zero, random: &random) {
            return message
        }
        return nil
    }

    @Test("a suspicion of ourselves asks for a newer record, one of an older record does not")
    func refutation() {
        var node = Self.node()
        var random = SeededRandom(seed: 1)
        let own = GossipMessage.Suspicion(peer: node.own, sequence: Self.origin)
        let old = GossipMessage.Suspicion(peer: node.own, sequence: Self.origin - 1)
        let caller = Self.record(1).record.peer
        #expect(
            node.received(Self.gossip(suspicions: [own]), from: caller, id: 7, now: .zero, random: &random)
                .first
                == .renewRecord(sequence: Self.origin + 1)
        )
        let actions = node.received(
            Self.gossip(suspicions: [old]),
            from: caller,
            id: 8,
            now: .zero,
            random: &random
        )
        #expect(actions.count == 1)
        node.renewed(Self.record(0, sequence: Self.origin + 1))
        #expect(
            node.received(Self.gossip(suspicions: [own]), from: caller, id: 9, now: .zero, random: &random)
                .count == 1
        )
    }

    @Test("a suspect is dead after the timeout, and alive at once with a newer record")
    func suspicion() {
        var node = Self.node(knowing: 1...2)
        var random = SeededRandom(seed: 1)
        let (first, second) = (Self.record(1).record.peer, Self.record(2).record.peer)
        let claim = [first, second].map { GossipMessage.Suspicion(peer: $0, sequence: Self.origin) }
        let actions = node.received(
            Self.gossip(suspicions: claim),
            from: first,
            id: 1,
            now: .zero,
            random: &random
        )
        #expect(actions.contains(.changed(first, .suspect)) && actions.contains(.changed(second, .suspect)))
        _ = node.learn([Self.record(2, sequence: Self.origin + 1).envelope.bytes], now: .seconds(1))
        #expect(!node.deadlineReached(now: .seconds(3), random: &random).contains(.changed(first, .dead)))
        #expect(node.deadlineReached(now: .seconds(4.5), random: &random).contains(.changed(first, .dead)))
        #expect(node.member(second)?.state == .alive)
        // It comes back with a new address.
        let back = Self.record(1, sequence: Self.origin + 9, port: 2)
        #expect(node.learn([back.envelope.bytes], now: .seconds(9)) == [.changed(first, .alive)])
        #expect(node.member(first)?.record.addresses == back.record.addresses)
    }

    @Test(
        "a failed probe asks others to try; their word keeps the member alive, their silence makes it suspect"
    )
    func indirectProbe() throws {
        for isReached in [true, false] {
            var node = Self.node(knowing: 1...5)
            var random = SeededRandom(seed: 3)
            let calls = node.deadlineReached(now: .zero, random: &random)
            guard case .call(let number, let target, _, _) = calls.first else {
                Issue.record("no probe")
                return
            }
            let indirect = node.failed(number, now: .seconds(1), random: &random)
            #expect(indirect.count == 3)
            for case .call(let helper, let peer, _, let message) in indirect {
                #expect(peer != target)
                #expect(message.probe == target)
                var answer = GossipMessage()
                answer.isProbeAnswered = isReached
                _ = node.answered(helper, answer, now: .seconds(2), random: &random)
            }
            _ = node.deadlineReached(now: .seconds(4.6), random: &random)
            #expect(node.member(target)?.state == (isReached ? .alive : .suspect))
        }
    }

    @Test("a probe for another is made, and answered with its outcome", arguments: [true, false])
    func relayedProbe(answers: Bool) {
        var node = Self.node(knowing: 1...2)
        var random = SeededRandom(seed: 1)
        var request = GossipMessage()
        request.probe = Self.record(2).record.peer
        let actions = node.received(
            request,
            from: Self.record(1).record.peer,
            id: 4,
            now: .zero,
            random: &random
        )
        guard case .call(let number, let peer, _, _) = actions.first else {
            Issue.record("no probe")
            return
        }
        #expect(peer == request.probe)
        let end =
            answers
            ? node.answered(number, GossipMessage(), now: .zero, random: &random)
            : node.failed(number, now: .zero, random: &random)
        var expected = GossipMessage()
        expected.isProbeAnswered = answers
        #expect(end == [.answer(4, expected)])
    }

    @Test("the table is bounded: a new member takes the place of the oldest dead one, or is left out")
    func bounded() {
        var node = Self.node()
        for number in 0..<(MembershipSettings.maxMemberCount + 10) {
            var bytes = [UInt8](repeating: 7, count: 32)
            (bytes[0], bytes[1]) = (UInt8(number & 0xff), UInt8(number >> 8))
            let key = PublicKey(simulated: bytes)
            let record = PeerRecord(peer: PeerID(key), sequence: 1, addresses: [])
            let signed = SignedPeerRecord(record, publicKey: key) { _ in [UInt8](repeating: 1, count: 64) }
            _ = node.learn([signed.envelope.bytes], now: .zero)
        }
        #expect(node.members.count == MembershipSettings.maxMemberCount)
        #expect(node.counters.full == 10)
    }

    /// The call among actions, if there is one.
    private static func call(in actions: [Membership.Action]) -> (number: UInt64, message: GossipMessage)? {
        for case .call(let number, _, _, let message) in actions { return (number, message) }
        return nil
    }

    @Test(
        "a call shows its summary; a pull follows a different one, and is answered with what was missing alone"
    )
    func pull() throws {
        var (server, client) = (Self.node(knowing: 1...20), Self.node(knowing: 1...17))
        var random = SeededRandom(seed: 1)
        let peer = Self.record(1).record.peer
        let greeting = try #require(Self.call(in: client.greet(peer, now: .zero, random: &random)))
        #expect(greeting.message.marks.isEmpty && greeting.message.summary.count == 64)
        let first = server.received(greeting.message, from: peer, id: 1, now: .zero, random: &random)
        guard case .answer(1, let summary) = first.last else {
            Issue.record("no answer")
            return
        }
        let follow = client.answered(greeting.number, summary, now: .zero, random: &random)
        let pull = try #require(Self.call(in: follow))
        let second = server.received(pull.message, from: peer, id: 2, now: .zero, random: &random)
        guard case .answer(2, let answer) = second.last else {
            Issue.record("no answer to the pull")
            return
        }
        #expect(Set(answer.records) == Set((18...20).map { Self.record($0).envelope.bytes }))
        #expect(Self.call(in: client.answered(pull.number, answer, now: .zero, random: &random)) == nil)
        #expect(client.livingCount == 20)
        let again = try #require(Self.call(in: client.greet(peer, now: .zero, random: &random)))
        #expect(again.message.summary == answer.summary)
    }

    @Test("a period's pulls are answered within a budget, and behind it with a few records each")
    func pullBudget() {
        var server = Self.node(knowing: 1...255)
        var random = SeededRandom(seed: 1)
        var request = GossipMessage()
        request.wantedBuckets = .max
        let sizes = (UInt64(0)..<30).map { id in
            let actions = server.received(request, from: server.own, id: id, now: .zero, random: &random)
            guard case .answer(_, let answer) = actions.last else { return 0 }
            return answer.records.reduce(0) { $0 + $1.count }
        }
        #expect(sizes[0] > 30_000 && sizes[0] < 34_000)
        #expect(sizes[29] > 0 && sizes[29] < 1500)
        #expect(sizes.reduce(0, +) < 330_000)
    }
}
