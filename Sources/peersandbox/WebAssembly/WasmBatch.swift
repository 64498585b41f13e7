import FunctionProtocol

/// Records as a module gets them: bytes of the input with their delimiters, or packed pairs.
struct WasmBatch {
    struct Record {
        /// With its delimiter, counted from the front of the batch.
        let range: Range<Int>
        /// In its input.
        let offset: UInt64
    }

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

    /// Adds the place and the front of record `index` to a fault.
    func describe(_ fault: FunctionFault, _ index: Int) -> FunctionFault {
        var fault = fault
        fault.input = input
        let records = records
        guard records.indices.contains(index) else { return fault }
        fault.offset = records[index].offset
        var content = bytes.part(records[index].range)
        if format == .kv { content = content.dropFirst(PackedPairs.headByteCount) }
        while let last = content.last, last == 0x0a || last == 0x0d { content.removeLast() }
        fault.excerpt = Array(content.prefix(FunctionFault.maxExcerptByteCount))
        return fault
    }
}

extension ArraySlice {
    /// The elements at `range`, counted from the front of the slice.
    fileprivate func part(_ range: Range<Int>) -> ArraySlice {
        self[startIndex + range.lowerBound..<startIndex + range.upperBound]
    }
}
