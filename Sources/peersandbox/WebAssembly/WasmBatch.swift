import FunctionProtocol

/// Records as a module gets them: bytes of the input with their delimiters, or packed pairs.
struct WasmBatch {
    struct Record {
        /// With its delimiter.
        let range: Range<Int>
        /// In its input.
        let offset: UInt64
    }

    let format: RecordChunk.Format
    let input: String
    let offset: UInt64
    let bytes: [UInt8]
    /// Found when needed.
    var records: [Record] { kvRecords ?? WasmBatch.cut(bytes, format, offset) }
    private let kvRecords: [Record]?

    /// Reads a `records` frame.
    init(_ body: [UInt8]) throws(FunctionFault) {
        guard let chunk = RecordChunk(body: body) else { throw .malformedChunk }
        format = chunk.format
        input = chunk.input
        offset = chunk.offset
        guard chunk.format == .kv else {
            bytes = chunk.bytes
            kvRecords = nil
            return
        }
        var packed: [UInt8] = []
        var records: [Record] = []
        for line in WasmBatch.cut(chunk.bytes, .lines, chunk.offset) {
            let start = packed.count
            let text = chunk.bytes[line.range]
            guard EscapedLine.pack(text.last == 0x0a ? text.dropLast() : text, to: &packed) else {
                throw .malformedPair(input: chunk.input, offset: line.offset, excerpt: text)
            }
            records.append(Record(range: start..<packed.count, offset: line.offset))
        }
        bytes = packed
        kvRecords = records
    }

    private static func cut(_ bytes: [UInt8], _ format: RecordChunk.Format, _ offset: UInt64) -> [Record] {
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
        var content = bytes[records[index].range]
        if format == .kv { content = content.dropFirst(PackedPairs.headByteCount) }
        while let last = content.last, last == 0x0a || last == 0x0d { content.removeLast() }
        fault.excerpt = Array(content.prefix(FunctionFault.maxExcerptByteCount))
        return fault
    }
}
