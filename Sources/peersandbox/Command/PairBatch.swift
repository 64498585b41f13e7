import FunctionProtocol
import Glibc

/// Packed pairs in the making, written without a check for each byte: a command may emit millions a second.
final class PairBatch {
    private var storage = UnsafeMutableRawBufferPointer.allocate(
        byteCount: 4 * Frame.batchByteCount,
        alignment: 8
    )
    private var count = 0
    /// A value of no bytes is one; otherwise the pair has none.
    private let keepsEmptyValues: Bool

    init(keepsEmptyValues: Bool) { self.keepsEmptyValues = keepsEmptyValues }

    deinit { storage.deallocate() }

    /// Valid until the next call.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: storage[..<count]) }

    func removeAll() { count = 0 }

    /// Appends the pair that a line stands for: key, tab, value; without a tab a key without a value.
    func append(line: UnsafeRawBufferPointer) {
        let room = room(for: PackedPairs.headByteCount + line.count)
        guard let start = line.baseAddress, line.count > 0 else {
            writeHead(room, keyByteCount: 0, valueByteCount: PackedPairs.noValue)
            count += PackedPairs.headByteCount
            return
        }
        let body = room + PackedPairs.headByteCount
        guard let tab = memchr(start, Int32(UInt8(ascii: "\t")), line.count) else {
            writeHead(room, keyByteCount: line.count, valueByteCount: PackedPairs.noValue)
            memcpy(body, start, line.count)
            count += PackedPairs.headByteCount + line.count
            return
        }
        let keyByteCount = UnsafeRawPointer(tab) - start
        let valueByteCount = line.count - keyByteCount - 1
        let hasValue = valueByteCount > 0 || keepsEmptyValues
        writeHead(
            room,
            keyByteCount: keyByteCount,
            valueByteCount: hasValue ? UInt32(valueByteCount) : PackedPairs.noValue
        )
        memcpy(body, start, keyByteCount)
        memcpy(body + keyByteCount, start + keyByteCount + 1, valueByteCount)
        count += PackedPairs.headByteCount + line.count - 1
    }

    private func writeHead(_ place: UnsafeMutableRawPointer, keyByteCount: Int, valueByteCount: UInt32) {
        place.storeBytes(of: UInt32(keyByteCount).littleEndian, as: UInt32.self)
        place.storeBytes(of: valueByteCount.littleEndian, toByteOffset: 4, as: UInt32.self)
    }

    private func room(for byteCount: Int) -> UnsafeMutableRawPointer {
        if storage.count - count < byteCount {
            let larger = UnsafeMutableRawBufferPointer.allocate(
                byteCount: max(2 * storage.count, count + byteCount),
                alignment: 8
            )
            larger.copyMemory(from: bytes)
            storage.deallocate()
            storage = larger
        }
        guard let start = storage.baseAddress else { preconditionFailure("a batch without memory") }
        return start + count
    }
}
