/// Text for terminals, whoever wrote it.
///
/// Functions, other nodes and files name and say things as they like. A terminal obeys control characters in such text: they
/// recolour, overwrite or retitle, and some terminals type for the user. So they are spelled out.
package enum TerminalText {
    /// Control characters: C0, DEL, and C1, which terminals obey in UTF-8 too (ECMA-48 section 5.3).
    package static func isControl(_ scalar: Unicode.Scalar) -> Bool {
        scalar.value < 0x20 || 0x7f...0x9f ~= scalar.value
    }

    /// The text with control characters spelled out, such as `\x1b`; line feeds and tabs are kept.
    package static func visible(_ text: String) -> String {
        spelled(text) { isControl($0) && $0 != "\n" && $0 != "\t" }
    }

    /// The text with all control characters spelled out: it stays one line, whatever is in it.
    package static func oneLine(_ text: String) -> String { spelled(text, where: isControl) }

    private static func spelled(_ text: String, where isSpelled: (Unicode.Scalar) -> Bool) -> String {
        guard text.unicodeScalars.contains(where: isSpelled) else { return text }
        var spelled = ""
        for scalar in text.unicodeScalars {
            if isSpelled(scalar) {
                spelled += name(of: scalar)
            } else {
                spelled.unicodeScalars.append(scalar)
            }
        }
        return spelled
    }

    private static func name(of control: Unicode.Scalar) -> String {
        switch control {
        case "\n": "\\n"
        case "\r": "\\r"
        case "\t": "\\t"
        default: (control.value < 0x10 ? "\\x0" : "\\x") + String(control.value, radix: 16)
        }
    }
}
