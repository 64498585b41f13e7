import Glibc
import MRProtocol

/// Walks the lines of one part of a result.
final class LineCursor: MergeCursor {
    private let part: any RunBytes
    private let rule: KeyRule
    private var buffer: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private var filled = 0
    private var next = 0
    private var fileOffset: UInt64 = 0
    /// The key without its escapes.
    private let unescaped = GrowingBytes()

    /// The line with its `\n`; valid until the next call of `advance`.
    private(set) var line: UnsafeRawBufferPointer
    private(set) var key: UnsafePointer<UInt8>
    private(set) var keyByteCount = 0
    private(set) var prefix: UInt64 = 0

    var keyBytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: key, count: keyByteCount) }

    init(_ part: any RunBytes, rule: KeyRule, bufferByteCount: Int) {
        self.part = part
        self.rule = rule
        capacity = bufferByteCount
        buffer = .allocate(capacity: capacity + GrowingBytes.padding)
        buffer.initialize(repeating: 0, count: capacity + GrowingBytes.padding)
        key = UnsafePointer(buffer)
        line = UnsafeRawBufferPointer(start: buffer, count: 0)
    }

    deinit { buffer.deallocate() }

    func advance() throws(TaskFault) -> Bool {
        var searched = 0
        while true {
            if let found = memchr(buffer + next + searched, 0x0a, filled - next - searched) {
                let end = UnsafeRawPointer(found) - UnsafeRawPointer(buffer)
                take(byteCount: end - next, lineByteCount: end + 1 - next)
                return true
            }
            searched = filled - next
            if fileOffset == part.byteCount { break }
            try refill()
        }
        // Parts end with `\n`; a file that does not is shown as it is.
        guard searched > 0 else { return false }
        take(byteCount: searched, lineByteCount: searched)
        return true
    }

    private func take(byteCount: Int, lineByteCount: Int) {
        let start = UnsafePointer(buffer + next)
        line = UnsafeRawBufferPointer(start: start, count: lineByteCount)
        next += lineByteCount
        key = start
        keyByteCount = byteCount
        switch rule {
        case .wholeLine: break
        case .beforeLastTab:
            keyByteCount =
                UnsafeBufferPointer(start: start, count: byteCount).lastIndex(of: 0x09) ?? byteCount
        case .beforeFirstTab, .escaped:
            if let tab = memchr(start, 0x09, byteCount) {
                keyByteCount = UnsafeRawPointer(tab) - UnsafeRawPointer(start)
            }
        }
        if rule == .escaped { unescape() }
        prefix = SortEntry.prefix(of: key, byteCount: keyByteCount)
    }

    private func unescape() {
        unescaped.removeAll()
        let escaped = UnsafeRawBufferPointer(start: key, count: keyByteCount)
        // A line with a wrong escape sorts by the bytes it has.
        guard EscapedPair.appendUnescaped(escaped, to: unescaped) else { return }
        key = UnsafePointer(unescaped.base)
        keyByteCount = unescaped.count
    }

    private func refill() throws(TaskFault) {
        let kept = filled - next
        if kept == capacity {
            capacity *= 2
            let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity + GrowingBytes.padding)
            memset(larger, 0, capacity + GrowingBytes.padding)
            memcpy(larger, buffer + next, kept)
            buffer.deallocate()
            buffer = larger
        } else if next > 0 {
            memmove(buffer, buffer + next, kept)
        }
        next = 0
        filled = kept
        let readable = Int(min(UInt64(capacity - filled), part.byteCount - fileOffset))
        try part.read(
            at: fileOffset,
            into: UnsafeMutableRawBufferPointer(start: buffer + filled, count: readable)
        )
        filled += readable
        fileOffset += UInt64(readable)
    }
}
