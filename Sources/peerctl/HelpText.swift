import PeerNode

/// What `help` and `--help` print.
enum HelpText {
    static var overview: String {
        let shown = VerbTable.all.filter { !$0.isHidden }
        let width = shown.map(\.name.count).max() ?? 0
        let verbs = shown.map { verb in
            "  " + verb.name + String(repeating: " ", count: width - verb.name.count + 2) + verb.summary
                + "\n"
        }.joined()
        return """
            usage: peerctl [--home DIR] [--json] [-q] [--timeout D] VERB …

            Works on the node in a folder: through its daemon when one runs, else by itself.

            \(verbs)
            Options of every verb:
            \(OptionTable(CommandLineReader.globalOptions).help)
            Exit codes: 0 done, 1 failed, 2 wrong usage. `peerctl VERB --help` tells more and gives an example.
            Not here: files (MFS), name and key (IPNS), mount, pubsub. A node is reached by address or CAR.

            """
    }

    static func verb(_ verb: Verb) -> String {
        var text =
            "usage: peerctl \(verb.name)\(verb.options.isEmpty ? "" : " [options]") \(verb.operands)\n\n\(verb.summary)\n"
        if !verb.details.isEmpty { text += "\n\(verb.details)\n" }
        if !verb.options.isEmpty { text += "\nOptions:\n\(OptionTable(verb.options).help)" }
        text += "\nOptions of every verb:\n\(OptionTable(CommandLineReader.globalOptions).help)"
        return text + "\nExample:\n  \(verb.example)\n"
    }

    /// Help on the verb that the words name.
    static func topic(_ words: [String]) throws(UsageError) -> String {
        if words.isEmpty { return overview }
        if let (verb, _) = VerbTable.find(words) { return HelpText.verb(verb) }
        var parsed = ParsedArguments()
        parsed.rest = words
        parsed.values["help"] = ["true"]
        return try group(parsed)
    }

    /// Help on a group such as `block`; an error when the words name none, or need a second word.
    static func group(_ parsed: ParsedArguments) throws(UsageError) -> String {
        let word = parsed.rest.first ?? ""
        let members = VerbTable.all.filter { $0.name.hasPrefix(word + " ") }
        guard !members.isEmpty else { throw unknown(word) }
        let asksForHelp = parsed.flag("help") || parsed.rest.contains("--help") || parsed.rest.contains("-h")
        guard asksForHelp else {
            let names = members.map { String($0.name.dropFirst(word.count + 1)) }.joined(separator: ", ")
            throw UsageError("\(word) needs one of: \(names)")
        }
        return members.map { "peerctl \($0.name) \($0.operands)\n  \($0.summary)\n" }.joined()
    }

    private static func unknown(_ word: String) -> UsageError {
        let firstWords = VerbTable.all.map { String($0.name.prefix { $0 != " " }) }
        let near = Spelling.nearest(to: word, among: firstWords).map { "; did you mean \($0)?" } ?? ""
        return UsageError("unknown command «\(word)»\(near.isEmpty ? ";" : near) `peerctl help` lists them")
    }
}
