/// What ends a record.
public enum Delimiter: Sendable {
    /// The byte `\n`.
    case newline
    /// Any byte that is white space in the C locale: space, `\t`, `\n`, `\v`, `\f`, `\r`.
    case whiteSpace

    /// The delimiter that records of `format` are cut at.
    public init(of format: RecordFormat) {
        self = format == .words ? .whiteSpace : .newline
    }

    /// Whether `byte` is C-locale white space.
    @inlinable
    public static func isWhiteSpace(_ byte: UInt8) -> Bool { byte == 0x20 || byte &- 9 < 5 }

    @inlinable
    func matches(_ byte: UInt8) -> Bool {
        self == .newline ? byte == 0x0a : Delimiter.isWhiteSpace(byte)
    }

    /// Index of the first delimiter in `bytes` from `start` on.
    func first(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var index = start
        if self == .newline {
            // Eight bytes a step: a zero byte of `word ^ pattern` is a newline.
            while index + 8 <= bytes.count {
                let word = bytes.loadUnaligned(fromByteOffset: index, as: UInt64.self) ^ 0x0a0a_0a0a_0a0a_0a0a
                if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 { break }
                index += 8
            }
        }
        while index < bytes.count {
            if matches(bytes[index]) { return index }
            index += 1
        }
        return nil
    }

    /// Index of the last delimiter in `bytes` not before `start`.
    func last(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var index = bytes.count
        if self == .newline {
            while index - 8 >= start {
                let word =
                    bytes.loadUnaligned(fromByteOffset: index - 8, as: UInt64.self) ^ 0x0a0a_0a0a_0a0a_0a0a
                if (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080 != 0 { break }
                index -= 8
            }
        }
        while index > start {
            index -= 1
            if matches(bytes[index]) { return index }
        }
        return nil
    }
}
