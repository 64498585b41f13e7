import FunctionProtocol

/// Where the record lies that is being mapped.
struct RecordPlace {
    private let input: String?
    var records = RecordPiece()

    /// No record: a combine or a reduce.
    init() { input = nil }

    init(_ input: String) { self.input = input }

    /// Adds input, offset and the front of record `index` to a fault.
    ///
    /// - Returns: `false` when there is no record.
    func describe(_ index: Int, in fault: inout FunctionFault) -> Bool {
        guard let input, records.ends.indices.contains(index) else { return false }
        fault.input = input
        fault.offset = records.offsets[index]
        fault.excerpt = Array(
            records.bytes[records.range(of: index)].prefix(FunctionFault.maxExcerptByteCount)
        )
        return true
    }
}

extension RecordPiece {
    /// Where a record lies in `bytes`.
    func range(of index: Int) -> Range<Int> { (index == 0 ? 0 : ends[index - 1] + 1)..<ends[index] }
}
