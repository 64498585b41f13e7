import FunctionProtocol

/// The `kv` form of a pair: `key TAB value`, in which `\\` is a backslash, `\t` a tab and `\n` a newline.
enum EscapedLine {
    /// Appends the bytes that a key or value stands for.
    ///
    /// - Returns: `false` when it has an escape that does not exist.
    static func append(_ field: some Collection<UInt8>, to bytes: inout [UInt8]) -> Bool {
        var isEscape = false
        for byte in field {
            if isEscape {
                switch byte {
                case 0x5c: bytes.append(0x5c)
                case 0x74: bytes.append(0x09)
                case 0x6e: bytes.append(0x0a)
                default: return false
                }
                isEscape = false
            } else if byte == 0x5c {
                isEscape = true
            } else {
                bytes.append(byte)
            }
        }
        return !isEscape
    }

    /// Appends a line, without its end, as a packed pair.
    ///
    /// - Returns: `false` when it has an escape that does not exist.
    static func pack(_ line: ArraySlice<UInt8>, to packed: inout [UInt8]) -> Bool {
        let tab = line.firstIndex(of: 0x09)
        var key: [UInt8] = []
        var value: [UInt8] = []
        guard append(line[..<(tab ?? line.endIndex)], to: &key),
            append(line[(tab.map { $0 + 1 } ?? line.endIndex)...], to: &value)
        else { return false }
        PackedPairs.append(key: key, value: tab == nil ? nil : value, to: &packed)
        return true
    }
}

extension FunctionFault {
    static func malformedPair(input: String, offset: UInt64, excerpt: some Collection<UInt8>) -> FunctionFault
    {
        FunctionFault(
            .threw,
            "a `kv` record with an escape that does not exist",
            input: input,
            offset: offset,
            excerpt: excerpt
        )
    }
}
