import FunctionProtocol
import Glibc

/// Makes pairs of the lines that a command writes: key, tab, value; a line without a tab is a key without a value.
struct PairLines {
    /// Longest line of output in bytes; what else is read with it must fit in the same frame.
    static let maxLineByteCount = 63 << 20

    /// The front of a line whose end has not come.
    private var partial: [UInt8] = []
    private var packed: [UInt8] = []

    /// Takes what was read; pairs of whole lines go to the channel.
    mutating func take(_ bytes: UnsafeRawBufferPointer, _ channel: Channel) throws(FunctionFault) {
        var rest = bytes
        packed.removeAll(keepingCapacity: true)
        while let end = rest.firstIndex(ofByte: UInt8(ascii: "\n")) {
            let line = UnsafeRawBufferPointer(rebasing: rest[..<end])
            rest = UnsafeRawBufferPointer(rebasing: rest[(end + 1)...])
            if partial.isEmpty {
                append(line)
            } else {
                partial += line
                appendPartial()
            }
        }
        partial += rest
        guard partial.count <= PairLines.maxLineByteCount else {
            throw .passed(limitOn: "a line of output", UInt64(PairLines.maxLineByteCount), .bytes)
        }
        try channel.emit(packed)
    }

    /// A last line may lack its newline.
    mutating func finish(_ channel: Channel) throws(FunctionFault) {
        guard !partial.isEmpty else { return }
        packed.removeAll(keepingCapacity: true)
        appendPartial()
        try channel.emit(packed)
    }

    private mutating func appendPartial() {
        let line = partial
        partial = []
        line.withUnsafeBytes { append($0) }
    }

    private mutating func append(_ line: UnsafeRawBufferPointer) {
        guard let tab = line.firstIndex(ofByte: UInt8(ascii: "\t")) else {
            return PackedPairs.append(key: line, value: nil as UnsafeRawBufferPointer?, to: &packed)
        }
        PackedPairs.append(key: line[..<tab], value: line[(tab + 1)...], to: &packed)
    }
}

extension UnsafeRawBufferPointer {
    func firstIndex(ofByte byte: UInt8) -> Int? {
        guard let baseAddress, let found = memchr(baseAddress, Int32(byte), count) else { return nil }
        return UnsafeRawPointer(found) - baseAddress
    }
}
