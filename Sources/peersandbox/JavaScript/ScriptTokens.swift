/// The tokens of a JavaScript text: enough of the language to know what is code and what is a string, template,
/// comment or regular expression.
///
/// What is malformed ends a token early and is left for JavaScriptCore to report.
struct ScriptTokens: Sequence, IteratorProtocol {
    struct Token {
        enum Kind {
            case word, number, string, template, regularExpression, punctuator
        }

        let kind: Kind
        /// Where it lies in the text's units.
        let range: Range<Int>
        /// Braces, brackets and parentheses open around it.
        let depth: Int
        /// A line ends between it and the token before.
        let isFirstOfLine: Bool
    }

    /// What an open bracket is, to know whether a `/` behind its end divides.
    private enum Bracket {
        /// `(` of `if`, `while`, `for` or `with`: a statement follows its end.
        case head
        /// `{` where a statement is: what follows its end is a statement.
        case block
        case expression
        /// `${` of a template, which goes on behind its `}`.
        case substitution
    }

    let units: [UInt16]
    private var position = 0
    private var open: [Bracket] = []
    private var previous: Token?
    /// A `/` here begins a regular expression.
    private var expectsValue = true
    private var sawLineEnd = true

    init(_ units: [UInt16]) {
        self.units = units
        if at(0) == "#", at(1) == "!" { skipLine() }
    }

    func text(_ token: Token) -> String { String(decoding: units[token.range], as: UTF16.self) }

    mutating func next() -> Token? {
        skipSpace()
        guard position < units.count else { return nil }
        let start = position
        let depth = open.count
        let kind = take()
        let isFirst = sawLineEnd
        sawLineEnd = false
        // An end counts as outside of what it ends.
        let token = Token(
            kind: kind,
            range: start..<position,
            depth: Swift.min(depth, open.count),
            isFirstOfLine: isFirst
        )
        previous = token
        return token
    }

    private func at(_ index: Int) -> Character? {
        guard index < units.count, let scalar = Unicode.Scalar(units[index]) else { return nil }
        return Character(scalar)
    }

    private func isWordUnit(_ index: Int) -> Bool {
        guard let character = at(index) else { return index < units.count }
        return character.isLetter || character.isNumber || "$_\\#\u{200c}\u{200d}".contains(character)
    }
}

// MARK: - Space and comments

extension ScriptTokens {
    private static func isLineEnd(_ unit: UInt16) -> Bool {
        unit == 0x0a || unit == 0x0d || unit == 0x2028 || unit == 0x2029
    }

    private mutating func skipSpace() {
        while position < units.count {
            let unit = units[position]
            if ScriptTokens.isLineEnd(unit) {
                sawLineEnd = true
                position += 1
            } else if unit <= 0x20 || unit == 0xa0 || unit == 0xfeff {
                position += 1
            } else if at(position) == "/", at(position + 1) == "/" {
                skipLine()
            } else if at(position) == "/", at(position + 1) == "*" {
                skipComment()
            } else {
                return
            }
        }
    }

    private mutating func skipLine() {
        while position < units.count, !ScriptTokens.isLineEnd(units[position]) { position += 1 }
    }

    private mutating func skipComment() {
        position += 2
        while position < units.count {
            if at(position) == "*", at(position + 1) == "/" {
                position += 2
                return
            }
            if ScriptTokens.isLineEnd(units[position]) { sawLineEnd = true }
            position += 1
        }
    }
}

// MARK: - Tokens

extension ScriptTokens {
    /// Words behind which a value is expected.
    private static let operators: Set<String> = [
        "return", "typeof", "instanceof", "in", "of", "new", "delete", "void", "throw", "case", "do", "else",
        "yield", "await", "default", "extends",
    ]
    private static let heads: Set<String> = ["if", "while", "for", "with"]

    private mutating func take() -> Token.Kind {
        switch at(position) {
        case "\"", "'":
            takeString()
            return .string
        case "`":
            position += 1
            takeTemplate()
            return .template
        case "/" where expectsValue:
            takeRegularExpression()
            return .regularExpression
        case "}" where open.last == .substitution:
            open.removeLast()
            position += 1
            takeTemplate()
            return .template
        case let character?
        where character.isNumber || character == "." && (at(position + 1)?.isNumber ?? false):
            takeNumber()
            return .number
        default:
            if isWordUnit(position) {
                takeWord()
                return .word
            }
            takePunctuator()
            return .punctuator
        }
    }

    private mutating func takeWord() {
        let start = position
        while isWordUnit(position) { position += 1 }
        let word = String(decoding: units[start..<position], as: UTF16.self)
        let isName = previous.map { text($0) == "." || text($0) == "?." } ?? false
        expectsValue = !isName && ScriptTokens.operators.contains(word)
    }

    private mutating func takeNumber() {
        while isWordUnit(position) || at(position) == "." { position += 1 }
        expectsValue = false
    }

    private mutating func takeString() {
        let quote = units[position]
        position += 1
        while position < units.count, units[position] != quote {
            if units[position] == 0x0a || units[position] == 0x0d { return }
            position += at(position) == "\\" ? 2 : 1
        }
        position = Swift.min(position + 1, units.count)
        expectsValue = false
    }

    /// Up to the template's end or the next `${`.
    private mutating func takeTemplate() {
        while position < units.count {
            if at(position) == "\\" {
                position += 2
            } else if at(position) == "`" {
                position += 1
                expectsValue = false
                return
            } else if at(position) == "$", at(position + 1) == "{" {
                position += 2
                open.append(.substitution)
                expectsValue = true
                return
            } else {
                position += 1
            }
        }
        position = units.count
    }

    private mutating func takeRegularExpression() {
        position += 1
        var isInClass = false
        while position < units.count, !ScriptTokens.isLineEnd(units[position]) {
            let character = at(position)
            if character == "/", !isInClass { break }
            if character == "[" { isInClass = true }
            if character == "]" { isInClass = false }
            position += character == "\\" ? 2 : 1
        }
        position = Swift.min(position + 1, units.count)
        while isWordUnit(position) { position += 1 }
        expectsValue = false
    }

    private mutating func takePunctuator() {
        let character = at(position)
        let before = position > 0 ? at(position - 1) : nil
        position += 1
        switch character {
        case "(":
            open.append(previous.map { ScriptTokens.heads.contains(text($0)) } ?? false ? .head : .expression)
            expectsValue = true
        case "[":
            open.append(.expression)
            expectsValue = true
        case "{":
            open.append(beginsBlock ? .block : .expression)
            expectsValue = true
        case ")", "]", "}":
            let bracket = open.popLast()
            expectsValue = bracket == .head || bracket == .block
        case "+" where before == "+", "-" where before == "-":
            // `a++ / b` divides; `++ /x/` makes no sense.
            expectsValue = false
        case "?" where at(position) == ".":
            position += 1
            expectsValue = false
        default:
            expectsValue = true
        }
    }

    /// A `{` here begins a block, and not an object.
    private var beginsBlock: Bool {
        guard let previous else { return true }
        switch previous.kind {
        case .word:
            let word = text(previous)
            return !ScriptTokens.operators.contains(word) || word == "do" || word == "else"
        case .punctuator:
            let mark = text(previous)
            // `=>` is `=` and `>`; an arrow's body ends like a block.
            return mark == ")" || mark == ";" || mark == "{" || mark == "}" || mark == ">"
        case .number, .string, .template, .regularExpression:
            return false
        }
    }
}
