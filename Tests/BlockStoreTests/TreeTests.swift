import BlockStore
import Foundation
import Multiformats
import Testing

/// Adding trees of the disk and writing them back.
@Suite struct TreeTests {
    private let folder: ScratchFolder
    private let store = MemoryBlockStore()

    init() throws {
        folder = try ScratchFolder()
        try make(directory: "in")
    }

    private func path(_ name: String) -> String { folder.path + "/" + name }

    private func make(directory name: String) throws {
        try FileManager.default.createDirectory(atPath: path(name), withIntermediateDirectories: true)
    }

    private func make(file name: String, _ text: String) throws {
        try Data(text.utf8).write(to: URL(filePath: path(name)))
    }

    private func make(link name: String, to target: String) throws {
        try FileManager.default.createSymbolicLink(atPath: path(name), withDestinationPath: target)
    }

    private func add(_ name: String, hidden: Bool = false) throws -> ImportedNode {
        var options = TreeAdder.Options()
        options.isRecursive = true
        options.includesHidden = hidden
        let ingest = store.makeIngest()
        let node = try TreeAdder(ingest: ingest, options: options).add(path(name))
        try ingest.flush()
        return node
    }

    private func put(_ node: DagPBNode) throws -> CID {
        let ingest = store.makeIngest()
        let cid = try ingest.put(node.encoded(), codec: .dagPB)
        try ingest.flush()
        return cid
    }

    private func put(_ bytes: [UInt8]) throws -> CID {
        let ingest = store.makeIngest()
        let cid = try ingest.put(bytes, codec: .raw)
        try ingest.flush()
        return cid
    }

    private func directory(_ entries: [(String, CID)]) throws -> CID {
        let links = entries.map { DagPBNode.Link(cid: $0.1, name: Array($0.0.utf8), totalByteCount: 1) }
        return try put(DagPBNode(links: links, data: UnixFSData(kind: .directory).encoded()))
    }

    private func names(_ cid: CID) throws -> [String] {
        try DirectoryReader.entries(of: cid, in: store).map { String(decoding: $0.name, as: UTF8.self) }
    }

    @Test func treeComesBackAsItWas() throws {
        try make(directory: "in/empty")
        try make(directory: "in/a/b")
        try make(file: "in/a/b/text", "hello\n")
        try make(file: "in/none", "")
        try make(link: "in/a/link", to: "../none")
        try make(link: "in/dangling", to: "nowhere/at all")
        // A name that is no UTF-8.
        let odd = Array((path("in/")).utf8CString.dropLast()) + [-1, 0]
        close(open(odd, O_CREAT | O_WRONLY, 0o600))

        let root = try add("in").cid
        try TreeWriter(store: store).write(root, to: path("out"))
        #expect(try add("out").cid == root)
        #expect(
            try FileManager.default.destinationOfSymbolicLink(atPath: path("out/dangling"))
                == "nowhere/at all"
        )
        #expect(try Data(contentsOf: URL(filePath: path("out/a/b/text"))) == Data("hello\n".utf8))
        #expect(try FileManager.default.contentsOfDirectory(atPath: path("out/empty")).isEmpty)
    }

    @Test func hiddenNamesAreSkippedUnlessAskedForOrNamed() throws {
        try make(file: "in/.secret", "x")
        try make(file: "in/shown", "y")
        try make(directory: "in/.git")
        #expect(try names(try add("in").cid) == ["shown"])
        #expect(try names(try add("in", hidden: true).cid) == [".git", ".secret", "shown"])
        #expect(try add("in/.secret").cid == CID.of(Array("x".utf8), codec: .raw))
    }

    @Test func symlinkIsKeptAndNotFollowed() throws {
        try make(link: "in/loop", to: ".")
        let root = try add("in").cid
        let entries = try DirectoryReader.entries(of: root, in: store)
        guard case .symlink(let target) = try UnixFSNode.read(entries[0].cid, in: store) else {
            Issue.record("not a symlink")
            return
        }
        #expect(target == Array(".".utf8))
    }

    @Test func pipeIsRefused() throws {
        #expect(mkfifo(path("in/pipe"), 0o600) == 0)
        let error = #expect(throws: BlockStoreError.self) { try add("in") }
        #expect(error?.code == .specialFile)
        #expect(error?.message == "in/pipe is a socket, pipe or device; only files can be added")
    }

    @Test(.enabled(if: FileManager.default.fileExists(atPath: "/proc/self/mem")))
    func fileThatCannotBeReadIsNamed() {
        let adder = TreeAdder(ingest: .discarding())
        // A regular file whose first byte gives an input/output error, also to root.
        let error = #expect(throws: BlockStoreError.self) { try adder.add("/proc/self/mem") }
        #expect(error?.code == .io)
        #expect(error?.message == "cannot read mem: Input/output error")
    }

    @Test func missingFileIsNamed() {
        let error = #expect(throws: BlockStoreError.self) { try add("in/none") }
        #expect(error?.code == .io)
        #expect(error?.message == "cannot find none: No such file or directory")
    }

    @Test func directoryNeedsToBeAskedFor() {
        let adder = TreeAdder(ingest: .discarding())
        let error = #expect(throws: BlockStoreError.self) { try adder.add(path("in")) }
        #expect(error?.code == .notAFile)
    }

    @Test func addingStopsWhenItIsCancelled() throws {
        try make(file: "in/file", "text")
        var options = TreeAdder.Options()
        options.isCancelled = { true }
        let adder = TreeAdder(ingest: .discarding(), options: options)
        let error = #expect(throws: BlockStoreError.self) { try adder.add(path("in/file")) }
        #expect(error?.code == .cancelled)
    }

    @Test func nestingIsBounded() throws {
        let deepest = "in" + String(repeating: "/d", count: TreeAdder.maxDepth - 1)
        try make(directory: deepest)
        let root = try add("in").cid
        try TreeWriter(store: store).write(root, to: path("out"))
        #expect(try add("out").cid == root)
        try make(directory: deepest + "/d")
        let added = #expect(throws: BlockStoreError.self) { try add("in") }
        #expect(added?.code == .badPath)
        let deeper = try directory([("d", root)])
        let written = #expect(throws: BlockStoreError.self) {
            try TreeWriter(store: store).write(deeper, to: path("deep"))
        }
        #expect(written?.code == .badPath)
    }

    @Test(arguments: ["../escaped", "..", ".", "a/b", "/etc", ""])
    func entryThatLeavesItsDirectoryIsNotWritten(_ name: String) throws {
        let root = try directory([(name, try put([1]))])
        let error = #expect(throws: BlockStoreError.self) {
            try TreeWriter(store: store).write(root, to: path("out"))
        }
        #expect(error?.code == .badNode)
        #expect(
            try FileManager.default.contentsOfDirectory(atPath: folder.path).allSatisfy {
                ["in", "out"].contains($0)
            }
        )
    }

    @Test func symlinkOnTheWayIsNotFollowed() throws {
        try make(directory: "outside")
        try make(directory: "out")
        try make(link: "out/sub", to: path("outside"))
        let root = try directory([("sub", try directory([("evil", try put([1]))]))])
        let error = #expect(throws: BlockStoreError.self) {
            try TreeWriter(store: store).write(root, to: path("out"))
        }
        #expect(error?.code == .io)
        #expect(try FileManager.default.contentsOfDirectory(atPath: path("outside")).isEmpty)
    }

    /// A symlink of the DAG itself, and then a directory of the same name behind it.
    @Test func symlinkInTheDAGIsNotFollowed() throws {
        try make(directory: "outside")
        let target = Array(path("outside").utf8)
        let link = try put(DagPBNode(data: UnixFSData(kind: .symlink, data: target).encoded()))
        let root = try directory([("x", link), ("x", try directory([("evil", try put([1]))]))])
        try TreeWriter(store: store).write(root, to: path("out"))
        #expect(try FileManager.default.contentsOfDirectory(atPath: path("outside")).isEmpty)
    }

    @Test func nothingIsReplaced() throws {
        try make(file: "in/file", "mine")
        let root = try directory([("file", try put([1]))])
        let error = #expect(throws: BlockStoreError.self) {
            try TreeWriter(store: store).write(root, to: path("in"))
        }
        #expect(error?.code == .io)
        #expect(try Data(contentsOf: URL(filePath: path("in/file"))) == Data("mine".utf8))
    }

    @Test func fileThatLacksABlockIsRemovedAgain() throws {
        let ingest = store.makeIngest()
        let builder = FileBuilder(ingest: ingest)
        try builder.write(VectorInputs.xorshift(4, 300_000))
        let node = try builder.finish()
        try ingest.close()
        let leaf = try #require(
            try {
                var leaves = try store.leaves(of: node.cid)
                _ = try leaves.next()
                return try leaves.next()
            }()
        )
        try store.remove(leaf.cid)
        let error = #expect(throws: BlockStoreError.self) {
            try TreeWriter(store: store).write(node.cid, to: path("file"))
        }
        #expect(error?.code == .notFound)
        #expect(error?.offset == 262_144)
        #expect(!FileManager.default.fileExists(atPath: path("file")))
    }
}
