import Multiformats

/// Where the partitions of a run file lie.
///
/// A run file is what one or more map tasks hand to the reduces: for every partition its pairs, in key byte order, pairs
/// of one key in the order of their input. Only the index says where a partition begins, so a reduce reads the footer,
/// the index and its own partition, and nothing else.
///
/// **Layout**: the pairs of the partitions in ascending order without gaps (see `RunPair`), the index, the footer.
/// The index has, for every partition that is not empty, ascending, three uvarints: partition number minus the previous
/// one's (the first: minus 0), byte count, pair count. The footer is 24 bytes: offset of the index (8, little-endian),
/// byte count of the index (4, LE), number of partitions (4, LE), `MRRUN` (5), two zeros, version (1).
public struct RunIndex: Hashable, Sendable {
    /// One partition that holds pairs.
    public struct Entry: Hashable, Sendable {
        /// Number of the partition.
        public var partition: Int
        /// Where its pairs begin in the file.
        public var offset: UInt64
        /// Number of bytes.
        public var byteCount: UInt64
        /// Number of its pairs.
        public var pairCount: UInt64
    }

    /// What the last bytes of the file say.
    public struct Footer: Hashable, Sendable {
        /// Where the index begins.
        public var indexOffset: UInt64
        /// Bytes of the index.
        public var indexByteCount: Int
        /// Number of partitions of the job.
        public var partitionCount: Int
    }

    /// Version of the format; part of the keys of remembered outputs.
    public static let version: UInt8 = 1
    /// Bytes of the footer.
    public static let footerByteCount = 24
    /// Most bytes an index may take: three uvarints for every possible partition.
    public static let maxIndexByteCount = JobSpec.maxReduceCount * 27

    static let magic: [UInt8] = [0x4d, 0x52, 0x52, 0x55, 0x4e, 0, 0]

    /// Partitions that hold pairs, ascending.
    public private(set) var entries: [Entry] = []
    /// Number of partitions of the job.
    public let partitionCount: Int
    /// Bytes of all partitions together.
    public private(set) var dataByteCount: UInt64 = 0

    /// An index without pairs.
    public init(partitionCount: Int) {
        self.partitionCount = partitionCount
    }

    /// Pairs of all partitions together.
    public var pairCount: UInt64 { entries.reduce(0) { $0 + $1.pairCount } }

    /// Adds the next partition that holds pairs.
    public mutating func append(partition: Int, byteCount: UInt64, pairCount: UInt64) {
        precondition(partition < partitionCount && partition > (entries.last?.partition ?? -1))
        entries.append(
            Entry(partition: partition, offset: dataByteCount, byteCount: byteCount, pairCount: pairCount)
        )
        dataByteCount += byteCount
    }

    /// The entry of `partition`, or `nil` when it holds no pairs.
    public func entry(for partition: Int) -> Entry? {
        var low = 0
        var high = entries.count
        while low < high {
            let middle = (low + high) / 2
            if entries[middle].partition < partition { low = middle + 1 } else { high = middle }
        }
        return low < entries.count && entries[low].partition == partition ? entries[low] : nil
    }

    /// Index and footer, the bytes that follow the pairs.
    public func encode() -> [UInt8] {
        var bytes: [UInt8] = []
        var previous = 0
        for entry in entries {
            Varint.append(UInt64(entry.partition - previous), to: &bytes)
            Varint.append(entry.byteCount, to: &bytes)
            Varint.append(entry.pairCount, to: &bytes)
            previous = entry.partition
        }
        let indexByteCount = bytes.count
        append(dataByteCount, byteCount: 8, to: &bytes)
        append(UInt64(indexByteCount), byteCount: 4, to: &bytes)
        append(UInt64(partitionCount), byteCount: 4, to: &bytes)
        bytes += RunIndex.magic
        bytes.append(RunIndex.version)
        return bytes
    }

    private func append(_ value: UInt64, byteCount: Int, to bytes: inout [UInt8]) {
        for shift in 0..<byteCount { bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(8 * shift))) }
    }

    /// Reads the last `footerByteCount` bytes of a file of `fileByteCount` bytes.
    ///
    /// - Throws: `RunFault.notARun`, `.unsupportedVersion`, `.badIndex`.
    public static func decodeFooter(_ bytes: [UInt8], fileByteCount: UInt64) throws(RunFault) -> Footer {
        guard bytes.count == footerByteCount, fileByteCount >= UInt64(footerByteCount) else {
            throw .truncated
        }
        guard Array(bytes[16..<23]) == magic else { throw .notARun }
        guard bytes[23] == version else { throw .unsupportedVersion(bytes[23]) }
        func number(_ range: Range<Int>) -> UInt64 {
            bytes[range].reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
        let footer = Footer(
            indexOffset: number(0..<8),
            indexByteCount: Int(number(8..<12)),
            partitionCount: Int(number(12..<16))
        )
        let end = fileByteCount - UInt64(footerByteCount)
        guard footer.indexByteCount <= maxIndexByteCount,
            (1...JobSpec.maxReduceCount).contains(footer.partitionCount),
            footer.indexOffset <= end,
            end - footer.indexOffset == UInt64(footer.indexByteCount)
        else { throw .badIndex }
        return footer
    }

    /// Reads the index that `footer` describes.
    ///
    /// - Throws: `RunFault.badIndex` when the entries do not tile the bytes before the index.
    public static func decode(_ bytes: [UInt8], footer: Footer) throws(RunFault) -> RunIndex {
        guard bytes.count == footer.indexByteCount else { throw .truncated }
        var index = RunIndex(partitionCount: footer.partitionCount)
        var position = 0
        var previous: UInt64 = 0
        while position < bytes.count {
            let step = try number(in: bytes, at: &position)
            let byteCount = try number(in: bytes, at: &position)
            let pairCount = try number(in: bytes, at: &position)
            let (partition, overflow) = previous.addingReportingOverflow(step)
            guard !overflow, partition < UInt64(footer.partitionCount), step > 0 || index.entries.isEmpty,
                byteCount <= footer.indexOffset - index.dataByteCount, pairCount > 0,
                pairCount <= byteCount / UInt64(RunPair.minByteCount)
            else { throw .badIndex }
            index.append(partition: Int(partition), byteCount: byteCount, pairCount: pairCount)
            previous = partition
        }
        guard index.dataByteCount == footer.indexOffset else { throw .badIndex }
        return index
    }

    private static func number(in bytes: [UInt8], at position: inout Int) throws(RunFault) -> UInt64 {
        if position < bytes.count, bytes[position] < 0x80 {  // nearly all of them
            position += 1
            return UInt64(bytes[position - 1])
        }
        let found: (value: UInt64, byteCount: Int)?
        do { found = try Varint.decode(bytes[position...]) } catch { throw .badIndex }
        guard let found else { throw .badIndex }
        position += found.byteCount
        return found.value
    }
}
