import FunctionProtocol

/// The bytes that a command reads from its standard input: a line for each record or pair.
///
/// Behind every key stands a tab, as Hadoop's `TextInputWriter` puts one there whatever the value.
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

    /// A map's record without its key; of `kv` the pair as it lies in the file, as Hadoop does with formats other than
    /// `TextInputFormat`.
    private mutating func take(_ chunk: RecordChunk) {
        switch chunk.format {
        case .lines:
            lines = chunk.bytes
        case .kv:
            lines.reserveCapacity(chunk.bytes.count)
            var rest = chunk.bytes[...]
            while !rest.isEmpty {
                let line = rest.prefix { $0 != UInt8(ascii: "\n") }
                lines += line
                if !line.contains(UInt8(ascii: "\t")) { lines.append(UInt8(ascii: "\t")) }
                lines.append(UInt8(ascii: "\n"))
                rest = rest[line.endIndex...].dropFirst()
            }
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
                lines.append(UInt8(ascii: "\t"))
                if let value { lines += value }
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
