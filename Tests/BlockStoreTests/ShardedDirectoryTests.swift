import BlockStore
import Multiformats
import PeerTestKit
import Testing

@Suite("Sharded directories") struct ShardedDirectoryTests {
    /// A directory of numbered files in shards; `file1`'s CID is the same for all.
    private func directory(_ count: Int, in store: MemoryBlockStore) throws -> (root: CID, file: CID) {
        let ingest = store.makeIngest()
        let builder = FileBuilder(ingest: ingest)
        try builder.write([0x78])
        let file = try builder.finish()
        var settings = ImportSettings.standard
        settings.directoryByteLimit = 0
        let entries = (1...count).map { (name: Array("file\($0)".utf8), node: file) }
        let root = try DirectoryBuilder.directory(entries, into: ingest, settings: settings)
        try ingest.flush(durable: false)
        return (root.cid, file.cid)
    }

    @Test("Names are hashed as IPFS hashes them")
    func hash() {
        #expect(MurmurHash3.hash64(Array("file1".utf8)) == 0x4997_28c4_d21b_6ed4)  // FORMATS section 6
        #expect(MurmurHash3.hash64([]) == 0)
        // The reference implementation's first 64 bits for this text with seed 0.
        #expect(
            MurmurHash3.hash64(Array("The quick brown fox jumps over the lazy dog".utf8))
                == 0xe34b_bc7b_bc07_1b6c
        )
    }

    @Test(
        "Every entry is listed by name, and found by the way that its hash takes",
        arguments: [1, 2, 300, 5_000]
    )
    func entries(count: Int) throws {
        let store = MemoryBlockStore()
        let (root, file) = try directory(count, in: store)
        let entries = try DirectoryReader.entries(of: root, in: store)
        let names = (1...count).map { "file\($0)" }.sorted()
        #expect(entries.map { String(decoding: $0.name, as: UTF8.self) } == names)
        #expect(try UnixFSPath("\(root)/file\(count)").resolve(in: store) == file)
        #expect(try DirectoryReader.entry(named: Array("file0".utf8), of: root, in: store) == nil)
    }

    @Test(
        "A shard that lies is refused",
        arguments: [
            (fanout: nil as UInt64?, hash: 0x22 as UInt64, name: "49file1", BlockStoreError.Code.badNode),
            (256, 0x12, "49file1", .unsupported), (256, 0x22, "4", .badNode),
            (256, 0x22, "GGfile1", .badNode),
            (256, 0x22, "49a/b", .badNode), (16, 0x22, "", .badNode), (3, 0x22, "0a", .badNode),
        ]
    )
    func lies(fanout: UInt64?, hash: UInt64, name: String, code: BlockStoreError.Code) throws {
        let store = MemoryBlockStore()
        let ingest = store.makeIngest()
        var message = UnixFSData(kind: .hamtShard, data: [1])
        message.hashType = hash
        message.fanout = fanout
        let link = DagPBNode.Link(cid: CID.of([1], codec: .raw), name: Array(name.utf8), totalByteCount: 1)
        let block = DagPBNode(links: [link], data: message.encoded()).encoded()
        let cid = CID.of(block, codec: .dagPB)
        try ingest.put(cid, block)
        try ingest.flush(durable: false)
        let error = #expect(throws: BlockStoreError.self) { try DirectoryReader.entries(of: cid, in: store) }
        #expect(error?.code == code)
    }
}
