import MRProtocol

/// Writes a run file (layout: `RunIndex`).
final class RunFileWriter: PairOutput {
    static let bufferByteCount = 128 << 10

    private let sink: any FileSink
    private var index: RunIndex
    private let buffer = GrowingBytes(capacity: 4 << 10)
    private var partition = 0
    private var partitionByteCount: UInt64 = 0
    private var partitionPairCount: UInt64 = 0

    init(_ sink: any FileSink, partitionCount: Int) {
        self.sink = sink
        index = RunIndex(partitionCount: partitionCount)
    }

    /// Pairs written so far.
    var pairCount: UInt64 { index.pairCount + partitionPairCount }
    /// Bytes of pairs written so far.
    var byteCount: UInt64 { index.dataByteCount + partitionByteCount }

    /// Starts a partition; they come in ascending order.
    func begin(partition: Int) {
        endPartition()
        self.partition = partition
    }

    func append(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws(TaskFault) {
        let valueByteCount = value?.count ?? -1
        let byteCount = RunPair.maxHeaderByteCount + key.count + max(0, valueByteCount)
        let header = RunPair.writeHeader(
            keyByteCount: key.count,
            valueByteCount: valueByteCount,
            to: buffer.room(for: byteCount)
        )
        buffer.commit(header)
        buffer.append(key)
        if let value { buffer.append(value) }
        partitionByteCount += UInt64(header + key.count + max(0, valueByteCount))
        partitionPairCount += 1
        if buffer.count >= RunFileWriter.bufferByteCount { try flush() }
    }

    /// Writes the index and ends the file.
    func finish() throws(TaskFault) -> any RunBytes {
        endPartition()
        buffer.append(contentsOf: index.encode())
        try flush()
        return try sink.finish()
    }

    private func endPartition() {
        guard partitionPairCount > 0 else { return }
        index.append(partition: partition, byteCount: partitionByteCount, pairCount: partitionPairCount)
        partitionByteCount = 0
        partitionPairCount = 0
    }

    private func flush() throws(TaskFault) {
        if buffer.count > 0 { try sink.write(buffer.bytes) }
        buffer.removeAll()
    }
}
