import Glibc

/// Bytes that stay where they are until the arena is emptied; keys point into it.
///
/// Behind every stored slice at least `GrowingBytes.padding` bytes are readable.
final class KeyArena {
    private static let firstBlockByteCount = 16 << 10
    private static let largestBlockByteCount = 4 << 20

    private var blocks: [UnsafeMutableRawBufferPointer] = []
    private var free: UnsafeMutablePointer<UInt8>?
    private var freeByteCount = 0
    private var heldByteCount = 0

    /// Bytes of memory that the slices take, with what is lost between them.
    var byteCount: Int { heldByteCount - freeByteCount }

    deinit { blocks.forEach { $0.deallocate() } }

    /// Room for `byteCount` bytes.
    @inline(__always)
    func reserve(_ byteCount: Int) -> UnsafeMutablePointer<UInt8> {
        if let place = free, freeByteCount >= byteCount + GrowingBytes.padding {
            free = place + byteCount
            freeByteCount -= byteCount
            return place
        }
        return reserveInNewBlock(byteCount)
    }

    /// Copies `byteCount` bytes into the arena.
    @inline(__always)
    func store(_ source: UnsafePointer<UInt8>, _ byteCount: Int) -> UnsafePointer<UInt8> {
        let place = reserve(byteCount)
        memcpy(place, source, byteCount)
        return UnsafePointer(place)
    }

    /// Forgets everything; keeps the newest block for the next round, unless a single slice made it larger than others.
    func removeAll() {
        while let block = blocks.first, blocks.count > 1 || block.count > KeyArena.largestBlockByteCount {
            blocks.removeFirst().deallocate()
        }
        heldByteCount = blocks.first?.count ?? 0
        free = blocks.first?.baseAddress?.assumingMemoryBound(to: UInt8.self)
        freeByteCount = heldByteCount
    }

    private func reserveInNewBlock(_ needed: Int) -> UnsafeMutablePointer<UInt8> {
        let isMuch = heldByteCount >= KeyArena.largestBlockByteCount / 8
        let grown =
            isMuch ? KeyArena.largestBlockByteCount : max(2 * heldByteCount, KeyArena.firstBlockByteCount)
        let size = max(grown, needed + GrowingBytes.padding)
        let start = LargePages.allocate(byteCount: size, alignment: 16)
        memset(start + size - GrowingBytes.padding, 0, GrowingBytes.padding)
        blocks.append(UnsafeMutableRawBufferPointer(start: start, count: size))
        heldByteCount += size
        let place = start.assumingMemoryBound(to: UInt8.self)
        free = place + needed
        freeByteCount = size - needed
        return place
    }
}
