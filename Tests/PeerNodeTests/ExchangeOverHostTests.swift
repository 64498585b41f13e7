import BlockStore
import Multiformats
import PeerCrypto
import PeerNode
import Testing

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

    private func add(_ bytes: [UInt8], to store: MemoryBlockStore) throws -> CID {
        let ingest = store.makeIngest()
        let builder = FileBuilder(ingest: ingest)
        try builder.write(bytes)
        let root = try builder.finish().cid
        try ingest.close()
        return root
    }
}
