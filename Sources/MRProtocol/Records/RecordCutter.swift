/// Cuts the records that one segment owns out of its leaves, wherever the leaf boundaries fall.
///
/// Feed it the leaves of the segment with `cut`, then `lookAhead` leaf by leaf until `isDone`, then `finish`. It hands out
/// *chunks*: contiguous bytes of one or more whole records, each with its delimiter (only the last record of a file may
/// lack one). Within a leaf a chunk is a slice of the leaf; only a record that crosses a boundary is copied.
///
/// States: skipping (the first delimiter not found yet) → cutting → done.
public struct RecordCutter {
    private enum State {
        case skipping
        case cutting
        case done
    }

    private let delimiter: Delimiter
    private let fileName: String
    private let limit: Int
    private let skipsLongRecords: Bool
    private var state: State
    /// The record at the end of the bytes seen, whose delimiter is still to come.
    private var carry: [UInt8] = []
    /// The record being read is over the limit: its bytes are dropped.
    private var isDiscarding = false
    /// Offset in the file of the next byte to be fed.
    private var offset: UInt64

    /// Records over the limit that were skipped.
    public private(set) var skippedRecords: UInt64 = 0

    /// A cutter for `segment`.
    ///
    /// `limit` is the longest record in bytes, without its delimiter; longer ones are thrown, or skipped and counted.
    public init(segment: MapSegment, delimiter: Delimiter, limit: Int, skipsLongRecords: Bool) {
        self.delimiter = delimiter
        self.limit = limit
        self.skipsLongRecords = skipsLongRecords
        fileName = segment.fileName
        offset = segment.fileOffset
        state = segment.fileOffset == 0 ? .cutting : .skipping
    }

    /// No later byte can change what this segment owns.
    public var isDone: Bool { state == .done }

    /// Takes the next of the segment's own leaves.
    ///
    /// `body` gets each chunk and the offset in the file of its first byte.
    ///
    /// - Throws: `TaskFault.recordTooLong`, and what `body` throws.
    public mutating func cut(
        _ leaf: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer, UInt64) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        defer { offset += UInt64(leaf.count) }
        var position = 0
        if state == .skipping {
            guard let first = delimiter.first(in: leaf, from: 0) else { return }
            state = .cutting
            position = first + 1
        } else if isDiscarding || !carry.isEmpty {
            guard let next = try endCarry(leaf, body) else { return }
            position = next
        }
        if let last = delimiter.last(in: leaf, from: position) {
            try hand(
                UnsafeRawBufferPointer(rebasing: leaf[position...last]),
                at: offset + UInt64(position),
                body
            )
            position = last + 1
        }
        try keep(UnsafeRawBufferPointer(rebasing: leaf[position...]), recordStart: offset + UInt64(position))
    }

    /// Takes the next leaf behind the segment; it ends the record that began in the segment or right at its end.
    public mutating func lookAhead(
        _ leaf: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer, UInt64) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        defer { offset += UInt64(leaf.count) }
        guard state == .cutting else {
            state = .done
            return
        }
        if try endCarry(leaf, body) != nil { state = .done }
    }

    /// Ends the segment: there are no more leaves.
    ///
    /// - Throws: `TaskFault.recordTooLong` when the last record has not ended and the file goes on.
    public mutating func finish(
        atEndOfFile: Bool,
        _ body: (UnsafeRawBufferPointer, UInt64) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        defer { state = .done }
        guard state == .cutting, !isDiscarding else { return }
        guard atEndOfFile else { return try dropLongRecord(at: offset - UInt64(carry.count)) }
        if !carry.isEmpty { try handCarry(body, at: offset - UInt64(carry.count)) }
    }

    /// Completes the carried record with the front of `leaf`.
    ///
    /// - Returns: where the next record begins in `leaf`, or `nil` when `leaf` holds no delimiter.
    private mutating func endCarry(
        _ leaf: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer, UInt64) throws(TaskFault) -> Void
    ) throws(TaskFault) -> Int? {
        guard let end = delimiter.first(in: leaf, from: 0) else {
            try keep(leaf, recordStart: offset - UInt64(carry.count))
            return nil
        }
        let recordStart = offset - UInt64(carry.count)
        try keep(UnsafeRawBufferPointer(rebasing: leaf[..<end]), recordStart: recordStart)
        if isDiscarding {
            isDiscarding = false
        } else {
            carry.append(leaf[end])
            try handCarry(body, at: recordStart)
        }
        return end + 1
    }

    /// Adds bytes of a record that has not ended yet.
    private mutating func keep(_ bytes: UnsafeRawBufferPointer, recordStart: UInt64) throws(TaskFault) {
        if isDiscarding || bytes.isEmpty { return }
        if carry.count + bytes.count > limit { return try dropLongRecord(at: recordStart) }
        carry.append(contentsOf: bytes)
    }

    private mutating func dropLongRecord(at start: UInt64) throws(TaskFault) {
        guard skipsLongRecords else {
            throw .recordTooLong(file: fileName, offset: start, limit: limit)
        }
        skippedRecords += 1
        isDiscarding = true
        carry = []
    }

    private mutating func handCarry(
        _ body: (UnsafeRawBufferPointer, UInt64) throws(TaskFault) -> Void,
        at start: UInt64
    ) throws(TaskFault) {
        let record = carry
        carry = []
        var fault: TaskFault?
        record.withUnsafeBytes { bytes in
            do throws(TaskFault) { try body(bytes, start) } catch { fault = error }
        }
        if let fault { throw fault }
    }

    /// Hands out whole records; one by one when they could hide one over the limit.
    private mutating func hand(
        _ chunk: UnsafeRawBufferPointer,
        at start: UInt64,
        _ body: (UnsafeRawBufferPointer, UInt64) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        if chunk.count <= limit { return try body(chunk, start) }
        var position = 0
        while position < chunk.count, let end = delimiter.first(in: chunk, from: position) {
            if end - position > limit {
                guard skipsLongRecords else {
                    throw .recordTooLong(file: fileName, offset: start + UInt64(position), limit: limit)
                }
                skippedRecords += 1
            } else {
                let record = UnsafeRawBufferPointer(rebasing: chunk[position...end])
                try body(record, start + UInt64(position))
            }
            position = end + 1
        }
    }
}
