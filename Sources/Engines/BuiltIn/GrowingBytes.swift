import Glibc

/// Bytes that grow at the end, at an address that tells nothing about their count.
///
/// Behind the bytes there are always `padding` readable ones, so that keys can be loaded eight bytes at a time.
final class GrowingBytes {
    static let padding = 16

    private(set) var base: UnsafeMutablePointer<UInt8>
    private(set) var count = 0
    private(set) var capacity: Int

    init(capacity: Int = 64) {
        self.capacity = capacity
        base = .allocate(capacity: capacity + GrowingBytes.padding)
        base.initialize(repeating: 0, count: capacity + GrowingBytes.padding)
    }

    deinit { base.deallocate() }

    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base, count: count) }

    func removeAll() { count = 0 }

    /// Makes room for `byteCount` more bytes and returns where they go; `commit` then counts them.
    @inline(__always)
    func room(for byteCount: Int) -> UnsafeMutablePointer<UInt8> {
        if count + byteCount > capacity { grow(to: count + byteCount) }
        return base + count
    }

    @inline(__always)
    func commit(_ byteCount: Int) { count += byteCount }

    @inline(__always)
    func append(_ byte: UInt8) {
        room(for: 1).pointee = byte
        count += 1
    }

    @inline(__always)
    func append(_ bytes: UnsafeRawBufferPointer) {
        guard let source = bytes.baseAddress else { return }
        memcpy(room(for: bytes.count), source, bytes.count)
        count += bytes.count
    }

    func append(contentsOf bytes: [UInt8]) {
        bytes.withUnsafeBytes { append($0) }
    }

    private func grow(to needed: Int) {
        let larger = max(needed, 2 * capacity)
        let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: larger + GrowingBytes.padding)
        memcpy(moved, base, count)
        memset(moved + count, 0, larger + GrowingBytes.padding - count)
        base.deallocate()
        base = moved
        capacity = larger
    }
}
