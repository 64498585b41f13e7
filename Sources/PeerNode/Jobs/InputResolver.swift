import BlockStore
import MRProtocol
import Multiformats

/// Finds the files under a job's roots and their leaves, reading inner nodes only.
struct InputResolver {
    /// Most files of one job.
    static let maxFileCount = 1_000_000
    /// Most leaves of one job: 4 TiB of 256 KiB blocks.
    static let maxLeafCount = 1 << 24

    private let store: any BlockStore
    private(set) var files: [InputFile] = []
    private(set) var notes: [String] = []
    private var leafCount = 0

    init(store: any BlockStore) { self.store = store }

    /// Adds a file, or all files under a directory in the order of its links.
    mutating func add(_ input: JobInput) throws(TaskFault) {
        try visit(input.root, name: input.name, depth: 0)
    }

    private mutating func visit(_ cid: CID, name: String, depth: Int) throws(TaskFault) {
        guard depth <= BlockLimits.maxDepth else {
            throw .malformedInput(file: name, offset: 0, reason: "directories are nested too deeply")
        }
        let node: UnixFSNode
        do throws(BlockStoreError) {
            node = try UnixFSNode.read(cid, in: store)
        } catch {
            throw InputResolver.fault(error, file: name, node: cid)
        }
        switch node {
        case .file: try addFile(cid, name: name)
        case .directory, .shard:
            for entry in try entries(of: cid, name: name) {
                let entryName = String(decoding: entry.name, as: UTF8.self)
                try visit(entry.cid, name: "\(name)/\(entryName)", depth: depth + 1)
            }
        case .symlink: note("skipped the symbolic link \(name)")
        }
    }

    private func entries(of directory: CID, name: String) throws(TaskFault) -> [UnixFSNode.DirectoryEntry] {
        do throws(BlockStoreError) {
            return try DirectoryReader.entries(of: directory, in: store)
        } catch {
            throw InputResolver.fault(error, file: name, node: directory)
        }
    }

    private mutating func addFile(_ root: CID, name: String) throws(TaskFault) {
        guard files.count < InputResolver.maxFileCount else {
            throw .malformedInput(
                file: name,
                offset: 0,
                reason: "more than \(InputResolver.maxFileCount) files"
            )
        }
        var leaves: [InputLeaf] = []
        do throws(BlockStoreError) {
            var iterator = try store.leaves(of: root)
            while let leaf = try iterator.next() {
                leaves.append(InputLeaf(cid: leaf.cid, byteCount: leaf.byteCount))
                leafCount += 1
                guard leafCount <= InputResolver.maxLeafCount else { throw InputResolver.tooLarge }
            }
        } catch {
            throw InputResolver.fault(error, file: name, node: root)
        }
        // An empty file is one task too: `lines` has a line for it.
        files.append(
            InputFile(name: name, leaves: leaves.isEmpty ? [InputLeaf(cid: root, byteCount: 0)] : leaves)
        )
    }

    private mutating func note(_ text: String) {
        if notes.count < JobLimits.maxNotes { notes.append(text) }
    }

    private static let tooLarge = BlockStoreError(
        .unsupported,
        "the inputs have more than \(maxLeafCount) blocks"
    )

    private static func fault(_ error: BlockStoreError, file: String, node: CID) -> TaskFault {
        switch error.code {
        case .notFound, .corrupt, .badBlock, .io, .busy, .damagedStore:
            .blockUnavailable(error.cid ?? node, file: file, offset: error.offset ?? 0, reason: error.message)
        default: .malformedInput(file: file, offset: error.offset ?? 0, reason: error.message)
        }
    }
}
