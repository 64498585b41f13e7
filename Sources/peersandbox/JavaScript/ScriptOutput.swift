import CJavaScriptCore
import FunctionProtocol

/// Packs what a function emitted: one string of all texts, and the size of each key and value (`Prelude`).
struct ScriptOutput {
    /// The text's bytes if each is a unit.
    private var narrow: [CChar] = []
    private var packed: [UInt8] = []

    /// Emits pairs: `sizes` are of keys and values by turns, `bytes` what was emitted as bytes, one behind the other.
    mutating func emit(
        _ string: ScriptString,
        sizes: UnsafeBufferPointer<Int32>,
        bytes: UnsafeRawBufferPointer,
        encoding: TextEncoding,
        to channel: Channel
    ) throws(FunctionFault) {
        guard ScriptOutput.holds(sizes, unitCount: string.count, byteCount: bytes.count) else {
            throw FunctionFault(.threw, "what was emitted is not what it was when it was emitted")
        }
        let room = string.count + ScriptString.tailCount
        if narrow.count < room { narrow = Array(repeating: 0, count: 2 * room) }
        let isASCII = narrow.withUnsafeMutableBufferPointer {
            string.copyASCII(to: UnsafeMutableBufferPointer(rebasing: $0[..<room]))
        }
        if isASCII {
            try packNarrow(sizes, bytes, channel)
        } else if encoding == .latin1 {
            let units = string.units
            for index in 0..<units.count { narrow[index] = CChar(truncatingIfNeeded: units[index]) }
            try packNarrow(sizes, bytes, channel)
        } else {
            try packWide(string.units, sizes, bytes, encoding, channel)
        }
        if narrow.count > ScriptOutput.keptByteCount { narrow = [] }
        if packed.capacity > ScriptOutput.keptByteCount { packed = [] }
    }

    /// Whether there is as much text and as many bytes as the sizes say: a function shares a heap with those who say it.
    private static func holds(_ sizes: UnsafeBufferPointer<Int32>, unitCount: Int, byteCount: Int) -> Bool {
        var (units, bytes) = (0, 0)
        for size in sizes {
            if size >= 0 { units += Int(size) } else if size < -1 { bytes += -2 - Int(size) }
        }
        return units <= unitCount && bytes <= byteCount
    }

    /// Room that is kept for the next time, in bytes.
    private static let keptByteCount = 4 << 20

    /// Every unit of the text is a byte: all sizes are known in advance.
    private mutating func packNarrow(
        _ sizes: UnsafeBufferPointer<Int32>,
        _ bytes: UnsafeRawBufferPointer,
        _ channel: Channel
    ) throws(FunctionFault) {
        var total = sizes.count / 2 * PackedPairs.headByteCount
        for size in sizes { total += size >= 0 ? Int(size) : -2 - Int(size) + (size == -1 ? 1 : 0) }
        packed = [UInt8](unsafeUninitializedCapacity: total) { buffer, count in
            count = total
            narrow.withUnsafeBytes { text in
                ScriptOutput.pack(sizes, text, bytes, into: UnsafeMutableRawBufferPointer(buffer))
            }
        }
        try channel.emit(packed)
    }

    private static func pack(
        _ sizes: UnsafeBufferPointer<Int32>,
        _ text: UnsafeRawBufferPointer,
        _ bytes: UnsafeRawBufferPointer,
        into packed: UnsafeMutableRawBufferPointer
    ) {
        guard var target = packed.baseAddress, var text = text.baseAddress else { return }
        var bytes = bytes.baseAddress
        func move(_ size: Int32) {
            if size >= 0 {
                target.copyMemory(from: text, byteCount: Int(size))
                text += Int(size)
                target += Int(size)
            } else if size < -1, let start = bytes {
                let count = -2 - Int(size)
                target.copyMemory(from: start, byteCount: count)
                bytes = start + count
                target += count
            }
        }
        for index in stride(from: 0, to: sizes.count - 1, by: 2) {
            target.storeBytes(of: mark(sizes[index]), as: UInt32.self)
            target.storeBytes(of: mark(sizes[index + 1]), toByteOffset: 4, as: UInt32.self)
            target += PackedPairs.headByteCount
            move(sizes[index])
            move(sizes[index + 1])
        }
    }

    /// A size as a packed pair has it.
    private static func mark(_ size: Int32) -> UInt32 {
        (size >= 0 ? UInt32(size) : size == -1 ? PackedPairs.noValue : UInt32(-2 - size)).littleEndian
    }

    private mutating func packWide(
        _ units: UnsafeBufferPointer<UInt16>,
        _ sizes: UnsafeBufferPointer<Int32>,
        _ bytes: UnsafeRawBufferPointer,
        _ encoding: TextEncoding,
        _ channel: Channel
    ) throws(FunctionFault) {
        var textPosition = 0
        var bytePosition = 0
        packed.removeAll(keepingCapacity: true)
        for index in stride(from: 0, to: sizes.count - 1, by: 2) {
            let head = packed.count
            packed.append(contentsOf: repeatElement(0, count: PackedPairs.headByteCount))
            for part in 0..<2 {
                let size = sizes[index + part]
                let start = packed.count
                if size >= 0 {
                    encoding.append(
                        UnsafeBufferPointer(rebasing: units[textPosition..<textPosition + Int(size)]),
                        to: &packed
                    )
                    textPosition += Int(size)
                } else if size < -1 {
                    let count = -2 - Int(size)
                    packed.append(contentsOf: bytes[bytePosition..<bytePosition + count])
                    bytePosition += count
                }
                let mark = size == -1 ? PackedPairs.noValue : UInt32(packed.count - start)
                packed.withUnsafeMutableBytes {
                    $0.storeBytes(of: mark.littleEndian, toByteOffset: head + 4 * part, as: UInt32.self)
                }
            }
            if packed.count >= Frame.batchByteCount {
                try channel.emit(packed)
                packed.removeAll(keepingCapacity: true)
            }
        }
        if !packed.isEmpty { try channel.emit(packed) }
    }
}
