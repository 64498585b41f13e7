import Synchronization

/// Memory of one block on its way to the writer; large ones are recycled.
///
/// Filled by one owner before it is shared and only read afterwards: the invariant behind `@unchecked Sendable`.
package final class BlockBuffer: @unchecked Sendable {
    package let memory: UnsafeMutableRawBufferPointer
    /// Bytes in use, from the front.
    package var count: Int

    /// Bytes of spare buffers that are kept.
    package static let maxSpareByteCount = 16 << 20
    private static let leastRecycledByteCount = 64 << 10
    private static let spare = Mutex<[Int: [Memory]]>([:])

    private struct Memory: @unchecked Sendable {
        let pointer: UnsafeMutableRawBufferPointer
    }

    /// An empty buffer.
    package init(capacity: Int) {
        memory = Self.take(capacity)
        count = 0
    }

    package convenience init(copying bytes: UnsafeRawBufferPointer) {
        self.init(capacity: bytes.count)
        memory.copyMemory(from: bytes)
        count = bytes.count
    }

    deinit { Self.giveBack(memory) }

    /// The bytes in use; valid while the buffer lives.
    package var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(rebasing: memory[..<count]) }

    private static func take(_ capacity: Int) -> UnsafeMutableRawBufferPointer {
        spare.withLock { $0[capacity]?.popLast() }?.pointer
            ?? .allocate(byteCount: capacity, alignment: 16)
    }

    private static func giveBack(_ memory: UnsafeMutableRawBufferPointer) {
        let size = memory.count
        let wrapped = Memory(pointer: memory)
        let kept =
            size >= leastRecycledByteCount
            && spare.withLock { spare in
                guard spare[size, default: []].count * size < maxSpareByteCount else { return false }
                spare[size, default: []].append(wrapped)
                return true
            }
        if !kept { memory.deallocate() }
    }
}
