import PeerNode

/// Finds the verb of a command line and reads its arguments.
enum CommandLineReader {
    /// Options that stand before or after any verb.
    static let globalOptions: [OptionSpec] = [
        .value("home", nil, "DIR", "the node's folder (default $PEERNODE_HOME, else ~/.peernode)"),
        .flag("json", nil, "print JSON"),
        .flag("quiet", "q", "print only what a script needs"),
        .value("timeout", nil, "D", "give up after this long, such as 30s or 5m"),
        .flag("help", "h", "explain the command"),
    ]

    /// Reads a command line.
    ///
    /// - Returns: `nil` when help or the version was asked for, and printed.
    static func read(_ arguments: [String], _ session: Session) throws(UsageError) -> Invocation? {
        let front = try OptionTable(globalOptions + [.flag("version", nil, "print the version")])
            .parse(arguments, stopsAtOperand: true)
        if front.flag("version") {
            session.streams.line("peerctl \(Version.text)")
            return nil
        }
        guard let word = front.rest.first else {
            if front.flag("help") { return show(HelpText.overview, session) }
            throw UsageError("no command given; `peerctl help` lists them")
        }
        if word == "help" { return show(try HelpText.topic(Array(front.rest.dropFirst())), session) }
        guard let (verb, rest) = VerbTable.find(front.rest) else {
            return show(try HelpText.group(front), session)
        }
        var parsed = front
        parsed.rest = []
        parsed.merge(try OptionTable(verb.options + globalOptions).parse(rest))
        if parsed.flag("help") { return show(HelpText.verb(verb), session) }
        try check(parsed.operands.count, verb)
        try HomeFolder.check(parsed.value("home"))
        return Invocation(verb: verb, arguments: parsed, session: session)
    }

    private static func check(_ count: Int, _ verb: Verb) throws(UsageError) {
        if verb.operandCount.contains(count) { return }
        let problem = count < verb.operandCount.lowerBound ? "too few operands" : "too many operands"
        throw UsageError("\(problem); usage: peerctl \(verb.name) \(verb.operands)")
    }

    private static func show(_ text: String, _ session: Session) -> Invocation? {
        session.streams.bytes(text)
        return nil
    }
}

extension StandardStreams {
    /// Writes text to stdout as it is.
    func bytes(_ text: String) {
        var text = text
        text.withUTF8 { bytes(UnsafeRawBufferPointer($0)) }
    }
}
