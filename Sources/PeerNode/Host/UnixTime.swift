import CLinux
import Glibc

/// The time of day, for sequence numbers that must grow from one run to the next.
enum UnixTime {
    /// Nanoseconds since 1970.
    static var nanoseconds: UInt64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return UInt64(max(0, time.tv_sec)) * 1_000_000_000 + UInt64(time.tv_nsec)
    }
}
