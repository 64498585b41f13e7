import PeerNode
import Testing

@Suite("Text for terminals") struct TerminalTextTests {
    static let texts: [(text: String, visible: String, oneLine: String)] = [
        ("", "", ""),
        ("plain, é € 😀, \u{a0}and more", "plain, é € 😀, \u{a0}and more", "plain, é € 😀, \u{a0}and more"),
        ("two\nlines\tand a tab", "two\nlines\tand a tab", #"two\nlines\tand a tab"#),
        ("\u{1b}[2J\u{1b}]0;title\u{7}", #"\x1b[2J\x1b]0;title\x07"#, #"\x1b[2J\x1b]0;title\x07"#),
        ("all well\rno: a lie\u{8}\u{0}", #"all well\rno: a lie\x08\x00"#, #"all well\rno: a lie\x08\x00"#),
        ("a\r\nb", "a\\r\nb", #"a\r\nb"#),
        (
            "\u{7f}\u{80}\u{9b}31m\u{9f}\u{a1}", "\\x7f\\x80\\x9b31m\\x9f\u{a1}",
            "\\x7f\\x80\\x9b31m\\x9f\u{a1}"
        ),
        // After an accent, which would be one character with what stands before it.
        ("\u{1b}\u{301}", "\\x1b\u{301}", "\\x1b\u{301}"),
    ]

    @Test("Control characters are spelled out, and nothing else changes", arguments: texts)
    func spelled(text: String, visible: String, oneLine: String) {
        #expect(TerminalText.visible(text) == visible)
        #expect(TerminalText.oneLine(text) == oneLine)
    }

    @Test("No control character is left of any text of one")
    func none() {
        for value: UInt32 in 0...0xff {
            guard let scalar = Unicode.Scalar(value) else { continue }
            let text = String(Character(scalar))
            #expect(!TerminalText.oneLine(text).unicodeScalars.contains(where: TerminalText.isControl))
            let isControl = value < 0x20 || 0x7f...0x9f ~= value
            #expect((TerminalText.oneLine(text) == text) == !isControl)
        }
    }
}
