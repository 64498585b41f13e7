import FunctionProtocol
import Glibc

/// Makes pairs of the lines that a command writes: key, tab, value; a line without a tab is a key without a value.
///
/// So is a combine's line with nothing behind the tab, for that is how it reads such a key.
struct PairLines {
    /// Longest line of output in bytes; what else is read with it must fit in the same frame.
    static let maxLineByteCount = 63 << 20

    /// The front of a line whose end has not come.
    private var partial: [UInt8] = []
    private let batch: PairBatch

    init(of role: FunctionRole) { batch = PairBatch(keepsEmptyValues: role != .combine) }

    /// Takes what was read; pairs of whole lines go to the channel.
    mutating func take(_ bytes: UnsafeRawBufferPointer, _ channel: Channel) throws(FunctionFault) {
        var rest = bytes
        while let end = rest.firstIndex(ofByte: UInt8(ascii: "\n")) {
            let line = UnsafeRawBufferPointer(rebasing: rest[..<end])
            rest = UnsafeRawBufferPointer(rebasing: rest[(end + 1)...])
            if partial.isEmpty {
                batch.append(line: line)
            } else {
                partial += line
                appendPartial()
            }
        }
        partial += rest
        guard partial.count <= PairLines.maxLineByteCount else {
            throw .passed(limitOn: "a line of output", UInt64(PairLines.maxLineByteCount), .bytes)
        }
        try emit(channel)
    }

    /// A last line may lack its newline.
    mutating func finish(_ channel: Channel) throws(FunctionFault) {
        guard !partial.isEmpty else { return }
        appendPartial()
        try emit(channel)
    }

    private mutating func appendPartial() {
        partial.withUnsafeBytes { batch.append(line: $0) }
        partial.removeAll()
    }

    private func emit(_ channel: Channel) throws(FunctionFault) {
        try channel.emit(batch.bytes)
        batch.removeAll()
    }
}

extension UnsafeRawBufferPointer {
    fileprivate func firstIndex(ofByte byte: UInt8) -> Int? {
        guard let baseAddress, let found = memchr(baseAddress, Int32(byte), count) else { return nil }
        return UnsafeRawPointer(found) - baseAddress
    }
}
