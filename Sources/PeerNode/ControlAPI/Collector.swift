internal import Synchronization

/// Keeps the last of several values.
final class LastValue<Value: Sendable>: Sendable {
    private let held = Mutex<Value?>(nil)

    func set(_ value: Value) { held.withLock { $0 = value } }

    var value: Value? { held.withLock { $0 } }
}

/// Bytes in memory as a source.
final class ArraySource: ByteSource {
    let byteCount: UInt64?
    private let rest: Mutex<ArraySlice<UInt8>>

    init(_ bytes: [UInt8]) {
        byteCount = UInt64(bytes.count)
        rest = Mutex(bytes[...])
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) -> Int {
        rest.withLock { rest in
            let piece = rest.prefix(buffer.count)
            buffer.copyBytes(from: piece)
            rest = rest.dropFirst(piece.count)
            return piece.count
        }
    }
}
