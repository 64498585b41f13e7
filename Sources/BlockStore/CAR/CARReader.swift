public import Multiformats

/// Reads a CAR of version 1 or 2 as a stream, checking every block; the index of version 2 is not read.
///
/// Every error has code `.badCAR` (or `.badBlock`, `.unsupported`) and says at which byte of the file it is.
public struct CARReader {
    /// Longest header, in bytes.
    public static let maxHeaderByteCount = 1 << 20
    /// Longest section: a block and its CID.
    public static let maxSectionByteCount = BlockLimits.maxByteCount + 512
    private static let version2Pragma: [UInt8] = [
        0x0a, 0xa1, 0x67, 0x76, 0x65, 0x72, 0x73, 0x69, 0x6f, 0x6e, 0x02,
    ]

    /// 1 or 2.
    public private(set) var version = 1
    /// Roots that the header names; they need not be in the file.
    public private(set) var roots: [CID] = []

    private var source: ByteSource
    /// Where the payload of a version 2 ends.
    private var end: UInt64?

    /// Reads the header.
    ///
    /// - Parameter read: fills a buffer from its front and returns the number of bytes; 0 at the end of the file.
    /// - Throws: `.badCAR`, and what `read` throws.
    public init(_ read: @escaping (UnsafeMutableRawBufferPointer) throws -> Int) throws {
        source = ByteSource(read)
        if try source.starts(with: Self.version2Pragma) { try readVersion2Header() }
        roots = try readHeader()
    }

    /// The next block; `nil` at the end.
    ///
    /// It is verified unless its hash function is not supported here.
    ///
    /// - Returns: the block, and the offset of its section in the file.
    /// - Throws: `.badCAR`, `.badBlock` or `.unsupported` with the offset, and what the source throws.
    public mutating func next() throws -> (cid: CID, bytes: ArraySlice<UInt8>, offset: UInt64)? {
        let offset = source.offset
        if let end, offset >= end {
            guard offset == end else { throw damage(offset, "a section passes the end of the payload") }
            return nil
        }
        if try source.isAtEnd() {
            if end != nil { throw damage(offset, "the file ends inside the payload") }
            return nil
        }
        let section = try readSection(limit: Self.maxSectionByteCount)
        let cid: CID
        let count: Int
        do throws(CIDFault) {
            (cid, count) = try CID.decodePrefix(section[...])
        } catch {
            throw damage(offset, "a section does not start with a CID (\(error))")
        }
        let block = section[count...]
        do throws(BlockStoreError) {
            try Array(block).withBytes { (buffer) throws(BlockStoreError) in
                try Verification.check(cid, buffer)
            }
        } catch {
            // A hash that cannot be checked here is the importer's to refuse, not damage.
            if error.code == .unsupported { return (cid, block, offset) }
            var told = error
            told.offset = offset
            told.message += ", at byte \(offset) of the CAR"
            throw told
        }
        return (cid, block, offset)
    }

    private mutating func readVersion2Header() throws {
        version = 2
        _ = try source.take(Self.version2Pragma.count)
        guard let head = try source.take(40) else {
            throw damage(source.offset, "the version 2 header is cut short")
        }
        let number = { (at: Int) in (0..<8).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64(head[at + $1]) } }
        let start = number(16)
        let (end, overflows) = start.addingReportingOverflow(number(24))
        guard !overflows, start >= source.offset else {
            throw damage(27, "the payload's place is impossible")
        }
        guard try source.skip(to: start) else {
            throw damage(source.offset, "the file ends before its payload")
        }
        self.end = end
    }

    private mutating func readHeader() throws -> [CID] {
        let offset = source.offset
        guard try !source.isAtEnd() else { throw damage(offset, "it has no header") }
        let bytes = try readSection(limit: Self.maxHeaderByteCount)
        let header: DagCBOR
        do throws(DagCBORFault) { header = try DagCBOR(decoding: bytes) } catch {
            throw damage(offset, "the header is not dag-cbor (\(error))")
        }
        guard case .map(let entries) = header, entries["version"] == .unsigned(1) else {
            throw damage(offset, "the header is not one of version 1")
        }
        guard case .array(let links)? = entries["roots"] else {
            throw damage(offset, "the header names no roots")
        }
        return try links.map { link in
            guard case .link(let cid) = link else { throw damage(offset, "a root is not a link") }
            return cid
        }
    }

    private mutating func readSection(limit: Int) throws -> [UInt8] {
        let offset = source.offset
        guard let count = try source.takeVarint(), count > 0 else {
            throw damage(offset, "a section has no length")
        }
        guard count <= UInt64(limit) else { throw damage(offset, "a section of \(count) bytes is too long") }
        guard let bytes = try source.take(Int(count)) else {
            throw damage(offset, "the file ends inside a section of \(count) bytes")
        }
        return bytes
    }

    private func damage(_ offset: UInt64, _ what: String) -> BlockStoreError {
        BlockStoreError(.badCAR, "damaged CAR at byte \(offset): \(what)", offset: offset)
    }
}

/// Bytes of a stream, with a look ahead.
private struct ByteSource {
    private static let readByteCount = 256 << 10

    private let read: (UnsafeMutableRawBufferPointer) throws -> Int
    private var buffer: [UInt8] = []
    private var start = 0
    /// Bytes taken so far.
    private(set) var offset: UInt64 = 0

    init(_ read: @escaping (UnsafeMutableRawBufferPointer) throws -> Int) { self.read = read }

    mutating func isAtEnd() throws -> Bool { try !require(1) }

    mutating func starts(with bytes: [UInt8]) throws -> Bool {
        try require(bytes.count) && buffer[start...].starts(with: bytes)
    }

    /// - Returns: `nil` when fewer bytes are left.
    mutating func take(_ count: Int) throws -> [UInt8]? {
        guard try require(count) else { return nil }
        defer { advance(count) }
        return Array(buffer[start..<(start + count)])
    }

    mutating func takeVarint() throws -> UInt64? {
        _ = try require(Varint.maxByteCount)
        // Any fault means the same to the caller: no length here.
        guard let (value, count) = try? Varint.decode(buffer[start...].prefix(Varint.maxByteCount)) else {
            return nil
        }
        advance(count)
        return value
    }

    mutating func skip(to target: UInt64) throws -> Bool {
        while offset < target {
            guard try require(1) else { return false }
            advance(Int(min(target - offset, UInt64(buffer.count - start))))
        }
        return true
    }

    private mutating func advance(_ count: Int) {
        start += count
        offset += UInt64(count)
    }

    private mutating func require(_ count: Int) throws -> Bool {
        while buffer.count - start < count {
            buffer.removeFirst(start)
            start = 0
            let have = buffer.count
            let room = max(Self.readByteCount, count - have)
            buffer += [UInt8](repeating: 0, count: room)
            let got = try buffer.withUnsafeMutableBytes {
                try read(UnsafeMutableRawBufferPointer(rebasing: $0[have...]))
            }
            buffer.removeLast(room - got)
            if got == 0 { return false }
        }
        return true
    }
}
