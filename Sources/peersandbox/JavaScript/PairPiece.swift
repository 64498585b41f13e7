import FunctionProtocol

/// Pairs on their way into a function: keys and values in one byte string, and where each ends.
struct PairPiece {
    /// As `Prelude` lays them out: where the key ends, where the value ends.
    private(set) var bounds: [Int32] = []
    private(set) var bytes: [UInt8] = []

    /// Stands for the key of the pair before, and for no value.
    private static let none: Int32 = -1

    var count: Int { bounds.count / 2 }
    var isEmpty: Bool { bounds.isEmpty }

    mutating func removeAll() {
        bounds.removeAll(keepingCapacity: true)
        bytes.removeAll(keepingCapacity: true)
    }

    /// Appends a pair; without its key if that is known already.
    mutating func append(key: UnsafeRawBufferPointer?, value: UnsafeRawBufferPointer?) {
        bounds.append(append(key))
        bounds.append(append(value))
    }

    /// Appends an escaped `key TAB value` line of an earlier result.
    ///
    /// - Returns: `false` when it has an escape that does not exist.
    mutating func append(escaped line: UnsafeRawBufferPointer) -> Bool {
        let tab = line.firstIndex(of: 0x09)
        guard EscapedLine.append(line[..<(tab ?? line.count)], to: &bytes) else {
            return false
        }
        bounds.append(Int32(bytes.count))
        guard let tab else {
            bounds.append(PairPiece.none)
            return true
        }
        guard EscapedLine.append(line[(tab + 1)...], to: &bytes) else { return false }
        bounds.append(Int32(bytes.count))
        return true
    }

    private mutating func append(_ field: UnsafeRawBufferPointer?) -> Int32 {
        guard let field else { return PairPiece.none }
        bytes.append(contentsOf: field)
        return Int32(bytes.count)
    }
}
