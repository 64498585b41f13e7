import BlockStore
import Database
import Foundation
import Multiformats
import Testing

/// A store to test, and how to break a block of it.
enum StoreKind: String, CaseIterable, Sendable {
    case memory, sqlite

    func make(_ folder: ScratchFolder, limit: UInt64? = nil) throws -> any BlockStore {
        switch self {
        case .memory: MemoryBlockStore(limitByteCount: limit)
        case .sqlite: try SQLiteBlockStore(path: folder.database, options: .init(limitByteCount: limit))
        }
    }

    func damage(_ cid: CID, in store: any BlockStore, _ folder: ScratchFolder) throws {
        if let memory = store as? MemoryBlockStore {
            #expect(memory.damage(cid))
            return
        }
        let connection = try Connection(path: folder.database, mode: .readWrite)
        let changed = try connection.run(
            "UPDATE block SET data = zeroblob(length(data)) WHERE multihash = ?",
            .blob(cid.multihash.bytes)
        )
        #expect(changed == 1)
    }
}

/// A folder that goes with the test.
final class ScratchFolder: Sendable {
    let path = NSTemporaryDirectory() + "store-" + UUID().uuidString
    var database: String { path + "/blocks.db" }

    init() throws { try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true) }
    deinit { try? FileManager.default.removeItem(atPath: path) }
}

@Suite struct StoreConformanceTests {
    let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    private func addFile(_ bytes: [UInt8], _ ingest: Ingest) throws -> ImportedNode {
        let builder = FileBuilder(ingest: ingest)
        try builder.write(bytes)
        return try builder.finish()
    }

    @Test(arguments: StoreKind.allCases)
    func blockIsThereAfterFlushUnderEveryCodec(_ kind: StoreKind) throws {
        let store = try kind.make(folder)
        let ingest = try store.makeIngest()
        let cid = try ingest.put([1, 2, 3], codec: .raw)
        try ingest.flush()
        #expect(try store.block(cid) == [1, 2, 3])
        #expect(try store.block(CID(codec: .dagPB, multihash: cid.multihash)) == [1, 2, 3])
        #expect(try store.byteCount(of: cid) == 3)
        #expect(try store.contains(cid.multihash))
    }

    @Test(arguments: StoreKind.allCases)
    func missingBlockIsNamed(_ kind: StoreKind) throws {
        let store = try kind.make(folder)
        let cid = CID.of([9], codec: .raw)
        let error = #expect(throws: BlockStoreError.self) { try store.block(cid) }
        #expect(error?.code == .notFound)
        #expect(error?.cid == cid)
    }

    @Test(arguments: StoreKind.allCases)
    func bytesThatDoNotMatchAreRefused(_ kind: StoreKind) throws {
        let ingest = try kind.make(folder).makeIngest()
        let error = #expect(throws: BlockStoreError.self) { try ingest.put(CID.of([1], codec: .raw), [2]) }
        #expect(error?.code == .badBlock)
    }

    @Test(arguments: StoreKind.allCases)
    func collectionKeepsPinsAndLeasesOnly(_ kind: StoreKind) throws {
        let store = try kind.make(folder)
        let kept = try store.makeIngest()
        let file = try addFile(VectorInputs.xorshift(3, 700_000), kept)
        try kept.pin("kept", file.cid, closing: true)
        let leased = try store.makeIngest()
        let held = try leased.put([5], codec: .raw)
        try leased.flush()
        let loose = try store.makeIngest()
        let garbage = try loose.put([6], codec: .raw)
        try loose.close()

        #expect(try store.collectGarbage().removedBlockCount == 1)
        #expect(try !store.contains(garbage.multihash))
        #expect(try store.contains(held.multihash))
        #expect(try store.firstMissing(of: file.cid) == nil)

        try leased.close()
        #expect(try store.unpin("kept"))
        #expect(try store.collectGarbage().removedBlockCount == 5)
        #expect(try store.statistics().blockCount == 0)
        #expect(try store.statistics().blockByteCount == 0)
    }

    @Test(arguments: StoreKind.allCases)
    func abandonRemovesOnlyWhatNobodyElsePut(_ kind: StoreKind) throws {
        let store = try kind.make(folder)
        let first = try store.makeIngest()
        let shared = try first.put([1], codec: .raw)
        let own = try first.put([2], codec: .raw)
        try first.flush()
        let second = try store.makeIngest()
        _ = try second.put([1], codec: .raw)
        try second.pin("shared", shared, closing: true)
        try first.abandon()
        #expect(try store.contains(shared.multihash))
        #expect(try !store.contains(own.multihash))
    }

    @Test(arguments: StoreKind.allCases)
    func fullStoreKeepsNothingOfTheAdd(_ kind: StoreKind) throws {
        let store = try kind.make(folder, limit: 1_000_000)
        let ingest = try store.makeIngest()
        let error = #expect(throws: BlockStoreError.self) {
            let file = try addFile(VectorInputs.xorshift(5, 9_000_000), ingest)
            try ingest.pin("big", file.cid)
        }
        #expect(error?.code == .full)
        try ingest.abandon()
        #expect(try store.statistics().blockCount == 0)
        #expect(try store.pins().isEmpty)
    }

    @Test(arguments: StoreKind.allCases)
    func damagedBlockIsQuarantinedAndHealedByAGoodCopy(_ kind: StoreKind) throws {
        let store = try kind.make(folder)
        let ingest = try store.makeIngest()
        let cid = try ingest.put([1, 2, 3], codec: .raw)
        try ingest.pin("one", cid)
        try kind.damage(cid, in: store, folder)
        let error = #expect(throws: BlockStoreError.self) { try store.block(cid) }
        #expect(error?.code == .corrupt)
        #expect(try !store.contains(cid.multihash))
        #expect(try store.statistics().quarantinedBlockCount == 1)
        #expect(try store.verify(progress: { _ in }).corrupt == [cid.multihash])
        _ = try ingest.put([1, 2, 3], codec: .raw)
        try ingest.flush()
        #expect(try store.block(cid) == [1, 2, 3])
        #expect(try store.statistics().quarantinedBlockCount == 0)
    }

    @Test(arguments: StoreKind.allCases)
    func pinnedAndLeasedBlocksAreNotRemoved(_ kind: StoreKind) throws {
        let store = try kind.make(folder)
        let ingest = try store.makeIngest()
        let file = try addFile(VectorInputs.xorshift(8, 300_000), ingest)
        try ingest.pin("file", file.cid, closing: true)
        let leaf = try #require(
            try {
                var all = try store.leaves(of: file.cid); return try all.next()
            }()
        )
        let pinned = #expect(throws: BlockStoreError.self) { try store.remove(leaf.cid) }
        #expect(pinned?.code == .pinned)
        _ = try store.unpin("file")
        let lease = try store.makeIngest()
        #expect(try lease.protect([leaf.cid]) == nil)
        let used = #expect(throws: BlockStoreError.self) { try store.remove(leaf.cid) }
        #expect(used?.code == .inUse)
        try lease.close()
        try store.remove(leaf.cid)
        let missing = try #require(try store.firstMissing(of: file.cid))
        #expect(missing.cid == leaf.cid)
        #expect(missing.offset == 0)
    }

    @Test(arguments: StoreKind.allCases)
    func carRoundTripIsWholeAndDamageImportsNothing(_ kind: StoreKind) throws {
        let source = MemoryBlockStore()
        let ingest = source.makeIngest()
        let file = try addFile(VectorInputs.xorshift(9, 600_000), ingest)
        try ingest.flush()
        var car: [UInt8] = []
        try CARWriter.export(file.cid, from: source) { car += $0 }
        let store = try kind.make(folder)
        var broken = car
        broken[broken.count - 5] ^= 1
        let error = #expect(throws: BlockStoreError.self) {
            try CARImporter.run(into: store, pinName: { $0.description }, read: reader(broken))
        }
        #expect(error?.code == .badBlock)
        #expect(error?.offset != nil)
        #expect(try store.statistics().blockCount == 0)
        let report = try CARImporter.run(into: store, pinName: { $0.description }, read: reader(car))
        #expect(report.roots == [file.cid])
        #expect(try store.firstMissing(of: file.cid) == nil)
    }

    @Test func newerAndForeignFilesAreRefused() throws {
        _ = try SQLiteBlockStore(path: folder.database)
        try Connection(path: folder.database).execute("PRAGMA user_version = 99")
        let newer = #expect(throws: BlockStoreError.self) { try SQLiteBlockStore(path: folder.database) }
        #expect(newer?.code == .newerSchema)
        #expect(
            newer?.message
                == "\(folder.database) has version 99; this program reads version 1: use the newer program"
        )
        let text = folder.path + "/text"
        try Data(repeating: 0x41, count: 5000).write(to: URL(filePath: text))
        let foreign = #expect(throws: BlockStoreError.self) { try SQLiteBlockStore(path: text) }
        #expect(foreign?.code == .notAStore)
        #expect(
            foreign?.message
                == "\(text) is not a block store; move the file away or use another home folder"
        )
        let other = folder.path + "/other.db"
        try Connection(path: other).execute("CREATE TABLE note(text TEXT)")
        let another = #expect(throws: BlockStoreError.self) { try SQLiteBlockStore(path: other) }
        #expect(another?.code == .notAStore)
        #expect(
            another?.message == "\(other) is a database of another program; use another home folder"
        )
    }

    /// Kills a process that adds, unpins and collects, and looks at what it said was safe.
    @Test(arguments: [1, 2, 3, 4] as [UInt64])
    func killLosesNothingAcknowledged(_ seed: UInt64) throws {
        let build = URL(filePath: CommandLine.arguments[0]).deletingLastPathComponent()
        let worker = [
            build, URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../.build/debug"),
        ]
        .map { $0.appending(path: "CrashWorker") }
        .first { FileManager.default.fileExists(atPath: $0.path) }
        let process = Process()
        process.executableURL = worker
        process.arguments = [folder.database, "\(seed)"]
        let pipe = Pipe()
        process.standardOutput = pipe
        try process.run()
        var output = Data()
        // Seeded points of its own progress, not of time.
        let enough = 200 + Int(seed) * 150
        while output.count < enough {
            let more = pipe.fileHandleForReading.availableData
            guard !more.isEmpty else { break }
            output += more
        }
        kill(process.processIdentifier, SIGKILL)
        process.waitUntilExit()
        output += pipe.fileHandleForReading.readDataToEndOfFile()
        #expect(output.count >= enough)

        var pinned: [String: CID] = [:]
        for line in String(decoding: output, as: UTF8.self).split(separator: "\n") {
            let words = line.split(separator: " ")
            if words[0] == "pinned" { pinned[String(words[1])] = CID(String(words[2])) }
            if words[0] == "unpinning" { pinned[String(words[1])] = nil }
        }
        let store = try SQLiteBlockStore(path: folder.database)
        for (name, root) in pinned {
            #expect(try store.pins().first { $0.name == name }?.root == root)
            #expect(try store.firstMissing(of: root) == nil)
        }
        #expect(try store.verify(progress: { _ in }).corrupt.isEmpty)
        try store.collectGarbage()
        for root in pinned.values { #expect(try store.firstMissing(of: root) == nil) }
    }

    @Test func addsBesideCollectionLoseNothing() async throws {
        let store = try SQLiteBlockStore(path: folder.database)
        try await withThrowingTaskGroup(of: Void.self) { group in
            for seed in UInt64(1)...3 {
                group.addTask {
                    for round in 0..<8 as Range<UInt64> {
                        let ingest = try store.makeIngest()
                        // The same bytes again and again, so that adds meet blocks about to be collected.
                        let builder = FileBuilder(ingest: ingest)
                        try builder.write(VectorInputs.xorshift(round % 3 + 1, 600_000))
                        let root = try builder.finish().cid
                        try ingest.pin("\(seed)", root, closing: true)
                        #expect(try store.firstMissing(of: root) == nil)
                        _ = try store.unpin("\(seed)")
                    }
                }
            }
            group.addTask { for _ in 0..<10 { try store.collectGarbage() } }
            try await group.waitForAll()
        }
        try store.collectGarbage()
        #expect(try store.statistics().blockCount == 0)
    }
}
