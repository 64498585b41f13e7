import MRProtocol

/// Writes the pairs of one part of the result.
final class PartWriter: PairOutput {
    static let bufferByteCount = 128 << 10

    private let sink: any FileSink
    private let format: OutputFormat
    private let buffer = GrowingBytes(capacity: 4 << 10)
    private(set) var recordCount: UInt64 = 0
    private(set) var byteCount: UInt64 = 0

    init(_ sink: any FileSink, format: OutputFormat) {
        self.sink = sink
        self.format = format
    }

    func append(key: UnsafeRawBufferPointer, value: UnsafeRawBufferPointer?) throws(TaskFault) {
        switch format {
        case .text:
            buffer.append(key)
            if let value {
                buffer.append(0x09)
                buffer.append(value)
            }
        case .kv:
            EscapedPair.append(key, to: buffer)
            if let value {
                buffer.append(0x09)
                EscapedPair.append(value, to: buffer)
            }
        }
        buffer.append(0x0a)
        recordCount += 1
        if buffer.count >= PartWriter.bufferByteCount { try flush() }
    }

    /// Ends the file.
    func finish() throws(TaskFault) {
        try flush()
        _ = try sink.finish()
    }

    private func flush() throws(TaskFault) {
        if buffer.count > 0 { try sink.write(buffer.bytes) }
        byteCount += UInt64(buffer.count)
        buffer.removeAll()
    }
}

/// The `kv` form of a pair: `key TAB value LF` with escapes, so that a file of pairs can be cut at any `\n`.
///
/// In keys and values `\` is written `\\`, a tab `\t`, a newline `\n`; everything else stands for itself. A pair
/// without a value has no tab.
enum EscapedPair {
    static func append(_ bytes: UnsafeRawBufferPointer, to target: GrowingBytes) {
        for byte in bytes {
            switch byte {
            case 0x5c: target.append(0x5c)
            case 0x09, 0x0a: target.append(0x5c)
            default: break
            }
            target.append(byte == 0x09 ? 0x74 : byte == 0x0a ? 0x6e : byte)
        }
    }

    /// Appends the bytes that `escaped` stands for; `false` when it has an escape that does not exist.
    static func appendUnescaped(_ escaped: UnsafeRawBufferPointer, to target: GrowingBytes) -> Bool {
        var position = 0
        while position < escaped.count {
            var byte = escaped[position]
            position += 1
            if byte == 0x5c {
                guard position < escaped.count else { return false }
                switch escaped[position] {
                case 0x5c: byte = 0x5c
                case 0x74: byte = 0x09
                case 0x6e: byte = 0x0a
                default: return false
                }
                position += 1
            }
            target.append(byte)
        }
        return true
    }
}
