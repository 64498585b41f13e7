import BlockStore
import Database
import Foundation
import Multiformats
import Testing

/// What collection keeps when something is wrong, and what leases hold by their roots.
@Suite struct ProtectionTests {
    private let folder: ScratchFolder

    init() throws { folder = try ScratchFolder() }

    /// A file of leaves A B | C D under two inner nodes.
    private func addFile(_ ingest: Ingest) throws -> (root: CID, leaves: [CID]) {
        var settings = ImportSettings.standard
        settings.chunkByteCount = 10
        settings.maxLinkCount = 2
        let builder = FileBuilder(ingest: ingest, settings: settings)
        try builder.write(Array("aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd".utf8))
        let root = try builder.finish().cid
        try ingest.flush()
        let leaves = "abcd".map { CID.of(Array(String(repeating: $0, count: 10).utf8), codec: .raw) }
        return (root, leaves)
    }

    private func inner(of root: CID, in store: any BlockStore) throws -> [CID] {
        try store.withBlock(root) { try DAGLinks.links(of: root, $0) }
    }

    @Test(arguments: StoreKind.allCases)
    func pinThatLacksAnInnerNodeKeepsTheRestAndIsReported(_ kind: StoreKind) throws {
        let store = try kind.make(folder)
        let ingest = try store.makeIngest()
        let file = try addFile(ingest)
        let lost = try inner(of: file.root, in: store)[0]
        try ingest.pin("file", file.root)
        let garbage = try ingest.put([9], codec: .raw)
        try ingest.close()
        try kind.damage(lost, in: store, folder)

        for _ in 0..<2 {
            let report = try store.collectGarbage()
            #expect(report.damagedPins.map(\.pin) == [Pin(name: "file", root: file.root)])
            #expect(report.damagedPins.map(\.node) == [lost])
            #expect(report.removedBlockCount == 0)
            #expect(try store.contains(garbage.multihash))
            #expect(try file.leaves.allSatisfy { try store.contains($0.multihash) })
        }
        // Added again, the DAG is whole and nothing is reported any more.
        let again = try store.makeIngest()
        _ = try addFile(again)
        try again.close()
        #expect(try store.firstMissing(of: file.root) == nil)
        #expect(try store.collectGarbage().damagedPins.isEmpty)
        #expect(try !store.contains(garbage.multihash))
        #expect(try store.statistics().quarantinedBlockCount == 0)
    }

    @Test(arguments: StoreKind.allCases)
    func heldRootKeepsItsDAGUntilTheLeaseEnds(_ kind: StoreKind) throws {
        let store = try kind.make(folder)
        let adding = try store.makeIngest()
        let file = try addFile(adding)
        try adding.pin("file", file.root, closing: true)

        let lease = try store.makeIngest()
        try lease.hold([file.root])
        #expect(try store.unpin("file"))
        #expect(try store.collectGarbage().removedBlockCount == 0)
        let used = #expect(throws: BlockStoreError.self) { try store.remove(file.leaves[2]) }
        #expect(used?.code == .inUse)
        try lease.close()
        #expect(try store.collectGarbage().removedBlockCount == 7)
    }

    @Test(arguments: StoreKind.allCases)
    func abandonedAddLeavesWhatAnotherHoldsByItsRoot(_ kind: StoreKind) throws {
        let store = try kind.make(folder)
        let adding = try store.makeIngest()
        let file = try addFile(adding)
        let lease = try store.makeIngest()
        try lease.protectDAG(file.root, in: store)
        try adding.abandon()
        #expect(try store.firstMissing(of: file.root) == nil)
        try lease.pin("file", file.root, closing: true)
        #expect(try store.collectGarbage().removedBlockCount == 0)
    }

    /// The race is lost now and then only, so it is run often.
    @Test func programsThatMakeAHomeAtOnceAllOpenIt() async throws {
        for round in 0..<40 {
            let path = folder.path + "/together-\(round).db"
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<6 { group.addTask { try SQLiteBlockStore(path: path).close() } }
                try await group.waitForAll()
            }
        }
    }

    /// A job's inputs may be large: the cost of holding them must not depend on it.
    @Test func holdingWritesOneRowHoweverLargeTheFile() throws {
        let store = try SQLiteBlockStore(path: folder.database)
        let adding = try store.makeIngest()
        let file = try addFile(adding)
        try adding.pin("file", file.root, closing: true)
        let lease = try store.makeIngest()
        try lease.hold([file.root])
        let connection = try Connection(path: folder.database, mode: .readOnly)
        #expect(try connection.integer("SELECT count(*) FROM leased_block") == 0)
        #expect(try connection.integer("SELECT count(*) FROM leased_root") == 1)
        try lease.close()
        #expect(try connection.integer("SELECT count(*) FROM leased_root") == 0)
    }

    @Test(arguments: StoreKind.allCases)
    func corruptLeafHealsWhenItIsPutAgain(_ kind: StoreKind) throws {
        let store = try kind.make(folder)
        let ingest = try store.makeIngest()
        let file = try addFile(ingest)
        try ingest.pin("file", file.root, closing: true)
        try kind.damage(file.leaves[1], in: store, folder)
        let reader = try FileReader(file.root, in: store)
        let error = #expect(throws: BlockStoreError.self) { try reader.forEachPiece { _ in } }
        #expect(error?.code == .corrupt)
        #expect(error?.offset == 10)
        #expect(try store.firstMissing(of: file.root)?.cid == file.leaves[1])
        let fetched = try store.makeIngest()
        try fetched.put(file.leaves[1], Array("bbbbbbbbbb".utf8))
        try fetched.close()
        var bytes: [UInt8] = []
        try reader.forEachPiece { bytes += $0 }
        #expect(bytes == Array("aaaaaaaaaabbbbbbbbbbccccccccccdddddddddd".utf8))
    }
}

/// A disk that runs full, as a file system in memory of a few MiB.
@Suite struct FullDiskTests {
    /// Mounting needs privileges that a build machine may not give.
    private static let canMount: Bool = {
        guard let folder = try? ScratchFolder() else { return false }
        let isMounted = mount("tmpfs", folder.path, "tmpfs", 0, "size=64k") == 0
        if isMounted { umount2(folder.path, Int32(MNT_DETACH)) }
        return isMounted
    }()

    @Test(.enabled(if: canMount))
    func addThatFillsTheDiskLeavesNothingAndHarmsNothing() throws {
        let folder = try ScratchFolder()
        #expect(mount("tmpfs", folder.path, "tmpfs", 0, "size=200m") == 0)
        defer { umount2(folder.path, Int32(MNT_DETACH)) }
        let store = try SQLiteBlockStore(path: folder.database)
        let first = try store.makeIngest()
        let kept = try addFile(1, 600_000, first)
        try first.pin("kept", kept, closing: true)

        let second = try store.makeIngest()
        let error = #expect(throws: BlockStoreError.self) {
            let root = try addFile(2, 128 << 20, second)
            try second.pin("big", root, closing: true)
        }
        #expect(error?.code == .full)
        #expect(error?.message.contains("full") == true)
        try second.abandon()
        #expect(try store.statistics().blockCount == 4)
        #expect(try store.pins().map(\.name) == ["kept"])
        #expect(try store.firstMissing(of: kept) == nil)
        // There is room for a small one again.
        let third = try store.makeIngest()
        let small = try addFile(3, 300_000, third)
        try third.pin("small", small, closing: true)
        store.close()

        let reopened = try SQLiteBlockStore(path: folder.database)
        #expect(try reopened.verify(progress: { _ in }).corrupt.isEmpty)
        #expect(try reopened.firstMissing(of: kept) == nil)
        #expect(try reopened.firstMissing(of: small) == nil)
        #expect(try reopened.statistics().blockCount == 7)
        reopened.close()
    }

    private func addFile(_ seed: UInt64, _ size: Int, _ ingest: Ingest) throws -> CID {
        let builder = FileBuilder(ingest: ingest)
        try builder.write(VectorInputs.xorshift(seed, size))
        return try builder.finish().cid
    }
}
