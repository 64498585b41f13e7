import CLinux
import Glibc

/// Memory that is touched all over: on large pages when it is much, so that fewer addresses have to be translated.
enum LargePages {
    private static let pageByteCount = 2 << 20

    /// Room for `byteCount` bytes at a multiple of `alignment` or more, to be given back by `deallocate`.
    static func allocate(byteCount: Int, alignment: Int) -> UnsafeMutableRawPointer {
        let isLarge = byteCount >= pageByteCount
        let start = UnsafeMutableRawPointer.allocate(
            byteCount: byteCount,
            alignment: isLarge ? pageByteCount : alignment
        )
        if isLarge { madvise(start, byteCount, MADV_HUGEPAGE) }
        return start
    }
}
