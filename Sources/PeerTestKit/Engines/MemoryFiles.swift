public import Engines
public import MRProtocol
public import Multiformats

/// A file in memory, for engines that write and read run files.
public final class MemoryFile: FileSink, RunBytes, @unchecked Sendable {
    // Written by one attempt until `finish`, only read afterwards.
    /// The bytes of the file.
    public private(set) var bytes: [UInt8]

    /// A file that holds `bytes`.
    public init(_ bytes: [UInt8] = []) { self.bytes = bytes }

    /// Number of bytes.
    public var byteCount: UInt64 { UInt64(bytes.count) }
    /// All bytes are in memory.
    public var residentByteCount: Int { bytes.count }

    /// Appends bytes.
    public func write(_ more: UnsafeRawBufferPointer) throws(TaskFault) { bytes.append(contentsOf: more) }

    /// Hands the file back for reading.
    public func finish() throws(TaskFault) -> any RunBytes { self }

    /// Copies bytes of the file.
    public func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(TaskFault) {
        let end = offset + UInt64(buffer.count)
        guard end <= byteCount else { throw .store("read behind the end of a file in memory") }
        bytes.withUnsafeBytes { buffer.copyMemory(from: .init(rebasing: $0[Int(offset)..<Int(end)])) }
    }
}

/// Spills to memory and counts the files.
public final class MemorySpillSpace: SpillSpace {
    /// Files started so far.
    public private(set) var fileCount = 0

    /// An empty space.
    public init() {}

    /// Starts a file in memory.
    public func makeFile() throws(TaskFault) -> any FileSink {
        fileCount += 1
        return MemoryFile()
    }
}

/// Leaf blocks in memory.
public final class MemoryLeaves: LeafReader {
    private var blocks: [CID: [UInt8]] = [:]
    /// Leaves that were read, in order.
    public private(set) var reads: [CID] = []

    /// A reader without blocks.
    public init() {}

    /// Cuts `bytes` into leaves of `leafByteCount`; an empty file is one empty leaf.
    public func add(_ bytes: [UInt8], leafByteCount: Int) -> [InputLeaf] {
        let starts = bytes.isEmpty ? [0] : Array(stride(from: 0, to: bytes.count, by: leafByteCount))
        return starts.map { start in
            let leaf = Array(bytes[start..<min(start + leafByteCount, bytes.count)])
            let cid = CID.of(leaf, codec: .raw)
            blocks[cid] = leaf
            return InputLeaf(cid: cid, byteCount: leaf.count)
        }
    }

    /// Hands out the bytes of a leaf that was added.
    public func withLeaf(
        _ leaf: InputLeaf,
        _ body: (UnsafeRawBufferPointer) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        guard let bytes = blocks[leaf.cid] else {
            throw .blockUnavailable(leaf.cid, file: "", offset: 0, reason: "not in memory")
        }
        reads.append(leaf.cid)
        // An exact copy, so that reading behind its end shows under a memory checker.
        let copy = UnsafeMutableRawBufferPointer.allocate(byteCount: bytes.count, alignment: 1)
        defer { copy.deallocate() }
        copy.copyBytes(from: bytes)
        try body(UnsafeRawBufferPointer(copy))
    }
}
