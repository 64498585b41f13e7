import LibP2P
import Multiformats
import Testing

@Suite("Bitswap server")
struct BitswapServerTests {
    private static func cid(_ number: Int) -> CID { .of(Array("block \(number)".utf8), codec: .raw) }
    private static func peer(_ number: UInt8) throws -> PeerID {
        PeerID(try PublicKey(ed25519: [UInt8](repeating: number, count: 32)))
    }
    private static func wants(_ wants: BitswapMessage.Want..., full: Bool = false) -> BitswapMessage {
        var message = BitswapMessage()
        message.wants = wants
        message.isFull = full
        return message
    }
    private static func answer(blocks: [(CID, [UInt8])] = [], has: [CID] = [], lacks: [CID] = [])
        -> BitswapMessage
    {
        var message = BitswapMessage()
        message.blocks = blocks.map { .init($0.0, data: $0.1[...]) }
        message.presences = has.map { .init($0, isHeld: true) } + lacks.map { .init($0, isHeld: false) }
        return message
    }

    @Test("WANT-BLOCK of a block that is here: looked up, read, sent")
    func wantBlock() throws {
        let (cid, peer) = (Self.cid(1), try Self.peer(1))
        var server = BitswapServer()
        #expect(server.receive(Self.wants(.init(cid, kind: .block)), from: peer) == [.find([cid])])
        #expect(server.found([(cid, 5000)]) == [.load([cid], for: peer)])
        let data = [UInt8](repeating: 1, count: 5000)
        #expect(
            server.loaded([(cid, data[...])], for: peer) == [
                .send(Self.answer(blocks: [(cid, data)]), to: peer)
            ]
        )
        #expect(server.wantCount(of: peer) == 0)
        #expect(server.sent(to: peer) == [])
        #expect(server.statistics(of: peer)?.bytesSent == 5000)
    }

    @Test(
        "WANT-HAVE gives HAVE, or the block itself when it is small",
        arguments: [(1024, true), (1025, false), (0, true)]
    )
    func wantHave(byteCount: Int, asBlock: Bool) throws {
        let (cid, peer) = (Self.cid(1), try Self.peer(1))
        var server = BitswapServer()
        _ = server.receive(Self.wants(.init(cid, kind: .have)), from: peer)
        let expected: [BitswapServer.Action] =
            asBlock ? [.load([cid], for: peer)] : [.send(Self.answer(has: [cid]), to: peer)]
        #expect(server.found([(cid, byteCount)]) == expected)
    }

    @Test("a block that is not here: DONT_HAVE only when asked for, and the want stays")
    func absent() throws {
        let (first, second, peer) = (Self.cid(1), Self.cid(2), try Self.peer(1))
        var server = BitswapServer()
        _ = server.receive(
            Self.wants(.init(first, kind: .block, sendsDontHave: true), .init(second, kind: .block)),
            from: peer
        )
        #expect(
            server.found([(first, nil), (second, nil)]) == [.send(Self.answer(lacks: [first]), to: peer)]
        )
        #expect(server.wantCount(of: peer) == 2)
        #expect(server.stored([(first, 9), (second, 9)]) == [])
        #expect(server.sent(to: peer) == [.load([first, second], for: peer)])
    }

    @Test("a block is sent to everyone who waits for it when it is stored")
    func appears() throws {
        let cid = Self.cid(1)
        let peers = [try Self.peer(1), try Self.peer(2)].sorted()
        var server = BitswapServer()
        #expect(server.receive(Self.wants(.init(cid, kind: .have)), from: peers[0]) == [.find([cid])])
        // The store is not asked twice for what it is looking up already.
        #expect(server.receive(Self.wants(.init(cid, kind: .block)), from: peers[1]) == [])
        #expect(server.found([(cid, nil)]) == [])
        #expect(
            server.stored([(cid, 2000)])
                == [.send(Self.answer(has: [cid]), to: peers[0]), .load([cid], for: peers[1])]
        )
    }

    @Test("cancel forgets the want, before and after the block is found; of an unknown CID it is harmless")
    func cancel() throws {
        let (cid, peer) = (Self.cid(1), try Self.peer(1))
        var server = BitswapServer()
        #expect(server.receive(Self.wants(.init(cid, kind: .cancel)), from: peer) == [])
        _ = server.receive(Self.wants(.init(cid, kind: .block)), from: peer)
        _ = server.receive(Self.wants(.init(cid, kind: .cancel)), from: peer)
        #expect(server.found([(cid, 10)]) == [])
        _ = server.receive(Self.wants(.init(cid, kind: .block)), from: peer)
        _ = server.found([(cid, 10)])
        _ = server.receive(Self.wants(.init(cid, kind: .cancel)), from: peer)
        #expect(server.loaded([(cid, [1][...])], for: peer) == [])
    }

    @Test("a full list replaces what was remembered")
    func full() throws {
        let (old, new, peer) = (Self.cid(1), Self.cid(2), try Self.peer(1))
        var server = BitswapServer()
        _ = server.receive(Self.wants(.init(old, kind: .block)), from: peer)
        #expect(
            server.receive(Self.wants(.init(new, kind: .block), full: true), from: peer) == [.find([new])]
        )
        #expect(server.found([(old, 1)]) == [])
        #expect(server.receive(Self.wants(full: true), from: peer) == [])
        #expect(server.wantCount(of: peer) == 0)
    }

    @Test("answers are gathered up to about 16 KiB; a larger block goes alone; one message at a time")
    func batches() throws {
        let peer = try Self.peer(1)
        let cids = (0..<4).map(Self.cid)
        var server = BitswapServer()
        var message = BitswapMessage()
        message.wants = cids.enumerated().map { .init($1, kind: .block, priority: Int32(10 - $0)) }
        #expect(server.receive(message, from: peer) == [.find(cids)])
        let sizes = [8000, 8384, 1, 300_000]
        #expect(server.found(zip(cids, sizes).map { ($0, $1) }) == [.load(Array(cids[0...1]), for: peer)])
        let blocks = cids[0...1].map { (cid: $0, data: Optional([UInt8](repeating: 0, count: 2)[...])) }
        let sent = server.loaded(blocks, for: peer)
        guard case .send(let first, _) = sent.first else {
            Issue.record("no message")
            return
        }
        #expect(first.pendingByteCount == 300_001)
        #expect(server.sent(to: peer) == [.load([cids[2]], for: peer)])
        _ = server.loaded([(cids[2], [0][...])], for: peer)
        #expect(server.sent(to: peer) == [.load([cids[3]], for: peer)])
    }

    @Test("a block that is gone when it is read gives DONT_HAVE")
    func vanished() throws {
        let (cid, peer) = (Self.cid(1), try Self.peer(1))
        var server = BitswapServer()
        _ = server.receive(Self.wants(.init(cid, kind: .block, sendsDontHave: true)), from: peer)
        _ = server.found([(cid, 10)])
        #expect(server.loaded([(cid, nil)], for: peer) == [.send(Self.answer(lacks: [cid]), to: peer)])
    }

    @Test("a list holds 1,024 wants; one of more priority takes the place of the least")
    func bounded() throws {
        let peer = try Self.peer(1)
        var server = BitswapServer()
        var message = BitswapMessage()
        message.wants = (0..<1500).map { .init(Self.cid($0), kind: .block, priority: 5) }
        guard case .find(let found) = server.receive(message, from: peer).first else {
            Issue.record("nothing looked up")
            return
        }
        #expect(found.count == 1024)
        #expect(server.statistics(of: peer)?.wantsDropped == 476)
        let urgent = Self.cid(9999)
        #expect(
            server.receive(Self.wants(.init(urgent, kind: .block, priority: 6)), from: peer) == [
                .find([urgent])
            ]
        )
        #expect(server.wantCount(of: peer) == 1024)
    }

    @Test("of a message with more wants than a list holds the most urgent are kept, and its cancels")
    func flood() throws {
        let peer = try Self.peer(1)
        var server = BitswapServer()
        _ = server.receive(Self.wants(.init(Self.cid(-1), kind: .block, priority: 99)), from: peer)
        var message = BitswapMessage()
        message.wants = (0..<BitswapMessage.maxEntryCount - 1).map {
            .init(Self.cid($0), kind: .have, priority: Int32($0))
        }
        message.wants.append(.init(Self.cid(-1), kind: .cancel, priority: 0))
        guard case .find(let found) = server.receive(message, from: peer).first else {
            Issue.record("nothing looked up")
            return
        }
        let first = BitswapMessage.maxEntryCount - 1 - BitswapServer.maxWantsPerPeer
        let urgent = (first..<BitswapMessage.maxEntryCount - 1).map { Self.cid($0) }
        #expect(Set(server.wantedCIDs(limit: .max)) == Set(urgent))
        #expect(Set(found).isSuperset(of: urgent))
        #expect(server.wantCount(of: peer) == BitswapServer.maxWantsPerPeer)
    }

    @Test("identity CIDs are ignored: their data is in them")
    func identity() throws {
        let cid = CID(codec: .raw, multihash: Multihash(code: Multihash.identityCode, digest: [1, 2]))
        var server = BitswapServer()
        #expect(server.receive(Self.wants(.init(cid, kind: .block)), from: try Self.peer(1)) == [])
    }

    @Test("nothing is kept of a peer that left")
    func disconnected() throws {
        let (cid, peer) = (Self.cid(1), try Self.peer(1))
        var server = BitswapServer()
        _ = server.receive(Self.wants(.init(cid, kind: .block)), from: peer)
        server.disconnected(peer)
        #expect(server.found([(cid, 10)]) == [])
        #expect(server.loaded([(cid, [1][...])], for: peer) == [])
        #expect(server.statistics(of: peer) == nil)
    }

    /// A CID that costs no hashing.
    private static func madeUpCID(_ number: Int) -> CID {
        let digest = (0..<32).map { UInt8(truncatingIfNeeded: $0 < 8 ? number >> (8 * $0) : 0) }
        return CID(codec: .raw, multihash: Multihash(code: Multihash.sha256Code, digest: digest))
    }

    private static func list(_ numbers: Range<Int>, priority: Int32 = 1, full: Bool = false) -> BitswapMessage
    {
        var message = BitswapMessage()
        message.wants = numbers.map {
            .init(madeUpCID($0), kind: .have, priority: priority, sendsDontHave: true)
        }
        message.isFull = full
        return message
    }

    @Test("a want said again while its answer is under way is nothing new; once answered it is one")
    func repeated() throws {
        let (cid, peer) = (Self.cid(1), try Self.peer(1))
        let message = Self.wants(.init(cid, kind: .block, sendsDontHave: true))
        var server = BitswapServer()
        #expect(server.receive(message, from: peer) == [.find([cid])])
        #expect(server.receive(message, from: peer) == [])
        #expect(server.found([(cid, nil)]) == [.send(Self.answer(lacks: [cid]), to: peer)])
        #expect(server.sent(to: peer) == [])
        #expect(server.receive(message, from: peer) == [.find([cid])])
        #expect(server.found([(cid, 9)]) == [.load([cid], for: peer)])
        #expect(server.receive(message, from: peer) == [])
        #expect(
            server.loaded([(cid, [1][...])], for: peer) == [
                .send(Self.answer(blocks: [(cid, [1])]), to: peer)
            ]
        )
    }

    @Test("what one peer asks again is not told again to others that asked for the same")
    func notToldTwice() throws {
        let cid = Self.cid(1)
        let (one, other) = (try Self.peer(1), try Self.peer(2))
        let message = Self.wants(.init(cid, kind: .have, sendsDontHave: true))
        var server = BitswapServer()
        for peer in [one, other] {
            _ = server.receive(message, from: peer)
            #expect(server.found([(cid, nil)]) == [.send(Self.answer(lacks: [cid]), to: peer)])
            #expect(server.sent(to: peer) == [])
        }
    }

    /// Each of these went through the whole list for every want of every message.
    @Test(
        "lists that repeat, rise in priority or replace each other are taken one after another without end",
        arguments: ["the same", "rising", "replacing"]
    )
    func manyLists(kind: String) throws {
        let peer = try Self.peer(1)
        var server = BitswapServer()
        for round in 0..<60 {
            let first = kind == "the same" ? 0 : round * BitswapServer.maxWantsPerPeer
            let list = Self.list(
                first..<first + BitswapServer.maxWantsPerPeer,
                priority: kind == "rising" ? Int32(round) : 1,
                full: kind == "replacing"
            )
            for case .find(let cids) in server.receive(list, from: peer) {
                // Nothing is written, so that answers to all of them wait.
                _ = server.found(cids.map { ($0, nil) })
            }
            #expect(server.wantCount(of: peer) == BitswapServer.maxWantsPerPeer)
        }
    }

    @Test("a peer that sends wants faster than its rate is read later, and others are not")
    func rate() throws {
        let (greedy, modest) = (try Self.peer(1), try Self.peer(2))
        var server = BitswapServer()
        let burst = BitswapServer.maxWantBurst / 1025
        for _ in 0..<burst { _ = server.receive(Self.list(0..<1024), from: greedy, now: .seconds(1)) }
        _ = server.receive(Self.list(0..<1024), from: modest, now: .seconds(1))
        #expect(server.nextTurn(of: greedy, now: .seconds(1)) == .seconds(1))
        for _ in 0..<9 { _ = server.receive(Self.list(0..<1024), from: greedy, now: .seconds(1)) }
        let turn = server.nextTurn(of: greedy, now: .seconds(1))
        #expect(turn > .seconds(2))
        #expect(server.nextTurn(of: modest, now: .seconds(1)) == .seconds(1))
        // Taking no answers does not give it another burst.
        server.forgetWants(of: greedy)
        #expect(server.nextTurn(of: greedy, now: .seconds(1)) == turn)
        #expect(server.nextTurn(of: greedy, now: .seconds(3)) == .seconds(3))
    }
}
