import BlockStore
import Multiformats
import PeerNode
import Synchronization

/// A node of a test: a host, a store and an exchange.
struct TestNode: Sendable {
    let host: MemoryHost
    let store: MemoryBlockStore
    let exchange: Exchange

    var id: PeerID { host.localPeer }

    init(_ number: UInt8, in network: MemoryNetwork, clock: @escaping @Sendable () -> Duration) async {
        host = await network.makeHost(number)
        store = MemoryBlockStore()
        exchange = Exchange(host: host, store: store, clock: clock)
    }

    /// Puts blocks into the node's own store.
    func put(_ blocks: [[UInt8]]) throws -> [CID] {
        let ingest = store.makeIngest()
        defer { try? ingest.close() }
        return try blocks.map { try ingest.put($0, codec: .raw) }
    }

    /// Adds a file to the node's own store.
    func addFile(_ bytes: [UInt8], chunkByteCount: Int = 262_144) throws -> CID {
        let ingest = store.makeIngest()
        var settings = ImportSettings.standard
        settings.chunkByteCount = chunkByteCount
        let builder = FileBuilder(ingest: ingest, settings: settings)
        try builder.write(bytes)
        let root = try builder.finish().cid
        try ingest.pin("file", root, closing: true)
        return root
    }
}

/// A clock that runs `factor` times as fast as the machine's.
func fastClock(_ factor: Int) -> @Sendable () -> Duration {
    let origin = ContinuousClock.now
    return { (ContinuousClock.now - origin) * factor }
}

/// A clock that stands still until a test moves it.
final class StillClock: Sendable {
    private let time = Mutex(Duration.zero)

    var now: @Sendable () -> Duration { { self.time.withLock { $0 } } }

    func advance(to time: Duration) { self.time.withLock { $0 = time } }
}

/// Runs `body` beside `count` nodes that are all connected to each other, and stops them.
func withNodes(
    _ count: Int,
    clock: @escaping @Sendable () -> Duration = Exchange.systemClock(),
    _ body: (MemoryNetwork, [TestNode]) async throws -> Void
) async throws {
    let network = MemoryNetwork()
    var nodes: [TestNode] = []
    for number in 0..<count { nodes.append(await TestNode(UInt8(number + 1), in: network, clock: clock)) }
    try await withThrowingTaskGroup(of: Void.self) { group in
        for node in nodes {
            group.addTask { await node.host.run() }
            group.addTask { await node.exchange.run() }
        }
        for node in nodes { await node.host.awaitHandlers(1) }
        for node in nodes {
            for other in nodes where other.id > node.id {
                try await node.host.connect(to: other.id, addresses: [])
            }
        }
        do { try await body(network, nodes) } catch {
            group.cancelAll()
            throw error
        }
        group.cancelAll()
    }
}

/// Bytes that no two seeds share.
func noise(_ byteCount: Int, seed: UInt64) -> [UInt8] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 | 1
    return [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
        for index in 0..<byteCount {
            state ^= state << 13
            state ^= state >> 7
            state ^= state << 17
            buffer[index] = UInt8(truncatingIfNeeded: state >> 32)
        }
        count = byteCount
    }
}
