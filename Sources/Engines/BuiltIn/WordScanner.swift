import MRProtocol

/// Finds the words of a chunk, 64 bytes at a time.
enum WordScanner {
    /// Words that a batch holds at most.
    static let batchCount = WordTable.batchCount
    /// Bounds of a batch, two a word, with room for one more step.
    static let boundCapacity = 2 * batchCount + 64

    /// Hands out the bounds of all words of `chunk` in batches.
    ///
    /// `bounds` is scratch of `boundCapacity` numbers; `body` gets start and end of each word, and the number of words.
    @inline(__always)
    static func scan(
        _ chunk: UnsafeRawBufferPointer,
        bounds: UnsafeMutablePointer<UInt32>,
        _ body: (UnsafePointer<UInt32>, Int) -> Void
    ) {
        guard let base = chunk.baseAddress else { return }
        let total = chunk.count
        var found = 0
        var previous: UInt64 = 0
        var offset = 0
        while offset < total {
            let words = wordBits(base + offset, byteCount: min(64, total - offset))
            // A set bit: the byte differs from the one before it in being part of a word.
            var edges = words ^ (words << 1 | previous)
            previous = words >> 63
            while edges != 0 {
                bounds[found] = UInt32(truncatingIfNeeded: offset &+ edges.trailingZeroBitCount)
                found &+= 1
                edges &= edges &- 1
            }
            offset += 64
            if found >= 2 * batchCount {
                body(UnsafePointer(bounds), batchCount)
                let rest = found - 2 * batchCount
                for index in 0..<rest { bounds[index] = bounds[2 * batchCount + index] }
                found = rest
            }
        }
        if found & 1 == 1 {
            bounds[found] = UInt32(truncatingIfNeeded: total)
            found += 1
        }
        if found > 0 { body(UnsafePointer(bounds), found / 2) }
    }

    /// One bit for each of up to 64 bytes, the first lowest: part of a word or not.
    @inline(__always)
    static func wordBits(_ bytes: UnsafeRawPointer, byteCount: Int) -> UInt64 {
        if byteCount == 64 {
            var bits: UInt64 = 0
            for step in 0..<8 {
                let word = bytes.loadUnaligned(fromByteOffset: 8 &* step, as: UInt64.self)
                bits |= spaceBits(word) << UInt64(8 &* step)
            }
            return ~bits
        }
        var bits: UInt64 = 0
        for index in 0..<byteCount {
            let byte = bytes.load(fromByteOffset: index, as: UInt8.self)
            if !Delimiter.isWhiteSpace(byte) { bits |= 1 << UInt64(index) }
        }
        return bits
    }

    /// One bit for each of eight bytes that is white space, without carries between bytes.
    @inline(__always)
    private static func spaceBits(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let sevens: UInt64 = 0x7f7f_7f7f_7f7f_7f7f
        let low = word & sevens
        let blank = word ^ (0x20 &* ones)
        let notBlank = ((blank & sevens) &+ sevens) | blank
        let notBelow9 = low &+ (0x77 &* ones)
        let notBelow14 = low &+ (0x72 &* ones)
        let space = (~notBlank | (notBelow9 & ~notBelow14 & ~word)) & (0x80 &* ones)
        return ((space >> 7) &* 0x0102_0408_1020_4080) >> 56
    }
}
