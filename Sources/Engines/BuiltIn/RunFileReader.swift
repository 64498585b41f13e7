import Glibc
import MRProtocol

/// A run file opened for reading: its index, checked.
final class RunFileReader {
    let bytes: any RunBytes
    let index: RunIndex
    /// Position among the runs of the attempt, for faults.
    let number: Int

    /// Reads footer and index, or takes the index from `cache`.
    ///
    /// - Throws: `TaskFault.malformedMapOutput` when they are wrong or for another number of partitions.
    init(_ bytes: any RunBytes, number: Int, partitionCount: Int, cache: RunIndexCache) throws(TaskFault) {
        self.bytes = bytes
        self.number = number
        if let kept = cache.index(of: bytes) {
            index = kept
            return
        }
        let size = bytes.byteCount
        let footerSize = UInt64(RunIndex.footerByteCount)
        guard size >= footerSize else { throw RunFileReader.fault(.truncated, number) }
        let footerBytes = try RunFileReader.read(
            bytes,
            at: size - footerSize,
            byteCount: RunIndex.footerByteCount
        )
        do {
            let footer = try RunIndex.decodeFooter(footerBytes, fileByteCount: size)
            guard footer.partitionCount == partitionCount else { throw RunFault.badIndex }
            let indexBytes = try RunFileReader.read(
                bytes,
                at: footer.indexOffset,
                byteCount: footer.indexByteCount
            )
            index = try RunIndex.decode(indexBytes, footer: footer)
            cache.keep(index, of: bytes)
        } catch let error as RunFault {
            throw RunFileReader.fault(error, number)
        } catch let error as TaskFault {
            throw error
        } catch {
            throw RunFileReader.fault(.badIndex, number)
        }
    }

    static func fault(_ fault: RunFault, _ number: Int) -> TaskFault {
        .malformedMapOutput(runIndex: number, reason: "\(fault)")
    }

    private static func read(_ bytes: any RunBytes, at offset: UInt64, byteCount: Int) throws(TaskFault)
        -> [UInt8]
    {
        var result = [UInt8](repeating: 0, count: byteCount)
        if byteCount == 0 { return result }
        var fault: TaskFault?
        result.withUnsafeMutableBytes { buffer in
            do throws(TaskFault) { try bytes.read(at: offset, into: buffer) } catch { fault = error }
        }
        if let fault { throw fault }
        return result
    }
}

/// Walks the pairs of one partition of a run file, checking them on the way.
///
/// Holds one buffer; the current pair lies whole in it until the next call of `advance`.
final class PartitionCursor: MergeCursor {
    static let minBufferByteCount = 4 << 10

    private let run: RunFileReader
    private var buffer: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    /// Bytes of the buffer that are filled.
    private var filled = 0
    /// Where the next pair begins in the buffer.
    private var next = 0
    /// Where the current pair begins: kept through a refill, for the check of the order.
    private var current = 0
    private var fileOffset: UInt64
    private var unreadByteCount: UInt64
    private var remainingPairs: UInt64

    private(set) var key: UnsafePointer<UInt8>
    private(set) var keyByteCount = 0
    private(set) var valueByteCount = -1
    /// First bytes of the key, as in `SortEntry`.
    private(set) var prefix: UInt64 = 0

    init(_ run: RunFileReader, _ entry: RunIndex.Entry, bufferByteCount: Int) {
        self.run = run
        capacity = min(
            max(bufferByteCount, PartitionCursor.minBufferByteCount),
            Int(clamping: entry.byteCount)
        )
        buffer = .allocate(capacity: capacity + GrowingBytes.padding)
        buffer.initialize(repeating: 0, count: capacity + GrowingBytes.padding)
        key = UnsafePointer(buffer)
        fileOffset = entry.offset
        unreadByteCount = entry.byteCount
        remainingPairs = entry.pairCount
    }

    deinit { buffer.deallocate() }

    var keyBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: key, count: keyByteCount) }
    var valueBytes: UnsafeRawBufferPointer? {
        valueByteCount < 0 ? nil : UnsafeRawBufferPointer(start: key + keyByteCount, count: valueByteCount)
    }

    /// Moves to the next pair; `false` behind the last.
    ///
    /// - Throws: `TaskFault.malformedMapOutput` for anything that is not a sorted sequence of as many pairs as the
    ///   index says.
    func advance() throws(TaskFault) -> Bool {
        if remainingPairs == 0 {
            guard next == filled && unreadByteCount == 0 else { throw fault(.wrongPairCount) }
            return false
        }
        var header = try readHeader()
        while header == nil {
            guard unreadByteCount > 0 else { throw fault(.badPair) }
            try refill(needing: RunPair.maxHeaderByteCount)
            header = try readHeader()
        }
        guard let pair = header else { throw fault(.badPair) }
        if next + pair.byteCount > filled {
            guard UInt64(next + pair.byteCount - filled) <= unreadByteCount else { throw fault(.badPair) }
            try refill(needing: pair.byteCount)
        }
        try take(pair)
        return true
    }

    @inline(__always)
    private func take(_ pair: RunPair) throws(TaskFault) {
        let newKey = UnsafePointer(buffer + next + pair.headerByteCount)
        let newPrefix = SortEntry.prefix(of: newKey, byteCount: pair.keyByteCount)
        if newPrefix < prefix
            || newPrefix == prefix
                && KeyOrder.isLess(newKey, pair.keyByteCount, key, keyByteCount)
        {
            throw fault(.unsorted)
        }
        current = next
        next += pair.byteCount
        key = newKey
        keyByteCount = pair.keyByteCount
        valueByteCount = pair.valueByteCount
        prefix = newPrefix
        remainingPairs -= 1
    }

    @inline(__always)
    private func readHeader() throws(TaskFault) -> RunPair? {
        do { return try RunPair.readHeader(buffer + next, byteCount: filled - next) } catch {
            throw fault(error)
        }
    }

    /// Moves the current pair to the front and reads on until `needed` bytes from `next` on are there, or all.
    private func refill(needing needed: Int) throws(TaskFault) {
        let kept = filled - current
        let keyDistance = key - UnsafePointer(buffer + current)
        let wanted = next - current + needed
        if wanted > capacity {
            capacity = max(wanted, 2 * capacity)
            let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity + GrowingBytes.padding)
            memset(larger, 0, capacity + GrowingBytes.padding)
            memcpy(larger, buffer + current, kept)
            buffer.deallocate()
            buffer = larger
        } else if current > 0 {
            memmove(buffer, buffer + current, kept)
        }
        next -= current
        current = 0
        filled = kept
        key = UnsafePointer(buffer) + max(0, keyDistance)
        let readable = Int(min(UInt64(capacity - filled), unreadByteCount))
        guard readable > 0 else { throw fault(.truncated) }
        try run.bytes.read(
            at: fileOffset,
            into: UnsafeMutableRawBufferPointer(start: buffer + filled, count: readable)
        )
        filled += readable
        fileOffset += UInt64(readable)
        unreadByteCount -= UInt64(readable)
    }

    private func fault(_ fault: RunFault) -> TaskFault { RunFileReader.fault(fault, run.number) }
}
