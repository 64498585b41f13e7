import BlockStore
import Multiformats
import Testing

/// Paths from a root through directories.
@Suite struct PathTests {
    private static let root = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku"

    @Test(arguments: [
        (root, []), ("/ipfs/\(root)", []), ("ipfs://\(root)", []), ("\(root)/", []), ("\(root)/a", ["a"]),
        ("/ipfs/\(root)/a//b/", ["a", "b"]), ("\(root)/.hidden/...", [".hidden", "..."]),
        ("\(root)/ipfs/x y", ["ipfs", "x y"]),
    ])
    func pathIsRead(_ text: String, _ names: [String]) throws {
        let path = try UnixFSPath(text)
        #expect(path.root.description == PathTests.root)
        #expect(path.names == names.map { Array($0.utf8) })
    }

    @Test(arguments: [
        "", "/", "/ipfs/", "ipfs://", "a/b", "\(root)x", "\(root)/..", "\(root)/a/../b", "\(root)/.",
        "/ipns/\(root)", "\(root)/" + String(repeating: "x", count: 4097),
        root + String(repeating: "/x", count: UnixFSPath.maxNameCount),
    ])
    func badPathIsRefused(_ text: String) {
        let error = #expect(throws: BlockStoreError.self) { try UnixFSPath(text) }
        #expect(error?.code == .badPath)
    }

    @Test func pathLeadsThroughDirectories() throws {
        let store = MemoryBlockStore()
        let ingest = store.makeIngest()
        let builder = FileBuilder(ingest: ingest)
        try builder.write(Array("text".utf8))
        let file = try builder.finish()
        let inner = try DirectoryBuilder.directory([(Array("file".utf8), file)], into: ingest)
        let outer = try DirectoryBuilder.directory([(Array("inner".utf8), inner)], into: ingest)
        try ingest.flush()

        #expect(try UnixFSPath("\(outer.cid)").resolve(in: store) == outer.cid)
        #expect(try UnixFSPath("\(outer.cid)/inner/file").resolve(in: store) == file.cid)
        for (text, code) in [
            ("\(outer.cid)/none", BlockStoreError.Code.noSuchPath),
            ("\(outer.cid)/inner/file/more", .notADirectory),
            ("\(PathTests.root)/a", .notADirectory),
            ("\(CID.of([7], codec: .dagPB))/a", .notFound),
        ] {
            let error = #expect(throws: BlockStoreError.self) { try UnixFSPath(text).resolve(in: store) }
            #expect(error?.code == code, "\(text)")
        }
    }
}
