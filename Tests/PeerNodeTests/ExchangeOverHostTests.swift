import BlockStore
import LibP2P
import Multiformats
import PeerCrypto
import Testing

@testable import PeerNode

@Suite("Exchange over TCP, Noise and Yamux", .timeLimit(.minutes(1)))
struct ExchangeOverHostTests {
    @Test("a file is fetched from a node on loopback, also after the connection was lost once")
    func file() async throws {
        let listen = [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")]
        let hosts = (0..<2).map { _ in Host(HostConfiguration(identity: Ed25519.KeyPair(), listen: listen)) }
        let stores = [MemoryBlockStore(), MemoryBlockStore()]
        let exchanges = zip(hosts, stores).map { Exchange(host: $0, store: $1) }
        _ = try await hosts[0].listen()
        let address = try #require(try await hosts[1].listen().first)
        let first = noise(1_500_000, seed: 41)
        let second = noise(500_000, seed: 43)
        let roots = [try add(first, to: stores[1]), try add(second, to: stores[1])]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for host in hosts { group.addTask { await host.run() } }
            for exchange in exchanges { group.addTask { await exchange.run() } }
            defer { group.cancelAll() }
            await serveBitswap(hosts)
            _ = try await hosts[0].connect(to: address)
            try await exchanges[0].fetchDAG(roots[0], ingest: stores[0].makeIngest())
            #expect(try read(roots[0], in: stores[0]) == first)

            await hosts[0].disconnect(hosts[1].localPeer)
            while await exchanges[0].status().peerCount > 0 { await Task.yield() }
            _ = try await hosts[0].connect(to: address)
            try await exchanges[0].fetchDAG(roots[1], ingest: stores[0].makeIngest())
            #expect(try read(roots[1], in: stores[0]) == second)
            let status = await exchanges[0].status()
            #expect(status.unwantedBlockCount == 0)
            #expect(status.distrustedPeerCount == 0)
        }
    }

    /// What a stranger writes on bitswap streams of its own while an honest peer fetches.
    enum Abuse: String, CaseIterable {
        case wantFlood, tooLong, byteByByte, halfMessages, garbage

        var writes: [[UInt8]] {
            switch self {
            case .wantFlood:
                (0..<1).map { round in
                    var message = BitswapMessage()
                    message.wants = (0..<BitswapMessage.maxEntryCount).map { number in
                        let cid = CID.of(withUnsafeBytes(of: (round, number)) { Array($0) }, codec: .raw)
                        return BitswapMessage.Want(
                            cid,
                            kind: .block,
                            priority: Int32(number),
                            sendsDontHave: true
                        )
                    }
                    return message.delimitedBytes
                }
            case .tooLong: [Varint.encode(UInt64(BitswapMessage.maxByteCount) + 1)]
            case .byteByByte: Array(repeating: 7, count: 200).delimited.dropLast().map { [$0] }
            case .halfMessages:
                [Varint.encode(UInt64(BitswapMessage.maxByteCount)) + [UInt8](repeating: 0, count: 1 << 20)]
            case .garbage: [[UInt8](repeating: 0xff, count: 4_096)]
            }
        }
    }

    @Test("whatever a stranger writes, an honest peer is served meanwhile", arguments: Abuse.allCases)
    func abuse(_ abuse: Abuse) async throws {
        let listen = [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")]
        let hosts = (0..<3).map { _ in Host(HostConfiguration(identity: Ed25519.KeyPair(), listen: listen)) }
        let (holder, friend, stranger) = (hosts[0], hosts[1], hosts[2])
        let stores = [MemoryBlockStore(), MemoryBlockStore()]
        let exchanges = [Exchange(host: holder, store: stores[0]), Exchange(host: friend, store: stores[1])]
        let address = try #require(try await holder.listen().first)
        let file = noise(1_500_000, seed: 47)
        let root = try add(file, to: stores[0])
        try await withThrowingTaskGroup(of: Void.self) { group in
            for host in hosts { group.addTask { await host.run() } }
            for exchange in exchanges { group.addTask { await exchange.run() } }
            defer { group.cancelAll() }
            await serveBitswap([holder, friend])
            _ = try await friend.connect(to: address)
            _ = try await stranger.connect(to: address)
            let writes = abuse.writes
            for _ in 0..<3 {
                let stream = try await stranger.openStream(
                    to: holder.localPeer,
                    protocolIDs: [BitswapMessage.protocolID]
                )
                for bytes in writes { try? await stream.write(bytes) }
            }
            try await exchanges[1].fetchDAG(root, ingest: stores[1].makeIngest())
            #expect(try read(root, in: stores[1]) == file)
            #expect(await exchanges[1].status().distrustedPeerCount == 0)
            switch abuse {
            case .tooLong, .garbage:
                while await exchanges[0].status().badMessageCount == 0 { await Task.yield() }
            case .wantFlood, .byteByByte, .halfMessages: break
            }
            #expect(await exchanges[0].partials.byteCount <= ExchangeLimits.maxPartialByteCount)
        }
    }

    /// Returns when the exchanges have begun, so that peers learn it when they connect.
    private func serveBitswap(_ hosts: [Host]) async {
        for host in hosts {
            while await !host.protocolNames.contains(BitswapMessage.protocolID) { await Task.yield() }
        }
    }

    private func add(_ bytes: [UInt8], to store: MemoryBlockStore) throws -> CID {
        let ingest = store.makeIngest()
        let builder = FileBuilder(ingest: ingest)
        try builder.write(bytes)
        let root = try builder.finish().cid
        try ingest.close()
        return root
    }
}
