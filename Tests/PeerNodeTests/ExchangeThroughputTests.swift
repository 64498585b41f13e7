import BlockStore
import Glibc
import Multiformats
import PeerCrypto
import PeerNode
import Testing

/// The row «fetching a 256 MB file from another node» of the benchmarks, in one process; `BENCH=1` runs it.
@Suite("Exchange: throughput", .enabled(if: getenv("BENCH") != nil), .serialized)
struct ExchangeThroughputTests {
    private static let megabyteCount = 256

    @Test("from one SQLite store to another over memory")
    func memory() async throws {
        let network = MemoryNetwork()
        let hosts = [await network.makeHost(1), await network.makeHost(2)]
        try await transfer(hosts[0], hosts[1]) { group in
            for host in hosts { group.addTask { await host.run() } }
            for host in hosts { await host.awaitHandlers(1) }
            try await hosts[0].connect(to: hosts[1].localPeer, addresses: [])
        }
    }

    @Test("from one SQLite store to another over TCP, Noise and Yamux on loopback")
    func loopback() async throws {
        let listen = [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")]
        let hosts = (0..<2).map { _ in Host(HostConfiguration(identity: Ed25519.KeyPair(), listen: listen)) }
        _ = try await hosts[0].listen()
        let address = try #require(try await hosts[1].listen().first)
        try await transfer(hosts[0], hosts[1]) { group in
            for host in hosts { group.addTask { await host.run() } }
            _ = try await hosts[0].connect(to: address)
        }
    }

    /// Adds a file at `source` and fetches it to `target`.
    private func transfer(
        _ target: any StreamHost,
        _ source: any StreamHost,
        connect: (inout ThrowingTaskGroup<Void, any Error>) async throws -> Void
    ) async throws {
        let folder = "/tmp/exchange-bench-\(getpid())-\(UInt32.random(in: 0 ... .max))"
        #expect(mkdir(folder, 0o700) == 0)
        defer { Self.remove(folder) }
        let here = try SQLiteBlockStore(path: folder + "/here.db")
        let there = try SQLiteBlockStore(path: folder + "/there.db")
        let root = try Self.addFile(to: there)
        let exchange = Exchange(host: target, store: here)
        let server = Exchange(host: source, store: there)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await exchange.run() }
            group.addTask { await server.run() }
            defer { group.cancelAll() }
            try await connect(&group)
            while await exchange.status().peerCount == 0 { await Task.yield() }
            let lease = try here.makeIngest()
            let start = ContinuousClock.now
            let report = try await exchange.fetchDAG(root, ingest: lease)
            try lease.pin("copy", root, closing: true)
            print("BENCH fetched \(report.fetchedByteCount) bytes in \(ContinuousClock.now - start)")
            #expect(report.fetchedByteCount > UInt64(Self.megabyteCount) * 1_000_000)
        }
    }

    private static func addFile(to store: SQLiteBlockStore) throws -> CID {
        let ingest = try store.makeIngest()
        let builder = FileBuilder(ingest: ingest)
        for seed in 0..<megabyteCount { try builder.write(noise(1_000_000, seed: UInt64(seed) + 1)) }
        let root = try builder.finish().cid
        try ingest.pin("file", root, closing: true)
        return root
    }

    private static func remove(_ folder: String) {
        for name in ["here.db", "there.db"] {
            for end in ["", "-wal", "-shm", "-leases"] { unlink(folder + "/" + name + end) }
        }
        rmdir(folder)
    }
}
