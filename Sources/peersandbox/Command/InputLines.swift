import FunctionProtocol

/// The bytes that a command reads from its standard input: a line for each record or pair.
struct InputLines {
    private var lines: [UInt8] = []
    private var position = 0

    var isEmpty: Bool { position == lines.count }

    /// What is still to be written.
    func withUnwritten<Result>(_ body: (UnsafeRawBufferPointer) -> Result) -> Result {
        lines.withUnsafeBytes { body(UnsafeRawBufferPointer(rebasing: $0[position...])) }
    }

    mutating func wrote(_ byteCount: Int) { position += byteCount }

    /// The command reads no more.
    mutating func drop() { position = lines.count }

    /// Takes the records or pairs of a frame, when those before them are written.
    mutating func take(_ frame: Frame) throws(FunctionFault) {
        position = 0
        lines.removeAll(keepingCapacity: true)
        switch frame.kind {
        case .records:
            guard let chunk = RecordChunk(body: frame.body) else { throw InputLines.malformed(frame.kind) }
            take(chunk)
        default:
            try takePairs(frame)
        }
    }

    /// A map's record without its key; `kv` records as they lie in the file, which are lines already.
    private mutating func take(_ chunk: RecordChunk) {
        switch chunk.format {
        case .lines, .kv:
            lines = chunk.bytes
        case .crlf:
            lines.reserveCapacity(chunk.bytes.count)
            var previous: UInt8 = 0
            for byte in chunk.bytes {
                if byte == UInt8(ascii: "\n"), previous == UInt8(ascii: "\r") { lines.removeLast() }
                lines.append(byte)
                previous = byte
            }
        case .words:
            lines.reserveCapacity(chunk.bytes.count + 1)
            var isInWord = false
            for byte in chunk.bytes {
                let isSpace = InputLines.isSpace(byte)
                if !isSpace { lines.append(byte) } else if isInWord { lines.append(UInt8(ascii: "\n")) }
                isInWord = !isSpace
            }
        }
        if let last = lines.last, last != UInt8(ascii: "\n") { lines.append(UInt8(ascii: "\n")) }
    }

    private mutating func takePairs(_ frame: Frame) throws(FunctionFault) {
        let isWhole = frame.body.withUnsafeBytes { bytes in
            PackedPairs.forEach(in: bytes) { key, value in
                lines += key
                if let value {
                    lines.append(UInt8(ascii: "\t"))
                    lines += value
                }
                lines.append(UInt8(ascii: "\n"))
            }
        }
        guard isWhole else { throw InputLines.malformed(frame.kind) }
    }

    private static func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }

    private static func malformed(_ kind: Frame.Kind) -> FunctionFault {
        FunctionFault(.protocolViolation, "a malformed frame of kind \(kind)")
    }
}
