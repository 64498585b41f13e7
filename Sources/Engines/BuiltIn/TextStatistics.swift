import MRProtocol

/// Counts newlines, words and bytes of the leaves of one segment.
///
/// A word counts in the leaf that holds the white space before it (at the start of a file: the first leaf), so the counts
/// of all leaves add up to those of the file.
struct TextStatistics {
    /// Counts of one leaf.
    struct Totals {
        var newlines = 0
        var words = 0
        var bytes = 0
    }

    /// The leaf whose last byte is white space is not finished: a word may follow.
    private var pending: Totals?
    private var endsInSpace: Bool

    init(startsFile: Bool) { endsInSpace = startsFile }

    /// Whether the byte behind the leaves seen decides the last count.
    var needsNextByte: Bool { pending != nil && endsInSpace }

    /// Counts the next leaf.
    ///
    /// - Returns: the counts of the leaf before it, now that its last word is known.
    mutating func add(_ leaf: UnsafeRawBufferPointer) -> Totals? {
        guard let first = leaf.first else {
            if pending == nil { pending = Totals() }
            return nil
        }
        var totals = Totals(newlines: 0, words: 0, bytes: leaf.count)
        let startsWord = endsInSpace && !Delimiter.isWhiteSpace(first)
        if startsWord {
            if pending == nil { totals.words += 1 } else { pending?.words += 1 }
        }
        count(leaf, into: &totals)
        endsInSpace = Delimiter.isWhiteSpace(leaf[leaf.count - 1])
        defer { pending = totals }
        return pending
    }

    /// Looks at a leaf behind the segment.
    mutating func lookAhead(_ leaf: UnsafeRawBufferPointer) {
        guard needsNextByte, let first = leaf.first else { return }
        if !Delimiter.isWhiteSpace(first) { pending?.words += 1 }
        endsInSpace = false
    }

    /// The counts of the last leaf.
    mutating func finish() -> Totals? {
        defer { pending = nil }
        return pending
    }

    /// Counts newlines, and words that begin behind white space inside `leaf`.
    private func count(_ leaf: UnsafeRawBufferPointer, into totals: inout Totals) {
        guard let base = leaf.baseAddress else { return }
        // A word that begins with the leaf is counted elsewhere.
        var previous: UInt64 = 1
        var offset = 0
        while offset < leaf.count {
            let step = min(64, leaf.count - offset)
            let words = WordScanner.wordBits(base + offset, byteCount: step)
            totals.words += (words & ~(words << 1 | previous)).nonzeroBitCount
            previous = words >> 63
            offset += step
        }
        totals.newlines += WordScanner.newlineCount(leaf)
    }
}

extension WordScanner {
    /// Number of `\n` in `bytes`, 16 at a time.
    static func newlineCount(_ bytes: UnsafeRawBufferPointer) -> Int {
        let newline = SIMD16<UInt8>(repeating: 0x0a)
        var count = 0
        var offset = 0
        while offset + 16 <= bytes.count {
            // A lane counts up to 255, one more for each step.
            let end = min(bytes.count - 15, offset + 255 * 16)
            var lanes = SIMD16<UInt8>()
            while offset < end {
                let sixteen = bytes.loadUnaligned(fromByteOffset: offset, as: SIMD16<UInt8>.self)
                lanes.replace(with: lanes &+ 1, where: sixteen .== newline)
                offset += 16
            }
            count += Int(SIMD16<UInt16>(truncatingIfNeeded: lanes).wrappedSum())
        }
        while offset < bytes.count {
            if bytes[offset] == 0x0a { count += 1 }
            offset += 1
        }
        return count
    }
}
