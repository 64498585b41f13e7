import FunctionProtocol
import Glibc

/// Records of a chunk on their way into a function: one byte string with a newline between them, so that one call moves
/// many.
struct RecordPiece {
    /// A piece ends behind the record with which it is this large, in bytes.
    static let byteCount = 64 << 10

    /// The records; behind them is room for a NUL.
    private(set) var bytes: [UInt8] = []
    /// Where each record ends in `bytes`.
    private(set) var ends: [Int] = []
    /// Where each record begins in its input.
    private(set) var offsets: [UInt64] = []

    var count: Int { ends.count }

    /// Takes the next records of a chunk; `position` is where the first begins in it, and is moved behind the last.
    ///
    /// - Returns: `false` when the chunk holds no more.
    mutating func fill(from chunk: borrowing RecordChunkView, at position: inout Int, capacity: Int) -> Bool {
        bytes.removeAll(keepingCapacity: true)
        ends.removeAll(keepingCapacity: true)
        offsets.removeAll(keepingCapacity: true)
        while ends.count < capacity, bytes.count < RecordPiece.byteCount,
            let record = chunk.record(at: &position)
        {
            if !ends.isEmpty { bytes.append(0x0a) }
            bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: chunk.bytes[record]))
            ends.append(bytes.count)
            offsets.append(chunk.offset + UInt64(record.lowerBound))
        }
        return !ends.isEmpty
    }
}

/// A `records` frame, read in place.
struct RecordChunkView: ~Copyable {
    let format: RecordChunk.Format
    let input: String
    let offset: UInt64
    let bytes: UnsafeRawBufferPointer

    init(format: RecordChunk.Format, offset: UInt64, bytes: UnsafeRawBufferPointer) {
        self.format = format
        self.offset = offset
        self.bytes = bytes
        input = ""
    }

    /// Reads a frame's body, which must outlive this.
    init(_ body: UnsafeRawBufferPointer) throws(FunctionFault) {
        // Format, offset, and the length of the input's name.
        let fixedByteCount = 1 + 8 + 4
        guard body.count >= fixedByteCount, let format = RecordChunk.Format(rawValue: body[0]) else {
            throw .malformedChunk
        }
        let nameCount = Int(UInt32(littleEndian: body.loadUnaligned(fromByteOffset: 9, as: UInt32.self)))
        guard body.count - fixedByteCount >= nameCount else { throw .malformedChunk }
        self.format = format
        offset = UInt64(littleEndian: body.loadUnaligned(fromByteOffset: 1, as: UInt64.self))
        input = String(decoding: body[fixedByteCount..<fixedByteCount + nameCount], as: UTF8.self)
        bytes = UnsafeRawBufferPointer(rebasing: body[(fixedByteCount + nameCount)...])
    }

    /// The next record without its delimiter, or `nil` behind the last.
    func record(at position: inout Int) -> Range<Int>? {
        format == .words ? word(at: &position) : line(at: &position)
    }

    private func line(at position: inout Int) -> Range<Int>? {
        guard position < bytes.count, let base = bytes.baseAddress else { return nil }
        let start = position
        let newline = memchr(base + start, 0x0a, bytes.count - start)
        var end = newline.map { UnsafeRawPointer($0) - base } ?? bytes.count
        position = newline == nil ? end : end + 1
        if format == .crlf, newline != nil, end > start, bytes[end - 1] == 0x0d { end -= 1 }
        return start..<end
    }

    private func word(at position: inout Int) -> Range<Int>? {
        while position < bytes.count, RecordChunkView.isSpace(bytes[position]) { position += 1 }
        guard position < bytes.count else { return nil }
        let start = position
        while position < bytes.count, !RecordChunkView.isSpace(bytes[position]) { position += 1 }
        return start..<position
    }

    /// What separates words in the C locale.
    static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || 0x09...0x0d ~= byte }
}

extension FunctionFault {
    static var malformedChunk: FunctionFault {
        FunctionFault(.protocolViolation, "a chunk of records that is malformed")
    }

    static var malformedPairs: FunctionFault {
        FunctionFault(.protocolViolation, "packed pairs that end within a pair")
    }
}
