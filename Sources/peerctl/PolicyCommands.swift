import PeerNode

/// Who may have this node run what.
enum PolicyCommands {
    private static let subjects = """
        PEER is a peer id, `network` (peers with the same swarm key) or `others` (everybody else). What is said of a
        peer by name replaces what it has as one of these. A running daemon follows at once.
        """

    static let show = Verb(
        name: "policy show",
        summary: "show who may run what on this node",
        operands: "",
        details: "docs/policy.md tells what the rules mean and what their file looks like.",
        example: "peerctl policy show --json",
        operandCount: 0...0
    ) { call in
        try await call.withNode { access in
            let report = try await access.service.policy()
            if call.wantsJSON { return call.print(report.json) }
            for row in Table.aligned([["WHO", "ENGINES", "SLOTS", "LIMITS"]] + rows(report.policy)) {
                call.streams.line(row)
            }
            if call.isQuiet { return }
            for line in remarks(report) { call.streams.note(line) }
        }
    }

    static let allow = Verb(
        name: "policy allow",
        summary: "let a peer run jobs on this node",
        operands: "PEER",
        options: [
            .value("engine", nil, "E", "builtin, javascript, webassembly or command, also repeated"),
            .flag(
                "commands",
                nil,
                "also commands, which are confined less: they can read what this user can"
            ),
            .value("slots", nil, "N", "most slots at a time (default: all)"),
            .value(
                "limit",
                nil,
                "K=V",
                "most for one attempt: cpu, stall, memory, output, pairs, log, processes"
            ),
        ],
        details: subjects
            + "\nWithout --engine: the built-ins, JavaScript and WebAssembly; `self`, your own user, keeps what it has.",
        example: "peerctl policy allow --slots 2 --limit cpu=10m --limit memory=512M 12D3KooW…",
        operandCount: 1...1
    ) { call in
        let subject = try who(call.operands[0])
        let said = try allowance(call, subject)
        try await call.withNode { access in
            var grant = said
            if subject == .own, call.arguments.all("engine").isEmpty {
                grant.engines = try await access.service.policy().policy.own.engines
                if call.arguments.flag("commands") { grant.engines.insert(.command) }
            }
            finish(try await access.service.setPolicy(grant, of: subject), subject, call)
        }
    }

    static let deny = Verb(
        name: "policy deny",
        summary: "let a peer run nothing on this node",
        operands: "PEER",
        details: subjects + "\nIts jobs that run here end.",
        example: "peerctl policy deny 12D3KooW…",
        operandCount: 1...1
    ) { call in
        let subject = try who(call.operands[0])
        guard subject != .own else { throw UsageError("deny whom? `self` is you") }
        try await call.withNode { access in
            finish(try await access.service.setPolicy(.nothing, of: subject), subject, call)
        }
    }

    static let reset = Verb(
        name: "policy reset",
        summary: "go back to the default policy, or to the default for one peer",
        operands: "[PEER]",
        details: subjects + "\nWithout PEER the policy file is removed, also one that cannot be read.",
        example: "peerctl policy reset",
        operandCount: 0...1
    ) { call in
        let subject = try call.operands.first.map { try who($0) }
        try await call.withNode { access in
            if let subject {
                finish(try await access.service.setPolicy(nil, of: subject), subject, call)
            } else {
                let report = try await access.service.resetPolicy()
                if call.wantsJSON { return call.print(report.json) }
                if !call.isQuiet { call.streams.line("default policy") }
            }
        }
    }

    // MARK: Arguments

    private static func who(_ text: String) throws(UsageError) -> PolicySubject {
        do throws(NodeError) { return try PolicySubject(parsing: text) } catch {
            throw UsageError(error.message)
        }
    }

    private static func allowance(_ call: Invocation, _ subject: PolicySubject) throws(UsageError)
        -> PolicyGrant
    {
        var grant = PolicyGrant.sandboxed
        let names = call.arguments.all("engine")
        if !names.isEmpty { grant.engines = [] }
        for name in names {
            guard let engine = PolicyEngine(rawValue: name) else {
                throw UsageError("--engine: \(PolicyEngine.unknown(name))")
            }
            grant.engines.insert(engine)
        }
        if call.arguments.flag("commands") { grant.engines.insert(.command) }
        if grant.engines.contains(.command), subject == .network || subject == .others {
            throw UsageError("commands can be allowed to a peer by its id, not to all of `\(subject.text)`")
        }
        if let text = call.arguments.value("slots") {
            do throws(NodeError) { grant.slots = try NodeSettings.slots(text) } catch {
                throw UsageError("--\(error.message)")
            }
        }
        for text in call.arguments.all("limit") {
            let (name, value) = try limit(text)
            guard grant.limits.bounds[name] == nil else {
                throw UsageError("--limit \(name.rawValue) is given twice")
            }
            grant.limits.bounds[name] = value
        }
        return grant
    }

    private static func limit(_ text: String) throws(UsageError) -> (PolicyLimits.Name, UInt64) {
        guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
            throw UsageError("--limit is NAME=VALUE such as memory=512M, not «\(text)»")
        }
        guard let name = PolicyLimits.Name(rawValue: String(text[..<equals])) else {
            throw UsageError("--limit: \(PolicyLimits.unknown(String(text[..<equals])))")
        }
        let value = String(text[text.index(after: equals)...])
        guard let number = name.parse(value) else {
            throw UsageError("--limit \(name.rawValue) is \(name.example), not «\(value)»")
        }
        return (name, number)
    }

    // MARK: Output

    private static func finish(_ report: PolicyReport, _ subject: PolicySubject, _ call: Invocation) {
        if call.wantsJSON { return call.print(report.json) }
        if call.isQuiet { return }
        if case .peer(let peer) = subject, report.policy.peers[peer] == nil {
            return call.streams.line("\(subject.text): as any other peer")
        }
        call.streams.line("\(subject.text): \(words(report.policy[subject]))")
    }

    private static func words(_ grant: PolicyGrant) -> String {
        if grant.engines.isEmpty { return "nothing" }
        var words = engines(grant).split(separator: " ").joined(separator: ", ")
        if let slots = grant.slots { words += "; \(slots) slots" }
        if !grant.limits.bounds.isEmpty { words += "; \(limits(grant))" }
        return words
    }

    private static func rows(_ policy: Policy) -> [[String]] {
        let named = policy.peers.keys.sorted().map { PolicySubject.peer($0) }
        return ([.own, .network] + named + [.others]).map { subject in
            let grant = policy[subject]
            return [subject.text, engines(grant), grant.slots.map { "\($0)" } ?? "all", limits(grant)]
        }
    }

    private static func engines(_ grant: PolicyGrant) -> String {
        let names = PolicyEngine.allCases.filter { grant.engines.contains($0) }.map(\.rawValue)
        return names.isEmpty ? "none" : names.joined(separator: " ")
    }

    private static func limits(_ grant: PolicyGrant) -> String {
        let set = PolicyLimits.Name.allCases.compactMap { name in
            grant.limits.bounds[name].map { "\(name.rawValue)=\(name.format($0))" }
        }
        return set.isEmpty ? "-" : set.joined(separator: " ")
    }

    private static func remarks(_ report: PolicyReport) -> [String] {
        var remarks = [report.hasFile ? "from \(report.path)" : "the defaults; there is no \(report.path)"]
        switch report.isInPrivateNetwork {
        case true: remarks.append("this node has a swarm key: every connected peer is of `network`, or named")
        case false:
            remarks.append("this node has no swarm key: every connected peer is of `others`, or named")
        default: break
        }
        if let warning = report.sandbox.warning(allowsUnconfined: report.policy.allowsUnconfined) {
            remarks.append(warning)
        }
        return remarks
    }
}
