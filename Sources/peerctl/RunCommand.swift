import Engines
import MRProtocol
import Multiformats
import PeerNode

/// `run`: a MapReduce job over files.
enum RunCommand {
    static let options: [OptionSpec] = [
        .value(
            "map",
            nil,
            "F",
            "what to do with records: \(BuiltInEngine.mapNames.joined(separator: " ")), or a file"
        ),
        .value("combine", nil, "F", "merges pairs early (default: as the reduce allows; `none`: nothing)"),
        .value(
            "reduce",
            nil,
            "F",
            "merges values: \(BuiltInEngine.reduceNames.joined(separator: " ")), a file"
        ),
        .value("map-cmd", nil, "CMD", "a command as map: Hadoop Streaming's contract"),
        .value("combine-cmd", nil, "CMD", "a command as combine"),
        .value("reduce-cmd", nil, "CMD", "a command as reduce"),
        .value("file", nil, "[NAME=]PATH", "a file for the folder that commands run in, also repeated"),
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
        .value("skip-bad", nil, "N", "skip and count up to N records on which a function fails"),
        .value("task-cpu", nil, "D", "processor time of one attempt of a function, such as 5m"),
        .value("task-timeout", nil, "D", "time of a function without a sign of life, such as 60s"),
        .value("task-memory", nil, "SIZE", "memory of one attempt of a function"),
        .value("task-output", nil, "SIZE", "bytes that one attempt of a function may emit"),
        .flag("local", nil, "try the functions on a few records here, and print the pairs; stores nothing"),
        .value("limit", nil, "N", "with --local: first records of each INPUT (default 100)"),
        .flag("recursive", "r", "take directories among the paths"),
    ]

    static let verb = Verb(
        name: "run",
        summary: "run a MapReduce job and print the CID of its result",
        operands: "INPUT…",
        options: options,
        details: """
            INPUT is a CID, a CID/path, a path (which is added first) or - for standard input.
            A path that looks like a CID is taken for one; write ./NAME to mean the file. A function is a built-in, a
            JavaScript or WebAssembly file (write ./wc for a file named as a built-in) or the CID of one; a JavaScript map
            brings the combine and the reduce of its file along. docs/functions.md teaches how to write them.
            Ctrl-C asks whether to leave the job running; without a terminal it cancels the job.
            """,
        example: "peerctl run --map wc --reduces 4 book.txt     # then: peerctl result CID",
        operandCount: 1...Int.max,
        run: run
    )

    private static func run(_ call: Invocation) async throws {
        let template = try JobTemplate(call)
        if call.arguments.flag("local") { return try await LocalTrial(call, template).run() }
        if call.arguments.value("limit") != nil { throw UsageError("--limit goes with --local") }
        let isDetached = call.arguments.flag("detach")
        if isDetached, call.arguments.value("output") != nil {
            throw UsageError("--output goes without --detach; `peerctl result JOB -o FILE` saves it later")
        }
        try await call.withNode(runsJobs: true) { access in
            if isDetached, access.local != nil {
                throw NodeError(
                    .unreachable,
                    "--detach needs a daemon to leave the job to; start peernode on \(call.home.path)"
                )
            }
            if let local = access.local { template.expectFunctions(on: local, inputs: call.operands) }
            // Functions first: a mistake in one shows before a large input is added.
            let store = NodeFunctionStore(call: call, node: access.service)
            let functions = try await FunctionFiles(store: store).resolve(template)
            let inputs = try await Inputs(call: call, node: access.service).resolve(call.operands)
            let submission = JobSubmission(
                spec: functions.spec(template, inputs: inputs),
                name: call.arguments.value("name") ?? "",
                usesRememberedOutputs: !call.arguments.flag("no-cache"),
                functionNames: functions.names
            )
            let output = try call.arguments.value("output").map { try OutputFile($0, call.streams) }
            let id = try await access.service.submit(submission)
            if isDetached { return announce(id, call) }
            try await JobWatch(call: call, node: access.service, id: id, output: output).untilResult()
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

/// What `run` reads: CIDs as they are, paths added first.
struct Inputs: Sendable {
    let call: Invocation
    let node: any NodeService

    func resolve(_ texts: [String]) async throws -> [JobInput] {
        var inputs: [JobInput] = []
        for text in texts {
            if text != "-", let path = try? ContentPath(parsing: text) {  // no CID: a path of the file system
                inputs.append(JobInput(name: text, root: try await find(path)))
            } else {
                let adder = Adder(call: call, node: node, printsEntries: false, readsThrough: true)
                let roots = try await adder.add([text], profile: .standard)
                inputs += roots.map { JobInput(name: Inputs.name(text), root: $0.node.cid) }
            }
        }
        return inputs
    }

    /// Without the slashes that a shell's completion puts behind a directory: `d/` is the same input as `d`.
    private static func name(_ path: String) -> String {
        var name = path[...]
        while name.utf8.count > 1, name.hasSuffix("/") { name.removeLast() }
        return String(name)
    }

    /// Looks at an input before the job begins, so that one which nobody has is named, while it is waited for and after.
    private func find(_ path: ContentPath) async throws -> CID {
        try await call.session.waiting(for: "\(path)") { try await node.resolve(path).cid }
    }
}
