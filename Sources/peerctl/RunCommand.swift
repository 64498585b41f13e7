import Engines
import MRProtocol
import Multiformats
import PeerNode

/// `run`: a MapReduce job over files.
enum RunCommand {
    static let options: [OptionSpec] = [
        .value("map", nil, "F", "what to do with records: \(BuiltInEngine.mapNames.joined(separator: " "))"),
        .value("combine", nil, "F", "merges pairs early (default: as the reduce allows; `none`: nothing)"),
        .value(
            "reduce",
            nil,
            "F",
            "merges pairs of a key: \(BuiltInEngine.reduceNames.joined(separator: " "))"
        ),
        .value("reduces", "R", "N", "parts of the result (default 1; 65536 at most)"),
        .value("format", nil, "FORMAT", "records: lines, crlf, words or kv (default: as the map wants)"),
        .value("output-format", nil, "FORMAT", "text (default) or kv"),
        .value("arg", nil, "K=V", "an argument of the functions, such as pattern=^a"),
        .value("name", nil, "NAME", "name of the job and of its result's pin"),
        .flag("detach", nil, "print the job's id and do not wait (needs a daemon)"),
        .flag("no-cache", nil, "do not use or remember outputs of tasks"),
        .value("output", "o", "FILE", "also write the merged result to a file"),
        .value("memory", nil, "SIZE", "memory of all tasks together, without a daemon (default 512M)"),
        .value("slots", nil, "N", "tasks at once, without a daemon (default: one a processor)"),
        .value("record-limit", nil, "SIZE", "longest record (default 16M)"),
        .flag("skip-long", nil, "skip and count longer records instead of failing"),
        .flag("recursive", "r", "take directories among the paths"),
    ]

    static let verb = Verb(
        name: "run",
        summary: "run a MapReduce job and print the CID of its result",
        operands: "INPUT…",
        options: options,
        details: """
            INPUT is a CID, a CID/path, a path (which is added first) or - for standard input.
            A path that looks like a CID is taken for one; write ./NAME to mean the file.
            Ctrl-C asks whether to leave the job running; without a terminal it cancels the job.
            """,
        example: "peerctl run --map wc --reduces 4 book.txt     # then: peerctl result CID",
        operandCount: 1...Int.max,
        run: run
    )

    private static func run(_ call: Invocation) async throws {
        let template = try JobTemplate(call)
        let isDetached = call.arguments.flag("detach")
        try await call.withNode(runsJobs: true) { access in
            if isDetached, access.local != nil {
                throw NodeError(
                    .unreachable,
                    "--detach needs a daemon to leave the job to; start peernode on \(call.home.path)"
                )
            }
            let inputs = try await Inputs(call: call, node: access.service).resolve(call.operands)
            let submission = JobSubmission(
                spec: template.spec(inputs: inputs),
                name: call.arguments.value("name") ?? "",
                usesRememberedOutputs: !call.arguments.flag("no-cache")
            )
            let id = try await access.service.submit(submission)
            if isDetached { return announce(id, call) }
            try await JobWatch(call: call, node: access.service, id: id).untilResult()
        }
    }

    private static func announce(_ id: JobID, _ call: Invocation) {
        if call.wantsJSON {
            call.print(["id": .string(id.description)])
        } else {
            call.streams.line(id.description)
        }
    }
}

/// The part of a job that does not depend on its inputs, checked.
struct JobTemplate: Sendable {
    private var job: JobSpec

    init(_ call: Invocation) throws(UsageError) {
        guard let map = call.arguments.value("map") else {
            throw UsageError("run needs --map=F, such as --map=wc")
        }
        let arguments = try JobTemplate.arguments(call.arguments.all("arg"))
        let reduce = call.arguments.value("reduce")
        guard let defaults = BuiltInEngine.defaults(forMap: map, arguments: arguments, reduce: reduce) else {
            throw JobTemplate.unknown("map", map, BuiltInEngine.mapNames)
        }
        if let reduce, !BuiltInEngine.reduceNames.contains(reduce) {
            throw JobTemplate.unknown("reduce", reduce, BuiltInEngine.reduceNames)
        }
        let combine = call.arguments.value("combine") ?? defaults.combine
        if let combine, combine != "none", !BuiltInEngine.reduceNames.contains(combine) {
            throw JobTemplate.unknown("combine", combine, BuiltInEngine.reduceNames)
        }
        job = JobSpec(
            map: .builtIn(map),
            combine: combine == "none" ? nil : combine.map(FunctionReference.builtIn),
            reduce: .builtIn(defaults.reduce),
            reduceCount: try JobTemplate.reduceCount(call.arguments.value("reduces")),
            recordFormat: try JobTemplate.choice(call, "format") ?? defaults.format,
            outputFormat: try JobTemplate.choice(call, "output-format") ?? .text,
            arguments: arguments,
            inputs: []
        )
        if let limit = try call.size("record-limit") { job.recordByteLimit = Int(limit) }
        job.skipsLongRecords = call.arguments.flag("skip-long")
    }

    /// The job over some inputs.
    func spec(inputs: [JobInput]) -> JobSpec {
        var spec = job
        spec.inputs = inputs
        return spec
    }

    private static func unknown(_ kind: String, _ name: String, _ known: [String]) -> UsageError {
        let near = Spelling.nearest(to: name, among: known).map { " (did you mean \($0)?)" } ?? ""
        return UsageError("there is no \(kind) «\(name)»\(near); there are \(known.joined(separator: ", "))")
    }

    private static func arguments(_ texts: [String]) throws(UsageError) -> [String: String] {
        var arguments: [String: String] = [:]
        for text in texts {
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                throw UsageError("--arg is NAME=VALUE, not «\(text)»")
            }
            arguments[String(text[..<equals])] = String(text[text.index(after: equals)...])
        }
        return arguments
    }

    private static func reduceCount(_ text: String?) throws(UsageError) -> Int {
        guard let text else { return 1 }
        guard let count = Int(text), (1...JobSpec.maxReduceCount).contains(count) else {
            throw UsageError("--reduces is a number from 1 to \(JobSpec.maxReduceCount), not «\(text)»")
        }
        return count
    }

    private static func choice<Value: RawRepresentable<String> & CaseIterable>(
        _ call: Invocation,
        _ name: String
    ) throws(UsageError) -> Value? {
        guard let text = call.arguments.value(name) else { return nil }
        guard let value = Value(rawValue: text) else {
            let known = Value.allCases.map(\.rawValue).joined(separator: ", ")
            throw UsageError("--\(name) is one of \(known), not «\(text)»")
        }
        return value
    }
}

/// What `run` reads: CIDs as they are, paths added first.
struct Inputs: Sendable {
    let call: Invocation
    let node: any NodeService

    func resolve(_ texts: [String]) async throws -> [JobInput] {
        var inputs: [JobInput] = []
        for text in texts {
            if text != "-", let path = try? ContentPath(parsing: text) {  // no CID: a path of the file system
                let cid = path.names.isEmpty ? path.root : try await find(path)
                inputs.append(JobInput(name: text, root: cid))
            } else {
                let adder = Adder(call: call, node: node, printsEntries: false)
                let roots = try await adder.add([text], profile: .standard)
                inputs += roots.map { JobInput(name: text, root: $0.node.cid) }
            }
        }
        return inputs
    }

    private func find(_ path: ContentPath) async throws -> CID {
        try await call.session.waiting(for: "\(path)") { try await node.resolve(path).cid }
    }
}
