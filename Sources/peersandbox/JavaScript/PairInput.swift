import FunctionProtocol

/// Cuts a sorted stream of packed pairs into pieces, and tells which pairs have the key of the pair before.
struct PairInput {
    /// A piece ends behind the pair with which it is this large, in bytes.
    private static let pieceByteCount = 64 << 10

    private var frame: [UInt8] = []
    private var position = 0
    private var key: [UInt8]?

    /// Takes the next pairs.
    ///
    /// - Returns: `false` behind the last.
    mutating func fill(_ piece: inout PairPiece, from channel: Channel, capacity: Int) throws(FunctionFault)
        -> Bool
    {
        piece.removeAll()
        while position == frame.count {
            guard let next = try channel.next() else { return false }
            guard next.kind == .input else { throw .malformedPairs }
            frame = next.body
            position = 0
        }
        while position < frame.count, piece.count < capacity, piece.bytes.count < PairInput.pieceByteCount {
            try append(to: &piece)
        }
        return true
    }

    private mutating func append(to piece: inout PairPiece) throws(FunctionFault) {
        var known = key
        let end = frame.withUnsafeBytes { bytes -> Int? in
            guard let pair = PackedPairView(bytes, at: position) else { return nil }
            let isKnown = known.map { $0.count == pair.key.count && $0.elementsEqual(pair.key) } ?? false
            if !isKnown { known = Array(pair.key) }
            piece.append(key: isKnown ? nil : pair.key, value: pair.value)
            return pair.end
        }
        guard let end else { throw .malformedPairs }
        key = known
        position = end
    }
}

/// One packed pair, in place.
struct PackedPairView {
    let key: UnsafeRawBufferPointer
    let value: UnsafeRawBufferPointer?
    /// Where the next begins.
    let end: Int

    /// Reads the pair at `position`; `nil` when the bytes end within it.
    init?(_ bytes: UnsafeRawBufferPointer, at position: Int) {
        guard bytes.count - position >= PackedPairs.headByteCount else { return nil }
        let keyCount = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
        let mark = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self))
        let hasValue = mark != PackedPairs.noValue
        let start = position + PackedPairs.headByteCount
        let middle = start + Int(keyCount)
        end = middle + (hasValue ? Int(mark) : 0)
        guard end <= bytes.count else { return nil }
        key = UnsafeRawBufferPointer(rebasing: bytes[start..<middle])
        value = hasValue ? UnsafeRawBufferPointer(rebasing: bytes[middle..<end]) : nil
    }
}
