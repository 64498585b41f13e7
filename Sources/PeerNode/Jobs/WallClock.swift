import CLinux
import Glibc

/// The time of day.
enum WallClock {
    /// Milliseconds since 1970, UTC.
    static var milliseconds: Int64 {
        var time = timespec()
        clock_gettime(CLOCK_REALTIME, &time)
        return Int64(time.tv_sec) * 1_000 + Int64(time.tv_nsec) / 1_000_000
    }
}

extension JobID {
    /// 48 bits of time and 32 random ones, in the base32 whose characters sort as their values do (RFC 4648 section 7).
    init(milliseconds: Int64, randomness: UInt32) {
        let alphabet = Array("0123456789abcdefghijklmnopqrstuv".utf8)
        let high = UInt64(milliseconds) & 0xffff_ffff_ffff
        var text: [UInt8] = []
        for position in 0..<16 {
            // Bits 79 − 5·position down to 75 − 5·position of time ‖ randomness.
            let shift = 75 - 5 * position
            let value =
                shift >= 32
                ? high >> UInt64(shift - 32)
                : high << UInt64(32 - shift) | UInt64(randomness) >> UInt64(shift)
            text.append(alphabet[Int(value & 31)])
        }
        self.init(String(decoding: text, as: UTF8.self))
    }
}
