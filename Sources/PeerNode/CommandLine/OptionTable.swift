/// One option of a command.
package struct OptionSpec: Sendable {
    /// Long name, without dashes; also the key under which its values are found.
    package var name: String
    package var short: Character?
    /// What help calls the value; `nil`: the option takes none.
    package var value: String?
    package var help: String

    /// An option that is there or not; `--name=false` says that it is not.
    package static func flag(_ name: String, _ short: Character? = nil, _ help: String) -> OptionSpec {
        OptionSpec(name: name, short: short, value: nil, help: help)
    }

    /// An option with a value.
    package static func value(
        _ name: String,
        _ short: Character? = nil,
        _ value: String,
        _ help: String
    ) -> OptionSpec {
        OptionSpec(name: name, short: short, value: value, help: help)
    }
}

/// What is wrong with a command line, in one line.
package struct UsageError: Error, Equatable, Sendable {
    package var message: String

    /// Says what is wrong.
    package init(_ message: String) { self.message = message }
}

/// Options of a command and how to read them: the rules of `getopt_long`.
///
/// Options and operands may mix; `--` ends the options; `--name=value` and `--name value` are the same, and so are
/// `-nvalue` and `-n value`; short flags may be clustered; a long name may be shortened while it stays unambiguous; a
/// lone `-` is an operand.
package struct OptionTable: Sendable {
    package var options: [OptionSpec]

    /// A table of options.
    package init(_ options: [OptionSpec]) { self.options = options }

    /// Reads arguments.
    ///
    /// With `stopsAtOperand` the first operand and all behind it stay unread, in `rest`.
    package func parse(_ arguments: [String], stopsAtOperand: Bool = false) throws(UsageError)
        -> ParsedArguments
    {
        var parsed = ParsedArguments()
        var rest = arguments[...]
        while let argument = rest.popFirst() {
            if argument == "--" {
                parsed.operands += rest
                rest = []
            } else if argument.hasPrefix("--") {
                try parseLong(argument.dropFirst(2), &rest, &parsed)
            } else if argument.hasPrefix("-"), argument != "-" {
                try parseShort(argument.dropFirst(), &rest, &parsed)
            } else if stopsAtOperand {
                parsed.rest = [argument] + rest
                return parsed
            } else {
                parsed.operands.append(argument)
            }
        }
        return parsed
    }

    private func parseLong(
        _ text: Substring,
        _ rest: inout ArraySlice<String>,
        _ parsed: inout ParsedArguments
    ) throws(UsageError) {
        let equals = text.firstIndex(of: "=")
        let option = try find(String(text[..<(equals ?? text.endIndex)]))
        let attached = equals.map { String(text[text.index(after: $0)...]) }
        if option.value == nil {
            try setFlag(option, attached, &parsed)
        } else if let value = attached ?? rest.popFirst() {
            parsed.values[option.name, default: []].append(value)
        } else {
            throw missingValue(option)
        }
    }

    private func parseShort(
        _ cluster: Substring,
        _ rest: inout ArraySlice<String>,
        _ parsed: inout ParsedArguments
    ) throws(UsageError) {
        var cluster = cluster
        while let letter = cluster.popFirst() {
            guard let option = options.first(where: { $0.short == letter }) else {
                throw UsageError("unknown option -\(letter)")
            }
            guard option.value != nil else {
                parsed.values[option.name] = ["true"]
                continue
            }
            guard let value = cluster.isEmpty ? rest.popFirst() : String(cluster) else {
                throw missingValue(option)
            }
            parsed.values[option.name, default: []].append(value)
            return
        }
    }

    private func find(_ name: String) throws(UsageError) -> OptionSpec {
        if let exact = options.first(where: { $0.name == name }) { return exact }
        let candidates = options.filter { !name.isEmpty && $0.name.hasPrefix(name) }
        if let only = candidates.first, candidates.count == 1 { return only }
        if candidates.isEmpty {
            let near =
                Spelling.nearest(to: name, among: options.map(\.name)).map { "; did you mean --\($0)?" } ?? ""
            throw UsageError("unknown option --\(name)\(near)")
        }
        let names = candidates.map { "--\($0.name)" }.joined(separator: ", ")
        throw UsageError("--\(name) may mean \(names)")
    }

    private func setFlag(_ option: OptionSpec, _ text: String?, _ parsed: inout ParsedArguments)
        throws(UsageError)
    {
        switch text {
        case nil, "true": parsed.values[option.name] = ["true"]
        case "false": parsed.values[option.name] = ["false"]
        case .some(let text): throw UsageError("--\(option.name) is true or false, not «\(text)»")
        }
    }

    private func missingValue(_ option: OptionSpec) -> UsageError {
        UsageError("--\(option.name) needs a value: --\(option.name)=\(option.value ?? "VALUE")")
    }

    /// One line an option, for help.
    package var help: String {
        let heads = options.map { option in
            let short = option.short.map { "-\($0), " } ?? "    "
            return "  \(short)--\(option.name)" + (option.value.map { " \($0)" } ?? "")
        }
        let width = heads.map(\.count).max() ?? 0
        return zip(heads, options).map { head, option in
            head + String(repeating: " ", count: width - head.count + 2) + option.help + "\n"
        }.joined()
    }
}

/// What a command line says.
package struct ParsedArguments: Sendable, Equatable {
    package var values: [String: [String]] = [:]
    package var operands: [String] = []
    /// Arguments that were not read.
    package var rest: [String] = []

    /// An empty line.
    package init() {}

    /// Whether a flag is set.
    package func flag(_ name: String, default standard: Bool = false) -> Bool {
        values[name].map { $0.last == "true" } ?? standard
    }

    /// The last value of an option.
    package func value(_ name: String) -> String? { values[name]?.last }

    /// All values of an option, in order.
    package func all(_ name: String) -> [String] { values[name] ?? [] }

    /// Puts the options of another part of the line behind these.
    package mutating func merge(_ other: ParsedArguments) {
        values.merge(other.values) { $0 + $1 }
        operands += other.operands
    }
}

/// Guesses what a mistyped word was meant to be.
package enum Spelling {
    /// The candidate with the fewest edits, at most two and at most half of the word; `nil` when none is near.
    package static func nearest(to word: String, among candidates: [String]) -> String? {
        let scored = candidates.map { (edits(word, $0), $0) }.filter {
            $0.0 <= 2 && $0.0 * 2 <= max(word.count, 2)
        }
        return scored.min { $0.0 < $1.0 }?.1
    }

    /// Insertions, deletions, replacements and swaps of neighbours that make one word of the other.
    static func edits(_ left: String, _ right: String) -> Int {
        let (left, right) = (Array(left), Array(right))
        var rows = [Array(0...right.count)]
        for i in left.indices {
            var row = [i + 1]
            for j in right.indices {
                var least = min(rows[i][j] + (left[i] == right[j] ? 0 : 1), rows[i][j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, left[i] == right[j - 1], left[i - 1] == right[j] {
                    least = min(least, rows[i - 1][j - 1] + 1)
                }
                row.append(least)
            }
            rows.append(row)
        }
        return rows[left.count][right.count]
    }
}
