/// Texts whose pieces any leaf boundary can cut badly; the same seed gives the same text.
struct TextGenerator {
    private var state: UInt64

    init(seed: UInt64) { state = seed &* 0x9e37_79b9_7f4a_7c15 | 1 }

    /// The next number below `bound`.
    mutating func below(_ bound: Int) -> Int {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return Int(truncatingIfNeeded: (state >> 11) % UInt64(bound))
    }

    /// A text of about `byteCount` bytes.
    ///
    /// A binary one has NULs, control characters, bytes that are no UTF-8, `\v` and `\f` as well.
    mutating func text(byteCount: Int, isBinary: Bool) -> [UInt8] {
        var text: [UInt8] = []
        while text.count < byteCount {
            switch below(24) {
            case 0: text += Array("\r\n".utf8)
            case 1, 2, 3: text.append(0x0a)
            case 4: text += Array("\n\n".utf8)
            case 5: text += isBinary ? [0x0b, 0x20, 0x0c] : [0x20, 0x20]
            case 6: text += isBinary ? [UInt8(below(256))] : Array("wörter".utf8)
            case 7: text += Array("  €🙂 ".utf8)
            case 8 where below(8) == 0: text += longWord()
            case 9: text.append(0x09)
            default: text += word() + [0x20]
            }
        }
        if below(2) == 0 { text.append(0x0a) }
        return text
    }

    private mutating func word() -> [UInt8] {
        let length = 1 + below(1 + below(20))
        return (0..<length).map { _ in UInt8(0x61 + below(3)) }
    }

    private mutating func longWord() -> [UInt8] {
        [UInt8](repeating: UInt8(0x61 + below(3)), count: 50 + below(300))
    }
}
