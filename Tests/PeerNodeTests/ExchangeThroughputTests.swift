import BlockStore
import Glibc
import Multiformats
import PeerNode
import Testing

@Suite("Exchange: throughput, when BENCH is set", .enabled(if: getenv("BENCH") != nil))
struct ExchangeThroughputTests {
    @Test("256 MB from one SQLite store to another over memory")
    func file() async throws {
        let folder = "/tmp/exchange-bench-\(getpid())"
        #expect(mkdir(folder, 0o700) == 0)
        defer {
            for name in ["a.db", "b.db"] {
                for end in ["", "-wal", "-shm", "-lock", ".lock"] { unlink(folder + "/" + name + end) }
            }
            rmdir(folder)
        }
        let network = MemoryNetwork()
        let stores = [
            try SQLiteBlockStore(path: folder + "/a.db"), try SQLiteBlockStore(path: folder + "/b.db"),
        ]
        let hosts = [await network.makeHost(1), await network.makeHost(2)]
        let exchanges = zip(hosts, stores).map { Exchange(host: $0, store: $1) }
        let ingest = try stores[1].makeIngest()
        let builder = FileBuilder(ingest: ingest)
        let adding = ContinuousClock.now
        for seed in 0..<256 { try builder.write(noise(1_000_000, seed: UInt64(seed) + 1)) }
        let root = try builder.finish().cid
        try ingest.pin("file", root, closing: true)
        print("add with noise: \(ContinuousClock.now - adding)")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (host, exchange) in zip(hosts, exchanges) {
                group.addTask { await host.run() }
                group.addTask { await exchange.run() }
                await host.awaitHandlers(1)
            }
            try await hosts[0].connect(to: hosts[1].localPeer, addresses: [])
            let lease = try stores[0].makeIngest()
            let start = ContinuousClock.now
            let report = try await exchanges[0].fetchDAG(root, ingest: lease)
            try lease.pin("copy", root, closing: true)
            let took = ContinuousClock.now - start
            print("fetched \(report.fetchedByteCount) bytes in \(took)")
            #expect(report.fetchedByteCount > 256_000_000)
            group.cancelAll()
        }
    }
}
