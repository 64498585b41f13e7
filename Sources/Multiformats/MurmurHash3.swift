/// MurmurHash3, 128 bits for 64-bit machines: the hash that sharded directories place names by.
///
/// Not a cryptographic hash. **Source** multicodec `murmur3-x64-64` (0x22); Austin Appleby's public-domain algorithm.
public enum MurmurHash3 {
    /// The first 64 bits of the hash of `bytes` with seed 0.
    public static func hash64(_ bytes: [UInt8]) -> UInt64 {
        var (first, second): (UInt64, UInt64) = (0, 0)
        let blockCount = bytes.count / 16
        for block in 0..<blockCount {
            first ^= mixFirst(word(bytes[(16 * block)..<(16 * block + 8)]))
            first = (rotated(first, 27) &+ second) &* 5 &+ 0x52dc_e729
            second ^= mixSecond(word(bytes[(16 * block + 8)..<(16 * block + 16)]))
            second = (rotated(second, 31) &+ first) &* 5 &+ 0x3849_5ab5
        }
        let tail = bytes[(16 * blockCount)...]
        second ^= mixSecond(word(tail.dropFirst(8)))
        first ^= mixFirst(word(tail.prefix(8)))
        first ^= UInt64(bytes.count)
        second ^= UInt64(bytes.count)
        first &+= second
        second &+= first
        return finished(first) &+ finished(second)
    }

    private static func mixFirst(_ word: UInt64) -> UInt64 {
        rotated(word &* 0x87c3_7b91_1142_53d5, 31) &* 0x4cf5_ad43_2745_937f
    }

    private static func mixSecond(_ word: UInt64) -> UInt64 {
        rotated(word &* 0x4cf5_ad43_2745_937f, 33) &* 0x87c3_7b91_1142_53d5
    }

    private static func finished(_ word: UInt64) -> UInt64 {
        var word = word
        word = (word ^ (word >> 33)) &* 0xff51_afd7_ed55_8ccd
        word = (word ^ (word >> 33)) &* 0xc4ce_b9fe_1a85_ec53
        return word ^ (word >> 33)
    }

    private static func rotated(_ word: UInt64, _ count: UInt64) -> UInt64 {
        word << count | word >> (64 - count)
    }

    /// Up to eight bytes, little endian.
    private static func word(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
    }
}
