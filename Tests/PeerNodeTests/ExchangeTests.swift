import BlockStore
import LibP2P
import Multiformats
import PeerNode
import Synchronization
import Testing

@Suite("Exchange: blocks between nodes", .timeLimit(.minutes(1)))
struct ExchangeTests {
    @Test(
        "a block of any size up to 2 MiB is fetched, verified and stored",
        arguments: [
            1, 1023, 1024, 1025, 16_384, 65_536, 262_144, 262_145, 1 << 20, 2 << 20,
        ]
    )
    func anySize(byteCount: Int) async throws {
        try await withNodes(2) { _, nodes in
            let bytes = noise(byteCount, seed: 7)
            let cid = try nodes[1].put([bytes])[0]
            #expect(try await nodes[0].exchange.block(cid) == bytes)
            #expect(try nodes[0].store.block(cid) == bytes)
            let status = await nodes[0].exchange.status()
            #expect(status.receivedBlockCount == 1)
            #expect(status.receivedByteCount == UInt64(byteCount))
        }
    }

    @Test("blocks go both ways at once")
    func bothWays() async throws {
        try await withNodes(2) { _, nodes in
            let mine = try nodes[0].put((0..<50).map { noise(5000, seed: $0 + 1) })
            let theirs = try nodes[1].put((0..<50).map { noise(5000, seed: $0 + 1001) })
            async let left: FetchReport = nodes[0].exchange.ensure(
                theirs,
                ingest: nodes[0].store.makeIngest()
            )
            async let right: FetchReport = nodes[1].exchange.ensure(mine, ingest: nodes[1].store.makeIngest())
            #expect(try await left.fetchedBlockCount == 50)
            #expect(try await right.fetchedBlockCount == 50)
        }
    }

    @Test("blocks that are here are not asked for")
    func presentBlocks() async throws {
        try await withNodes(2) { _, nodes in
            let blocks = (0..<10).map { noise(2000, seed: $0 + 1) }
            let cids = try nodes[1].put(blocks)
            _ = try nodes[0].put(Array(blocks[..<6]))
            let report = try await nodes[0].exchange.ensure(cids + cids, ingest: nodes[0].store.makeIngest())
            #expect(report.fetchedBlockCount == 4)
            #expect(report.presentBlockCount == 6)
            #expect(await nodes[1].exchange.status().sentBlockCount == 4)
        }
    }

    @Test("a file whose blocks are spread over two nodes arrives whole, from both")
    func twoHolders() async throws {
        try await withNodes(3) { _, nodes in
            let bytes = noise(3_000_000, seed: 3)
            let root = try nodes[1].addFile(bytes, chunkByteCount: 10_000)
            _ = try nodes[2].addFile(bytes, chunkByteCount: 10_000)
            let ingest = nodes[0].store.makeIngest()
            let report = try await nodes[0].exchange.fetchDAG(root, ingest: ingest)
            #expect(report.fetchedBlockCount == 303)  // 300 leaves, 2 nodes above them, 1 root
            #expect(try read(root, in: nodes[0].store) == bytes)
            for holder in nodes[1...] { #expect(await holder.exchange.status().sentBlockCount > 30) }
        }
    }

    @Test("a peer without the block says so, and another is asked")
    func dontHave() async throws {
        try await withNodes(3) { _, nodes in
            let cid = try nodes[2].put([noise(40_000, seed: 5)])[0]
            let bytes = try await nodes[0].exchange.block(cid)
            #expect(bytes.count == 40_000)
            #expect(await nodes[1].exchange.status().sentBlockCount == 0)
        }
    }

    @Test("a reader of the store gets missing blocks from the network as it goes")
    func fetchingStore() async throws {
        try await withNodes(2) { _, nodes in
            let bytes = noise(2_000_000, seed: 9)
            let root = try nodes[1].addFile(bytes, chunkByteCount: 50_000)
            let copy = try await nodes[0].exchange.reading(root, in: nodes[0].store) { store in
                try read(root, in: store)
            }
            #expect(copy == bytes)
        }
    }

    @Test("a want for a block that comes later is answered when it is stored")
    func laterBlock() async throws {
        try await withNodes(2) { _, nodes in
            let bytes = noise(30_000, seed: 11)
            let cid = CID.of(bytes, codec: .raw)
            async let fetched = nodes[0].exchange.block(cid)
            while await nodes[0].exchange.status().wantCount == 0 { await Task.yield() }
            _ = try nodes[1].put([bytes])
            await nodes[1].exchange.stored([(cid, bytes.count)])
            #expect(try await fetched == bytes)
        }
    }

    @Test("several callers of one block share one want")
    func sharedWant() async throws {
        try await withNodes(2) { _, nodes in
            let bytes = noise(100_000, seed: 13)
            let cid = try nodes[1].put([bytes])[0]
            let copies = try await withThrowingTaskGroup(of: [UInt8].self) { group in
                for _ in 0..<20 { group.addTask { try await nodes[0].exchange.block(cid) } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            #expect(copies == [[UInt8]](repeating: bytes, count: 20))
            #expect(await nodes[1].exchange.status().sentBlockCount == 1)
        }
    }

    @Test("a thousand blocks of a few bytes, and a file of equal chunks")
    func manyAndEqual() async throws {
        try await withNodes(2) { _, nodes in
            let small = try nodes[1].put((0..<1000).map { noise(9, seed: $0 + 1) })
            let report = try await nodes[0].exchange.ensure(small, ingest: nodes[0].store.makeIngest())
            #expect(report.fetchedBlockCount == 1000)
            let root = try nodes[1].addFile([UInt8](repeating: 0, count: 500_000), chunkByteCount: 1000)
            let equal = try await nodes[0].exchange.fetchDAG(root, ingest: nodes[0].store.makeIngest())
            #expect(equal.fetchedBlockCount < 10)
            #expect(try read(root, in: nodes[0].store) == [UInt8](repeating: 0, count: 500_000))
        }
    }
}

/// The bytes of a file.
func read(_ root: CID, in store: any BlockStore) throws -> [UInt8] {
    let reader = try FileReader(root, in: store)
    var bytes: [UInt8] = []
    try reader.forEachPiece { bytes += $0 }
    return bytes
}
