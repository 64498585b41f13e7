public import Multiformats

/// A run of file bytes that lies in one block.
public struct FileLeaf: Hashable, Sendable {
    /// The block: a raw leaf, a dag-pb leaf, or an inner node with bytes of its own.
    public var cid: CID
    /// Where in the file the bytes stand.
    public var offset: UInt64
    /// Length in bytes.
    public var byteCount: Int
}

/// Goes over the leaves of a file in order without reading raw leaves; memory is a node per level.
///
/// Reads DAGs of any layout: leaves at different depths, dag-pb leaves, bytes in inner nodes. A missing node is thrown
/// as `.notFound` with its CID and offset; after it has been fetched, `next` may be called again and goes on.
public struct LeafIterator {
    private struct Frame {
        var node: UnixFSNode.FileNode
        var nextChild: Int
    }

    private let store: any BlockStore
    private var stack: [Frame] = []
    private var ready: FileLeaf?
    private var offset: UInt64 = 0
    /// All file bytes under the root.
    public let byteCount: UInt64

    /// Starts at the root of a file.
    ///
    /// - Throws: `.notFound`, `.notAFile`, `.badNode`, `.unsupported`.
    public init(of root: CID, in store: any BlockStore) throws(BlockStoreError) {
        self.store = store
        let node = try Self.fileNode(root, in: store)
        byteCount = node.byteCount
        enter(node)
    }

    /// The next leaf that has bytes; `nil` at the end.
    public mutating func next() throws(BlockStoreError) -> FileLeaf? {
        while ready == nil, let frame = stack.last {
            guard frame.nextChild < frame.node.children.count else {
                stack.removeLast()
                continue
            }
            let index = stack.count - 1
            try visit(frame.node.children[frame.nextChild], of: frame.node.cid)
            // Only after the child was read: a call after a failure tries the same child again.
            stack[index].nextChild += 1
        }
        defer { ready = nil }
        if let ready { offset += UInt64(ready.byteCount) }
        return ready
    }

    private mutating func visit(_ child: (cid: CID, byteCount: UInt64), of parent: CID)
        throws(BlockStoreError)
    {
        // Without this, nodes of no bytes that link each other many times over would take for ever.
        if child.byteCount == 0 { return }
        if child.cid.codec == .raw {
            guard child.byteCount <= UInt64(BlockLimits.maxByteCount) else {
                throw .badNode(parent, "it claims \(child.byteCount) bytes in one leaf")
            }
            ready = FileLeaf(cid: child.cid, offset: offset, byteCount: Int(child.byteCount))
            return
        }
        guard stack.count < BlockLimits.maxDepth else {
            throw .badNode(parent, "the file is nested too deeply")
        }
        let node: UnixFSNode.FileNode
        do throws(BlockStoreError) { node = try Self.fileNode(child.cid, in: store) } catch {
            throw error.at(offset: offset)
        }
        guard node.byteCount == child.byteCount else {
            throw .badNode(
                child.cid,
                "it has \(node.byteCount) bytes and its parent claims \(child.byteCount)"
            )
        }
        enter(node)
    }

    private mutating func enter(_ node: UnixFSNode.FileNode) {
        if node.inlineByteCount > 0 {
            ready = FileLeaf(cid: node.cid, offset: offset, byteCount: node.inlineByteCount)
        }
        stack.append(Frame(node: node, nextChild: 0))
    }

    static func fileNode(_ cid: CID, in store: any BlockStore) throws(BlockStoreError) -> UnixFSNode.FileNode
    {
        guard case .file(let node) = try UnixFSNode.read(cid, in: store) else {
            throw BlockStoreError(.notAFile, "\(cid) is not a file", cid: cid)
        }
        return node
    }
}

extension BlockStore {
    /// The leaves of a file in order; see `LeafIterator`.
    public func leaves(of root: CID) throws(BlockStoreError) -> LeafIterator {
        try LeafIterator(of: root, in: self)
    }

    /// Hands the file bytes that lie in one leaf to `body`: all of a raw block, the data of a dag-pb node.
    ///
    /// - Throws: as `withBlock`, and `.badNode`.
    public func withLeafBytes<R>(_ cid: CID, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        try withBlock(cid) { block in
            if cid.codec == .raw { return try body(block) }
            let (_, message) = try UnixFSNode.decode(cid, block)
            return try (message.data ?? []).withUnsafeBytes(body)
        }
    }
}
