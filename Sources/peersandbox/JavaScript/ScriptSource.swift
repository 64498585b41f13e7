import FunctionProtocol

/// A function's file as JavaScriptCore can evaluate it, which has no modules outside browsers.
///
/// `export` and `default` are overwritten by text of the same length, so that every line and column stays where it is.
/// What was exported is then read from the script's own scope, by name.
struct ScriptSource {
    /// In front of the file; a module is strict.
    static let prefix = "'use strict';"
    /// Global variable that takes the value of `export default`; as long as the word it overwrites with its `=`.
    static let defaultName = "$dflt$"

    /// The text to evaluate, with `prefix`.
    private(set) var units: [UInt16]
    /// Local names of what is exported under another: `export { count as map }`.
    private(set) var aliases: [String: String] = [:]

    /// Reads a file.
    ///
    /// - Throws: `invalid` where it imports something, or exports what is in another file.
    init(_ program: [UInt8], name: String) throws(FunctionFault) {
        var units: [UInt16] = []
        program.withUnsafeBytes { TextEncoding.utf8.append($0, to: &units) }
        if units.first == 0xfeff { units[0] = 0x20 }
        self.units = units
        if units.starts(with: "#!".utf16) { blank(0..<(units.firstIndex(of: 0x0a) ?? units.count)) }
        try rewrite(Array(ScriptTokens(units)), ScriptTokens(units))
        self.units.insert(contentsOf: ScriptSource.prefix.utf16, at: 0)
    }

    private mutating func rewrite(_ tokens: [ScriptTokens.Token], _ texts: ScriptTokens) throws(FunctionFault)
    {
        var previous: String?
        for (index, token) in tokens.enumerated() {
            let text = token.kind == .word || token.kind == .punctuator ? texts.text(token) : ""
            defer { previous = text }
            guard token.kind == .word, token.depth == 0 else { continue }
            let next = index + 1 < tokens.count ? texts.text(tokens[index + 1]) : ""
            if text == "import", next != "(", next != ".", isStatement(token, after: previous) {
                throw fault(
                    at: token,
                    "a function is one file and cannot import; bundle it first, for example with `esbuild --bundle --format=esm`"
                )
            }
            guard text == "export", next != ":", next != "=", isStatement(token, after: previous) else {
                continue
            }
            try rewriteExport(tokens, index, texts)
        }
    }

    private func isStatement(_ token: ScriptTokens.Token, after previous: String?) -> Bool {
        token.isFirstOfLine && previous != "." || previous == nil || previous == ";" || previous == "}"
    }

    private mutating func rewriteExport(
        _ tokens: [ScriptTokens.Token],
        _ index: Int,
        _ texts: ScriptTokens
    ) throws(FunctionFault) {
        func text(_ offset: Int) -> String {
            index + offset < tokens.count ? texts.text(tokens[index + offset]) : ""
        }
        switch text(1) {
        case "*":
            throw fault(at: tokens[index], "a function is one file and cannot export what is in another")
        case "{":
            try rewriteList(tokens, index, texts)
        case "default":
            blank(tokens[index].range)
            let place = tokens[index + 1].range
            let isNamed = text(2) == "function" && text(3) != "(" && text(3) != "*"
            if isNamed {
                aliases["default"] = text(3)
                blank(place)
            } else {
                units.replaceSubrange(place, with: "\(ScriptSource.defaultName)=".utf16)
            }
        default:
            blank(tokens[index].range)
        }
    }

    /// Reads `export { a, b as map };` and overwrites it.
    private mutating func rewriteList(
        _ tokens: [ScriptTokens.Token],
        _ index: Int,
        _ texts: ScriptTokens
    ) throws(FunctionFault) {
        var names: [String] = []
        var end = index + 2
        while end < tokens.count, texts.text(tokens[end]) != "}" {
            names.append(texts.text(tokens[end]))
            end += 1
        }
        guard end < tokens.count else { return }
        if end + 1 < tokens.count, texts.text(tokens[end + 1]) == "from" {
            throw fault(at: tokens[index], "a function is one file and cannot export what is in another")
        }
        for item in names.split(separator: ",") {
            let words = Array(item)
            guard let local = words.first, let exported = words.last, words.count == 1 || words.count == 3
            else { continue }
            aliases[exported] = local
        }
        blank(tokens[index].range.lowerBound..<tokens[end].range.upperBound)
        // A statement still ends here.
        units[tokens[index].range.lowerBound] = 0x3b
    }

    /// Overwrites with spaces all but the ends of lines.
    private mutating func blank(_ range: Range<Int>) {
        for index in range where units[index] != 0x0a && units[index] != 0x0d { units[index] = 0x20 }
    }

    private func fault(at token: ScriptTokens.Token, _ message: String) -> FunctionFault {
        let front = units[..<token.range.lowerBound]
        let lineStart = front.lastIndex(of: 0x0a).map { $0 + 1 } ?? 0
        return FunctionFault(
            .invalid,
            message,
            line: UInt32(front.count { $0 == 0x0a } + 1),
            column: UInt32(token.range.lowerBound - lineStart + 1)
        )
    }
}

extension ScriptSource {
    /// The column of the only place where `token` is in a line, from 1; 0 when there is none or more.
    ///
    /// JavaScriptCore tells the line of a syntax error and the token, but not the column.
    func column(of token: String, inLine line: UInt32) -> UInt32 {
        let lines = units.dropFirst(ScriptSource.prefix.utf16.count).split(
            separator: 0x0a,
            omittingEmptySubsequences: false
        )
        let wanted = Array(token.utf16)
        guard line >= 1, Int(line) <= lines.count, !wanted.isEmpty else { return 0 }
        let text = Array(lines[Int(line) - 1])
        let places = text.indices.filter { text[$0...].starts(with: wanted) }
        return places.count == 1 ? UInt32(places[0] + 1) : 0
    }
}
