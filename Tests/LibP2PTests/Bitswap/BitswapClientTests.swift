import LibP2P
import Multiformats
import Testing

@Suite("Bitswap client")
struct BitswapClientTests {
    private static func data(_ number: Int) -> [UInt8] { Array("block \(number)".utf8) }
    private static func cid(_ number: Int) -> CID { .of(data(number), codec: .raw) }
    private static func makePeers(_ count: UInt8) throws -> [PeerID] {
        try (1...count).map { PeerID(try PublicKey(ed25519: [UInt8](repeating: $0, count: 32))) }.sorted()
    }
    private static func blocks(_ numbers: Int...) -> BitswapMessage {
        var message = BitswapMessage()
        message.blocks = numbers.map { .init(cid($0), data: data($0)[...]) }
        return message
    }
    private static func presence(_ numbers: Int..., held: Bool) -> BitswapMessage {
        var message = BitswapMessage()
        message.presences = numbers.map { .init(cid($0), isHeld: held) }
        return message
    }
    private static func client(with peers: [PeerID]) -> BitswapClient {
        var client = BitswapClient()
        for peer in peers { _ = client.connected(peer, now: .zero) }
        return client
    }
    private static func delivery(_ number: Int, from peer: PeerID) -> BitswapClient.Action {
        .deliver(cid(number), data: data(number)[...], from: peer)
    }

    private static let patience: Duration = .seconds(30)
    private static let top = Int32.max

    @Test("a search asks everybody who has it, fetches from who answers first, and withdraws the other wants")
    func search() throws {
        let peers = try Self.makePeers(3)
        var client = Self.client(with: peers)
        let have = BitswapMessage.Want(Self.cid(1), kind: .have, priority: Self.top, sendsDontHave: true)
        #expect(
            client.want([Self.cid(1)], patience: Self.patience, now: .zero)
                == peers.map { .send([have], to: $0) }
        )
        let block = BitswapMessage.Want(Self.cid(1), kind: .block, priority: Self.top, sendsDontHave: true)
        #expect(
            client.receive(Self.presence(1, held: true), from: peers[1], now: .zero) == [
                .send([block], to: peers[1])
            ]
        )
        #expect(client.receive(Self.presence(1, held: true), from: peers[2], now: .zero) == [])
        #expect(
            client.receive(Self.blocks(1), from: peers[1], now: .seconds(1)) == [
                Self.delivery(1, from: peers[1])
            ]
        )
        #expect(client.nextDeadline == .seconds(1) + BitswapClient.cancelDelay)
        let cancel = BitswapMessage.Want(Self.cid(1), kind: .cancel, priority: 0)
        #expect(
            client.deadlineReached(now: .seconds(2)) == [
                .send([cancel], to: peers[0]), .send([cancel], to: peers[2]),
            ]
        )
        #expect(client.wantCount == 0)
        #expect(client.nextDeadline == nil)
    }

    @Test("a hint is asked for the block at once; DONT_HAVE sends the search elsewhere")
    func hint() throws {
        let peers = try Self.makePeers(2)
        var client = Self.client(with: peers)
        let block = BitswapMessage.Want(Self.cid(1), kind: .block, priority: Self.top, sendsDontHave: true)
        #expect(
            client.want([Self.cid(1)], hints: [peers[1]], patience: Self.patience, now: .zero)
                == [.send([block], to: peers[1])]
        )
        let have = BitswapMessage.Want(Self.cid(1), kind: .have, priority: Self.top, sendsDontHave: true)
        #expect(
            client.receive(Self.presence(1, held: false), from: peers[1], now: .zero) == [
                .send([have], to: peers[0])
            ]
        )
    }

    @Test("blocks spread evenly over their holders, and no holder is asked for more than its share of room")
    func spread() throws {
        let peers = try Self.makePeers(2)
        var client = Self.client(with: peers)
        let cids = (0..<100).map(Self.cid)
        var asked: [PeerID: Int] = [:]
        for case .send(let wants, let peer) in client.want(
            cids,
            hints: peers,
            patience: Self.patience,
            now: .zero
        ) {
            asked[peer, default: 0] += wants.count
        }
        #expect(asked == [peers[0]: 32, peers[1]: 32])
        // One delivery makes room for one more want.
        let actions = client.receive(Self.blocks(0), from: peers[0], now: .zero)
        guard case .send(let wants, let peer) = actions.last else {
            Issue.record("nothing asked")
            return
        }
        #expect(peer == peers[0])
        #expect(wants.count == 1)
    }

    @Test("two callers that want one block make one want, and it is delivered once")
    func dedupes() throws {
        let peers = try Self.makePeers(1)
        var client = Self.client(with: peers)
        #expect(client.want([Self.cid(1)], patience: Self.patience, now: .zero).count == 1)
        #expect(client.want([Self.cid(1), Self.cid(1)], patience: Self.patience, now: .zero) == [])
        #expect(client.wantCount == 1)
        #expect(
            client.receive(Self.blocks(1), from: peers[0], now: .zero) == [Self.delivery(1, from: peers[0])]
        )
        #expect(client.receive(Self.blocks(1), from: peers[0], now: .zero) == [])
        #expect(client.unwantedBlockCount == 1)
    }

    @Test("silence sends the want to the next holder")
    func timeout() throws {
        let peers = try Self.makePeers(2)
        var client = Self.client(with: peers)
        _ = client.want([Self.cid(1)], hints: peers, patience: Self.patience, now: .zero)
        #expect(client.nextDeadline == BitswapClient.answerTimeout)
        let block = BitswapMessage.Want(Self.cid(1), kind: .block, priority: Self.top, sendsDontHave: true)
        #expect(client.deadlineReached(now: .seconds(5)) == [.send([block], to: peers[1])])
        // What the first sends late is still good.
        #expect(
            client.receive(Self.blocks(1), from: peers[0], now: .seconds(6)).first
                == Self.delivery(1, from: peers[0])
        )
    }

    @Test("a peer that keeps sending bytes is waited for, but not for ever")
    func slowPeer() throws {
        let peers = try Self.makePeers(1)
        var client = Self.client(with: peers)
        _ = client.want([Self.cid(1)], hints: peers, patience: Self.patience, now: .zero)
        client.progressed(peers[0], now: .seconds(4))
        #expect(client.nextDeadline == .seconds(9))
        client.progressed(peers[0], now: .seconds(58))
        #expect(client.nextDeadline == BitswapClient.completionTimeout)
    }

    @Test("a false block makes the peer distrusted at once, and what it owed is asked of others")
    func liar() throws {
        let peers = try Self.makePeers(2)
        var client = Self.client(with: peers)
        _ = client.want([Self.cid(1)], hints: [peers[0]], patience: Self.patience, now: .zero)
        let have = BitswapMessage.Want(Self.cid(1), kind: .have, priority: Self.top, sendsDontHave: true)
        #expect(
            client.receive(Self.blocks(666), from: peers[0], now: .zero)
                == [.distrust(peers[0], .falseBlock), .send([have], to: peers[1])]
        )
        // Not asked again, whatever it says or whoever names it.
        #expect(client.receive(Self.presence(1, held: true), from: peers[0], now: .zero) == [])
        let second = client.want([Self.cid(2)], hints: [peers[0]], patience: Self.patience, now: .zero)
        #expect(!second.contains { if case .send(_, let peer) = $0 { peer == peers[0] } else { false } })
        #expect(client.usablePeerCount == 1)
    }

    @Test("one HAVE that turns out wrong is forgiven, a habit is not")
    func brokenPromises() throws {
        let peers = try Self.makePeers(1)
        var client = Self.client(with: peers)
        for number in 1...3 {
            _ = client.want([Self.cid(number)], patience: Self.patience, now: .zero)
            _ = client.receive(Self.presence(number, held: true), from: peers[0], now: .zero)
            let actions = client.receive(Self.presence(number, held: false), from: peers[0], now: .zero)
            #expect(actions.contains(.distrust(peers[0], .brokenPromises)) == (number == 3))
        }
    }

    @Test("three silences make a peer distrusted")
    func silences() throws {
        let peers = try Self.makePeers(1)
        var client = Self.client(with: peers)
        var now: Duration = .zero
        for number in 1...3 {
            _ = client.want([Self.cid(number)], hints: peers, patience: Self.patience, now: now)
            now += BitswapClient.answerTimeout
            #expect(client.deadlineReached(now: now).contains(.distrust(peers[0], .silence)) == (number == 3))
        }
    }

    @Test("what a peer owed when it left is asked of others")
    func leaves() throws {
        let peers = try Self.makePeers(2)
        var client = Self.client(with: peers)
        _ = client.want([Self.cid(1)], hints: peers, patience: Self.patience, now: .zero)
        let block = BitswapMessage.Want(Self.cid(1), kind: .block, priority: Self.top, sendsDontHave: true)
        #expect(client.disconnected(peers[0], now: .zero) == [.send([block], to: peers[1])])
    }

    @Test("a block of which a peer does not speak fails when patience ends, with the number of peers asked")
    func nobodyHas() throws {
        let peers = try Self.makePeers(2)
        var client = Self.client(with: peers)
        _ = client.want([Self.cid(1)], patience: Self.patience, now: .zero)
        _ = client.receive(Self.presence(1, held: false), from: peers[0], now: .seconds(1))
        #expect(client.deadlineReached(now: BitswapClient.answerTimeout) == [])
        #expect(client.nextDeadline == .seconds(30))
        #expect(client.deadlineReached(now: .seconds(29)) == [])
        #expect(
            client.deadlineReached(now: .seconds(30)).contains(
                .fail(Self.cid(1), .nobodyHas(Self.cid(1), askedPeerCount: 2))
            )
        )
        #expect(client.wantCount == 0)
    }

    @Test("a block that every peer says it lacks fails after a grace")
    func allLack() throws {
        let peers = try Self.makePeers(2)
        var client = Self.client(with: peers)
        _ = client.want([Self.cid(1)], patience: Self.patience, now: .zero)
        _ = client.receive(Self.presence(1, held: false), from: peers[0], now: .zero)
        #expect(client.receive(Self.presence(1, held: false), from: peers[1], now: .seconds(1)) == [])
        let end = .seconds(1) + BitswapClient.refusalGrace
        #expect(client.nextDeadline == end)
        #expect(client.deadlineReached(now: end - .nanoseconds(1)) == [])
        #expect(
            client.deadlineReached(now: end).contains(
                .fail(Self.cid(1), .allLack(Self.cid(1), peerCount: 2))
            )
        )
        #expect(client.wantCount == 0)
    }

    @Test("a want that was given less grace fails after that, and who joins it does not change it")
    func lessGrace() throws {
        let peer = try Self.makePeers(1)[0]
        var client = Self.client(with: [peer])
        _ = client.want([Self.cid(1)], patience: Self.patience, grace: .seconds(3), now: .zero)
        _ = client.receive(Self.presence(1, held: false), from: peer, now: .seconds(1))
        _ = client.want([Self.cid(1)], patience: Self.patience, now: .seconds(2))
        #expect(client.nextDeadline == .seconds(4))
        #expect(
            client.deadlineReached(now: .seconds(4)).contains(
                .fail(Self.cid(1), .allLack(Self.cid(1), peerCount: 1))
            )
        )
    }

    @Test("who comes within the grace is asked, and what it has is taken")
    func holderInGrace() throws {
        let peers = try Self.makePeers(2)
        var client = Self.client(with: [peers[0]])
        _ = client.want([Self.cid(1)], patience: Self.patience, now: .zero)
        _ = client.receive(Self.presence(1, held: false), from: peers[0], now: .zero)
        #expect(!client.connected(peers[1], now: .seconds(9)).isEmpty)
        #expect(client.deadlineReached(now: BitswapClient.refusalGrace) == [])
        #expect(
            client.receive(Self.blocks(1), from: peers[1], now: .seconds(12)).contains(
                Self.delivery(1, from: peers[1])
            )
        )
    }

    @Test("with nobody connected a want waits for a peer, and is asked of it")
    func waitsForPeer() throws {
        let peer = try Self.makePeers(1)[0]
        var client = BitswapClient()
        #expect(client.want([Self.cid(1)], hints: [peer], patience: Self.patience, now: .zero) == [])
        #expect(client.nextDeadline == .seconds(30))
        let block = BitswapMessage.Want(Self.cid(1), kind: .block, priority: Self.top, sendsDontHave: true)
        #expect(client.connected(peer, now: .seconds(1)) == [.send([block], to: peer)])
    }

    @Test("a block that appears late at a peer that lacked it is taken")
    func lateBlock() throws {
        let peers = try Self.makePeers(1)
        var client = Self.client(with: peers)
        _ = client.want([Self.cid(1)], patience: Self.patience, now: .zero)
        _ = client.receive(Self.presence(1, held: false), from: peers[0], now: .zero)
        #expect(
            client.receive(Self.blocks(1), from: peers[0], now: .seconds(9)) == [
                Self.delivery(1, from: peers[0])
            ]
        )
    }

    @Test("a cancelled want is withdrawn, and its block, if it comes, is no lie")
    func cancel() throws {
        let peers = try Self.makePeers(1)
        var client = Self.client(with: peers)
        _ = client.want([Self.cid(1)], hints: peers, patience: Self.patience, now: .zero)
        #expect(client.cancel([Self.cid(1)], now: .zero) == [])
        #expect(client.receive(Self.blocks(1), from: peers[0], now: .zero) == [])
        #expect(client.usablePeerCount == 1)
        #expect(client.wantCount == 0)
    }

    @Test("wants over the limit fail, those within it queue until there is room")
    func bounded() throws {
        let peers = try Self.makePeers(1)
        var client = Self.client(with: peers)
        let cids = (0...BitswapClient.maxWantCount).map(Self.cid)
        let actions = client.want(cids, patience: Self.patience, now: .zero)
        #expect(actions.first == .fail(cids[65_536], .tooManyWants(limit: 65_536)))
        #expect(client.wantCount == 65_536)
        guard case .send(let wants, _) = actions.last else {
            Issue.record("nothing asked")
            return
        }
        #expect(wants.count == BitswapClient.maxActiveWantCount)
    }
}
