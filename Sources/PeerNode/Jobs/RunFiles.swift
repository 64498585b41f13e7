import BlockStore
import Engines
import MRProtocol
import Multiformats
import Synchronization

/// A run file in memory; gives its bytes back to the budget when it is released.
final class MemoryRun: RunBytes {
    /// Bytes of one piece; only the last one is shorter.
    static let pieceByteCount = 1 << 20

    private let pieces: [[UInt8]]
    private let memory: RunMemory
    let byteCount: UInt64

    init(pieces: [[UInt8]], byteCount: Int, memory: RunMemory) {
        self.pieces = pieces
        self.byteCount = UInt64(byteCount)
        self.memory = memory
    }

    deinit { memory.release(Int(byteCount)) }

    var residentByteCount: Int { Int(byteCount) }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(TaskFault) {
        precondition(offset + UInt64(buffer.count) <= byteCount, "read past the end of a run")
        var done = 0
        while done < buffer.count {
            let position = Int(offset) + done
            let (index, skip) = position.quotientAndRemainder(dividingBy: MemoryRun.pieceByteCount)
            let count = min(pieces[index].count - skip, buffer.count - done)
            pieces[index].withUnsafeBytes { piece in
                UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
                    .copyMemory(from: UnsafeRawBufferPointer(rebasing: piece[skip..<skip + count]))
            }
            done += count
        }
    }

    /// The CID that its file would have; `nil` when it cannot be told.
    var root: CID? {
        let builder = FileBuilder(ingest: MemoryBlockStore().makeIngest())
        do throws(BlockStoreError) {
            try forEachPiece { (piece) throws(BlockStoreError) in try builder.write(piece) }
            return try builder.finish().cid
        } catch {
            return nil
        }
    }

    /// Hands all bytes to `body` in order.
    func forEachPiece<E: Error>(_ body: (UnsafeRawBufferPointer) throws(E) -> Void) throws(E) {
        for piece in pieces {
            let result = piece.withUnsafeBytes { bytes -> Result<Void, E> in
                do throws(E) { return .success(try body(bytes)) } catch { return .failure(error) }
            }
            try result.get()
        }
    }
}

/// A run in memory that another node knows by the CID that it would have in the store.
final class HeldRun: RunBytes {
    let root: CID
    private let run: MemoryRun

    private init(root: CID, run: MemoryRun) {
        self.root = root
        self.run = run
    }

    /// Gives a run in memory its name; one in the store has it.
    static func named(_ run: any RunBytes) throws(TaskFault) -> any RunBytes {
        guard let inMemory = run as? MemoryRun else { return run }
        do throws(BlockStoreError) {
            let builder = FileBuilder(ingest: .discarding())
            try inMemory.forEachPiece { (piece) throws(BlockStoreError) in try builder.write(piece) }
            return HeldRun(root: try builder.finish().cid, run: inMemory)
        } catch {
            throw .store(error.message)
        }
    }

    var byteCount: UInt64 { run.byteCount }
    var residentByteCount: Int { run.residentByteCount }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(TaskFault) {
        try run.read(at: offset, into: buffer)
    }
}

/// A run file in the store.
///
/// Read by several slots at once: each takes a reader of its own, and one is kept for the next call.
final class StoredRun: RunBytes {
    /// A reader that no call is using; handed over whole, never shared.
    private struct IdleReader: @unchecked Sendable {
        let reader: FileReader
    }

    let root: CID
    let byteCount: UInt64
    private let store: any BlockStore
    private let idle = Mutex<IdleReader?>(nil)

    init(root: CID, byteCount: UInt64, store: any BlockStore) {
        self.root = root
        self.byteCount = byteCount
        self.store = store
    }

    var residentByteCount: Int { 0 }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(TaskFault) {
        do throws(BlockStoreError) {
            let reader = try takeReader()
            let count = try reader.read(at: offset, into: buffer)
            guard count == buffer.count else {
                throw BlockStoreError(
                    .badNode,
                    "the run file \(root) ends at \(offset + UInt64(count))",
                    cid: root
                )
            }
            let unused = IdleReader(reader: reader)
            idle.withLock { $0 = unused }
        } catch {
            throw .mapOutputUnavailable(root, reason: error.message)
        }
    }

    private func takeReader() throws(BlockStoreError) -> FileReader {
        let kept = idle.withLock { idle in
            defer { idle = nil }
            return idle
        }
        if let kept { return kept.reader }
        return try FileReader(root, in: store)
    }
}

/// Takes a run file into memory, and into the store once the budget is used up.
final class RunSink: FileSink {
    private let memory: RunMemory
    private let store: any BlockStore
    private let ingest: Ingest
    private var pieces: [[UInt8]] = []
    private var byteCount = 0
    private var builder: FileBuilder?

    init(memory: RunMemory, store: any BlockStore, ingest: Ingest) {
        self.memory = memory
        self.store = store
        self.ingest = ingest
    }

    deinit { if builder == nil { memory.release(byteCount) } }

    func write(_ bytes: UnsafeRawBufferPointer) throws(TaskFault) {
        if builder == nil, memory.reserve(bytes.count) {
            keep(bytes)
            return
        }
        do throws(BlockStoreError) {
            try overflow().write(bytes)
        } catch {
            throw .store(error.message)
        }
    }

    func finish() throws(TaskFault) -> any RunBytes {
        guard let builder else {
            defer { byteCount = 0 }  // the run gives it back from now on
            return MemoryRun(pieces: pieces, byteCount: byteCount, memory: memory)
        }
        return try StoreSink.finish(builder, ingest: ingest, store: store)
    }

    private func keep(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes
        while !rest.isEmpty {
            if pieces.last.map({ $0.count == MemoryRun.pieceByteCount }) ?? true { pieces.append([]) }
            let last = pieces.count - 1
            let count = min(MemoryRun.pieceByteCount - pieces[last].count, rest.count)
            pieces[last].append(contentsOf: rest[..<count])
            rest = UnsafeRawBufferPointer(rebasing: rest[count...])
        }
        byteCount += bytes.count
    }

    /// The file in the store, with what was in memory at its front.
    private func overflow() throws(BlockStoreError) -> FileBuilder {
        if let builder { return builder }
        let started = FileBuilder(ingest: ingest)
        for piece in pieces { try started.write(piece) }
        pieces = []
        memory.release(byteCount)
        byteCount = 0
        builder = started
        return started
    }
}

/// Takes a file straight into the store: a spill, or a part of the result.
final class StoreSink: FileSink {
    private let store: any BlockStore
    private let ingest: Ingest
    private let builder: FileBuilder
    /// The finished file; `nil` before `finish`.
    private(set) var node: ImportedNode?
    /// Readers will want it at once.
    private let isFlushed: Bool

    init(store: any BlockStore, ingest: Ingest, isFlushed: Bool) {
        self.store = store
        self.ingest = ingest
        self.isFlushed = isFlushed
        builder = FileBuilder(ingest: ingest)
    }

    func write(_ bytes: UnsafeRawBufferPointer) throws(TaskFault) {
        do throws(BlockStoreError) { try builder.write(bytes) } catch { throw .store(error.message) }
    }

    func finish() throws(TaskFault) -> any RunBytes {
        if let node { return StoredRun(root: node.cid, byteCount: node.fileByteCount, store: store) }
        do throws(BlockStoreError) {
            let finished = try builder.finish()
            if isFlushed { try ingest.flush() }
            node = finished
            return StoredRun(root: finished.cid, byteCount: finished.fileByteCount, store: store)
        } catch {
            throw .store(error.message)
        }
    }

    static func finish(
        _ builder: FileBuilder,
        ingest: Ingest,
        store: any BlockStore
    ) throws(TaskFault) -> StoredRun {
        do throws(BlockStoreError) {
            let node = try builder.finish()
            try ingest.flush()
            return StoredRun(root: node.cid, byteCount: node.fileByteCount, store: store)
        } catch {
            throw .store(error.message)
        }
    }
}

/// Spills of one attempt: files in the store that go with the attempt.
final class StoreSpillSpace: SpillSpace {
    private let store: any BlockStore
    private var ingest: Ingest?

    init(store: any BlockStore) { self.store = store }

    func makeFile() throws(TaskFault) -> any FileSink {
        do throws(BlockStoreError) {
            return StoreSink(store: store, ingest: try lease(), isFlushed: true)
        } catch {
            throw .store(error.message)
        }
    }

    private func lease() throws(BlockStoreError) -> Ingest {
        if let ingest { return ingest }
        let lease = try store.makeIngest()
        ingest = lease
        return lease
    }

    /// Removes the files; what cannot be removed now is left to garbage collection.
    func discard() {
        try? ingest?.abandon()
        ingest = nil
    }
}
