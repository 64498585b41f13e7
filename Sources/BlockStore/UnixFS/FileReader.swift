public import Multiformats

/// Random access to the bytes of a file; keeps the nodes on the way to the last place read, and that leaf.
///
/// Used by one thread at a time. A missing block is thrown as `.notFound` with its CID and the offset; after it has
/// been fetched the call may be repeated.
public final class FileReader {
    private struct Frame {
        var node: UnixFSNode.FileNode
        var start: UInt64
    }

    private let store: any BlockStore
    private let root: UnixFSNode.FileNode
    private var path: [Frame] = []
    private var leaf: [UInt8] = []
    private var leafStart: UInt64 = 0

    /// Length of the file in bytes.
    public var byteCount: UInt64 { root.byteCount }

    /// Opens a file by its root.
    ///
    /// - Throws: `.notFound`, `.notAFile`, `.badNode`, `.unsupported`.
    public init(_ cid: CID, in store: any BlockStore) throws(BlockStoreError) {
        self.store = store
        root = try LeafIterator.fileNode(cid, in: store)
    }

    /// Reads bytes from `offset` on.
    ///
    /// - Returns: how many of `buffer` were filled: all of it unless the file ends before.
    public func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(BlockStoreError)
        -> Int
    {
        var done = 0
        while done < buffer.count, offset + UInt64(done) < byteCount {
            let position = offset + UInt64(done)
            if position < leafStart || position >= leafStart + UInt64(leaf.count) { try load(position) }
            let skip = Int(position - leafStart)
            let count = min(leaf.count - skip, buffer.count - done)
            leaf.withUnsafeBytes { bytes in
                UnsafeMutableRawBufferPointer(rebasing: buffer[done..<(done + count)])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[skip..<(skip + count)]))
            }
            done += count
        }
        return done
    }

    /// Hands the bytes of a range to `body` in order, block by block and without copying.
    ///
    /// - Parameters:
    ///   - offset: where to start; past the end gives nothing.
    ///   - length: most bytes to give; `nil` for the rest of the file.
    ///   - body: called with each piece; the pointer is valid only inside it.
    /// - Throws: `.notFound` with CID and offset, `.corrupt`, `.badNode`, and what `body` throws.
    public func forEachPiece(
        from offset: UInt64 = 0,
        length: UInt64? = nil,
        _ body: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        let end = length.map { min(byteCount, offset.addingSaturated($0)) } ?? byteCount
        var position = offset
        while position < end {
            let piece = try locate(position)
            let skip = Int(position - piece.offset)
            let count = min(piece.byteCount - skip, Int(clamping: end - position))
            try withLeaf(piece) { bytes in
                try body(UnsafeRawBufferPointer(rebasing: bytes[skip..<(skip + count)]))
            }
            position += UInt64(count)
        }
    }

    private func load(_ position: UInt64) throws(BlockStoreError) {
        let piece = try locate(position)
        do { leaf = try withLeaf(piece) { Array($0) } } catch { throw .wrap(error) }
        leafStart = piece.offset
    }

    private func withLeaf<R>(_ piece: FileLeaf, _ body: (UnsafeRawBufferPointer) throws -> R) throws -> R {
        do {
            return try store.withLeafBytes(piece.cid) { bytes in
                guard bytes.count == piece.byteCount else {
                    throw BlockStoreError.badNode(
                        piece.cid,
                        "it has \(bytes.count) bytes and its parent claims \(piece.byteCount)"
                    )
                }
                return try body(bytes)
            }
        } catch let error as BlockStoreError {
            throw error.at(offset: piece.offset)
        }
    }

    /// The piece that holds the byte at `position`, which is inside the file.
    private func locate(_ position: UInt64) throws(BlockStoreError) -> FileLeaf {
        while let frame = path.last, !(frame.start..<(frame.start + frame.node.byteCount)).contains(position)
        {
            path.removeLast()
        }
        if path.isEmpty { path = [Frame(node: root, start: 0)] }
        while true {
            let frame = path[path.count - 1]
            let inline = UInt64(frame.node.inlineByteCount)
            if position < frame.start + inline {
                return FileLeaf(
                    cid: frame.node.cid,
                    offset: frame.start,
                    byteCount: frame.node.inlineByteCount
                )
            }
            if let leaf = try descend(from: frame, to: position) { return leaf }
        }
    }

    /// Goes one level down; gives the leaf when that is a raw one.
    private func descend(from frame: Frame, to position: UInt64) throws(BlockStoreError) -> FileLeaf? {
        var start = frame.start + UInt64(frame.node.inlineByteCount)
        for child in frame.node.children {
            guard position < start + child.byteCount else {
                start += child.byteCount
                continue
            }
            if child.cid.codec == .raw {
                guard child.byteCount <= UInt64(BlockLimits.maxByteCount) else {
                    throw .badNode(frame.node.cid, "it claims \(child.byteCount) bytes in one leaf")
                }
                return FileLeaf(cid: child.cid, offset: start, byteCount: Int(child.byteCount))
            }
            try enter(child, of: frame.node.cid, start: start)
            return nil
        }
        throw .badNode(frame.node.cid, "its parts end before byte \(position)")
    }

    private func enter(
        _ child: (cid: CID, byteCount: UInt64),
        of parent: CID,
        start: UInt64
    ) throws(BlockStoreError) {
        guard path.count < BlockLimits.maxDepth else {
            throw .badNode(parent, "the file is nested too deeply")
        }
        let node: UnixFSNode.FileNode
        do throws(BlockStoreError) {
            node = try LeafIterator.fileNode(child.cid, in: store)
        } catch {
            throw error.at(offset: start)
        }
        guard node.byteCount == child.byteCount else {
            throw .badNode(
                child.cid,
                "it has \(node.byteCount) bytes and its parent claims \(child.byteCount)"
            )
        }
        path.append(Frame(node: node, start: start))
    }
}

extension UInt64 {
    fileprivate func addingSaturated(_ other: UInt64) -> UInt64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? .max : sum
    }
}
