import CLinux
import Glibc

/// Memory that is touched all over: on large pages when it is much, so that fewer addresses have to be translated.
enum LargePages {
    static let byteCount = 2 << 20

    /// Room for `byteCount` bytes, to be given back by `deallocate`.
    ///
    /// - Parameter alignment: the least one.
    static func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer {
        let isLarge = byteCount >= LargePages.byteCount
        let start = UnsafeMutableRawPointer.allocate(
            byteCount: byteCount,
            alignment: isLarge ? LargePages.byteCount : alignment
        )
        if isLarge { madvise(start, byteCount, MADV_HUGEPAGE) }
        return start
    }
}
