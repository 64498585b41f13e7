import Multiformats

/// Makes a UnixFS file of bytes that come in pieces of any size, in constant memory.
///
/// Hashing runs on the caller's thread while the store writes on its own. Used by one thread at a time.
public final class FileBuilder {
    private let ingest: Ingest
    private let settings: ImportSettings
    private var layout: BalancedLayout
    private var chunk: BlockBuffer
    private var leafCount = 0

    /// File bytes taken so far.
    public private(set) var byteCount: UInt64 = 0

    /// Starts a file.
    ///
    /// - Precondition: `settings.isValid`.
    public init(ingest: Ingest, settings: ImportSettings = .standard) {
        precondition(settings.isValid, "import settings out of range: \(settings)")
        self.ingest = ingest
        self.settings = settings
        layout = BalancedLayout(ingest: ingest, settings: settings)
        chunk = BlockBuffer(capacity: settings.chunkByteCount)
    }

    /// Appends bytes, copying them.
    public func write(_ bytes: UnsafeRawBufferPointer) throws(BlockStoreError) {
        var rest = bytes
        while !rest.isEmpty {
            let room = UnsafeMutableRawBufferPointer(rebasing: chunk.memory[chunk.count...])
            let count = min(room.count, rest.count)
            room.copyMemory(from: UnsafeRawBufferPointer(rebasing: rest[..<count]))
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
            try advance(count)
        }
    }

    /// Appends bytes, copying them.
    public func write(_ bytes: [UInt8]) throws(BlockStoreError) {
        try bytes.withBytes { (buffer) throws(BlockStoreError) in try write(buffer) }
    }

    /// Lets `read` fill the next part of the file in place, without a copy.
    ///
    /// - Parameter read: fills the buffer from its front and returns the number of bytes; 0 at the end of its source.
    /// - Returns: `false` when `read` gave nothing.
    /// - Throws: what `read` throws, and what putting a leaf throws.
    public func fill(_ read: (UnsafeMutableRawBufferPointer) throws -> Int) throws -> Bool {
        let room = UnsafeMutableRawBufferPointer(rebasing: chunk.memory[chunk.count...])
        let count = try read(room)
        precondition((0...room.count).contains(count), "read gave \(count) bytes into \(room.count)")
        try advance(count)
        return count > 0
    }

    /// Ends the file and gives its root; an empty file is one empty leaf.
    public func finish() throws(BlockStoreError) -> ImportedNode {
        if chunk.count > 0 || leafCount == 0 { try putLeaf() }
        return try layout.finish()
    }

    private func advance(_ count: Int) throws(BlockStoreError) {
        chunk.count += count
        byteCount += UInt64(count)
        if chunk.count == settings.chunkByteCount { try putLeaf() }
    }

    private func putLeaf() throws(BlockStoreError) {
        let full = chunk
        chunk = BlockBuffer(capacity: settings.chunkByteCount)
        leafCount += 1
        let fileByteCount = UInt64(full.count)
        if settings.hasRawLeaves {
            let multihash = Multihash.sha256(of: full.bytes)
            try ingest.put(StagedBlock(multihash: multihash, bytes: full))
            let cid = CID(codec: .raw, multihash: multihash)
            try layout.append(
                ImportedNode(cid: cid, fileByteCount: fileByteCount, totalByteCount: fileByteCount)
            )
        } else {
            let data = full.count == 0 ? nil : Array(full.bytes)
            let message = UnixFSData(kind: .file, data: data, fileByteCount: fileByteCount)
            let (cid, byteCount) = try ingest.put(DagPBNode(data: message.encoded()), settings)
            try layout.append(ImportedNode(cid: cid, fileByteCount: fileByteCount, totalByteCount: byteCount))
        }
    }
}
