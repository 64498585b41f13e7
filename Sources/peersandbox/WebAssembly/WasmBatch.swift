import FunctionProtocol

/// Records as a module gets them: bytes of the input with their delimiters, or packed pairs.
struct WasmBatch {
    struct Record {
        /// With its delimiter, counted from the front of the batch.
        let range: Range<Int>
        /// In its input.
        let offset: UInt64
    }

    /// Whole records that are handed over in one call.
    struct Piece {
        /// Counted from the front of the batch.
        let range: Range<Int>
        /// Where the first begins in its input.
        let offset: UInt64
    }

    /// A piece ends behind the record with which it is this large, in bytes: between two pieces the node sees that the module
    /// gets on.
    static let pieceByteCount = 32 << 10

    let format: RecordChunk.Format
    let input: String
    let offset: UInt64
    let bytes: ArraySlice<UInt8>
    /// Found when needed.
    var records: [Record] { kvRecords ?? WasmBatch.cut(bytes, format, offset) }
    private let kvRecords: [Record]?

    /// Reads a `records` frame.
    init(_ body: [UInt8]) throws(FunctionFault) {
        var byteCount = 0
        (format, input, offset) = try body.withUnsafeBufferPointer { body throws(FunctionFault) in
            let chunk = try RecordChunkView(UnsafeRawBufferPointer(body))
            byteCount = chunk.bytes.count
            return (chunk.format, chunk.input, chunk.offset)
        }
        let text = body.suffix(byteCount)
        if format == .kv {
            let (packed, records) = try WasmBatch.pack(text, input, offset)
            bytes = packed[...]
            kvRecords = records
        } else {
            bytes = text
            kvRecords = nil
        }
    }

    /// The pairs of escaped lines.
    private static func pack(
        _ text: ArraySlice<UInt8>,
        _ input: String,
        _ offset: UInt64
    ) throws(FunctionFault) -> (packed: [UInt8], records: [Record]) {
        var packed: [UInt8] = []
        var records: [Record] = []
        for line in cut(text, .lines, offset) {
            let start = packed.count
            let content = text.part(line.range)
            guard EscapedLine.pack(content.last == 0x0a ? content.dropLast() : content, to: &packed) else {
                throw .malformedPair(input: input, offset: line.offset, excerpt: content)
            }
            records.append(Record(range: start..<packed.count, offset: line.offset))
        }
        return (packed, records)
    }

    private static func cut(_ bytes: ArraySlice<UInt8>, _ format: RecordChunk.Format, _ offset: UInt64)
        -> [Record]
    {
        bytes.withUnsafeBytes { bytes in
            let chunk = RecordChunkView(format: format, offset: offset, bytes: bytes)
            var records: [Record] = []
            var position = 0
            while let content = chunk.record(at: &position) {
                let end = max(position, content.upperBound)
                records.append(
                    Record(range: content.lowerBound..<end, offset: offset + UInt64(content.lowerBound))
                )
            }
            return records
        }
    }

    /// The batch, cut into pieces.
    var pieces: [Piece] {
        if let kvRecords { return WasmBatch.pieces(of: kvRecords) }
        var pieces: [Piece] = []
        var start = 0
        while start < bytes.count {
            let end = end(ofPieceAt: start)
            pieces.append(Piece(range: start..<end, offset: offset + UInt64(start)))
            start = end
        }
        return pieces
    }

    private static func pieces(of records: [Record]) -> [Piece] {
        var pieces: [Piece] = []
        var first = records.first
        for (index, record) in records.enumerated() {
            guard let start = first else { break }
            let end = record.range.upperBound
            let isLast = index == records.count - 1
            guard isLast || end - start.range.lowerBound >= pieceByteCount else { continue }
            pieces.append(Piece(range: start.range.lowerBound..<end, offset: start.offset))
            first = isLast ? nil : records[index + 1]
        }
        return pieces
    }

    private func end(ofPieceAt start: Int) -> Int {
        let least = start + WasmBatch.pieceByteCount
        guard least < bytes.count else { return bytes.count }
        let rest = bytes[(bytes.startIndex + least - 1)...]
        let last = rest.firstIndex(where: format == .words ? RecordChunkView.isSpace : { $0 == 0x0a })
        return last.map { $0 - bytes.startIndex + 1 } ?? bytes.count
    }

    /// The records of a piece.
    func records(in piece: Piece) -> [Record] {
        records.filter { piece.range.contains($0.range.lowerBound) }
    }

    /// Adds the place and the front of a record to a fault.
    func describe(_ fault: FunctionFault, _ record: Record?) -> FunctionFault {
        var fault = fault
        fault.input = input
        guard let record else { return fault }
        fault.offset = record.offset
        var content = bytes.part(record.range)
        if format == .kv { content = WasmBatch.line(ofPair: content) }
        while let last = content.last, last == 0x0a || last == 0x0d { content.removeLast() }
        fault.excerpt = Array(content.prefix(FunctionFault.maxExcerptByteCount))
        return fault
    }
}

extension WasmBatch {
    /// A packed pair as its line is shown.
    private static func line(ofPair pair: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var line: [UInt8] = []
        pair.withUnsafeBytes { bytes in
            _ = PackedPairs.forEach(in: bytes) { key, value in
                line += key
                if let value { line += [0x09] + value }
            }
        }
        return line[...]
    }
}

extension ArraySlice {
    /// The elements at `range`, counted from the front of the slice.
    fileprivate func part(_ range: Range<Int>) -> ArraySlice {
        self[startIndex + range.lowerBound..<startIndex + range.upperBound]
    }
}
