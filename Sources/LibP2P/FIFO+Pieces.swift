/// Queues of a stream's bytes.
extension FIFO where Element == ArraySlice<UInt8> {
    /// Bytes up to which neighbouring pieces are joined.
    package static var joinedByteCount: Int { 16_384 }

    /// Adds bytes to the last piece if both together are short; `false` when nothing was done.
    mutating func join(_ bytes: ArraySlice<UInt8>) -> Bool {
        guard bytes.count < Self.joinedByteCount else { return false }
        return updateLast { last in
            guard last.count + bytes.count <= Self.joinedByteCount else { return false }
            last += bytes
            return true
        }
    }

    /// Adds bytes that may wait long: long pieces stay slices of the batch they came in; short ones are gathered, and free
    /// the batch.
    package mutating func keep(_ bytes: ArraySlice<UInt8>) {
        guard bytes.count < Self.joinedByteCount else { return append(bytes) }
        if !join(bytes) { append(Array(bytes)[...]) }
    }

    /// Takes bytes of the first piece.
    package mutating func takePiece(atMost maxByteCount: Int) -> ArraySlice<UInt8>? {
        var taken: ArraySlice<UInt8>?
        updateFirst { first in
            taken = first.prefix(maxByteCount)
            first = first.dropFirst(maxByteCount)
            return !first.isEmpty
        }
        return taken
    }
}
