import Engines
import MRProtocol
import Multiformats
import PeerNode

/// The part of a job that does not depend on files, checked.
struct JobTemplate: Sendable {
    /// What the user chose for each role.
    var map: FunctionChoice
    /// `nil`: as goes with the reduce.
    var combine: FunctionChoice?
    /// There is to be no combine.
    var hasNoCombine: Bool
    /// `nil`: as goes with the map.
    var reduce: FunctionChoice?
    /// Files for commands: name and path.
    var files: [(name: String, path: String)]
    /// All that needs no functions; those in it are stand-ins.
    private var job: JobSpec
    private let format: RecordFormat?

    init(_ call: Invocation) throws {
        guard let map = try FunctionChoice(call, .map, BuiltInEngine.mapNames) else {
            throw UsageError("run needs --map=F or --map-cmd=CMD, such as --map=wc")
        }
        self.map = map
        hasNoCombine = call.arguments.value("combine") == "none" && call.arguments.value("combine-cmd") == nil
        combine = hasNoCombine ? nil : try FunctionChoice(call, .combine, BuiltInEngine.reduceNames)
        reduce = try FunctionChoice(call, .reduce, BuiltInEngine.reduceNames)
        files = try JobTemplate.files(call)
        format = try JobTemplate.choice(call, "format")
        job = JobSpec(
            map: .builtIn("identity"),
            combine: nil,
            reduce: .builtIn("identity"),
            reduceCount: try JobTemplate.reduceCount(call.arguments.value("reduces")),
            recordFormat: .lines,
            outputFormat: try JobTemplate.choice(call, "output-format") ?? .text,
            arguments: try JobTemplate.arguments(call.arguments.all("arg")),
            inputs: []
        )
        if let limit = try call.size("record-limit") { job.recordByteLimit = Int(limit) }
        job.skipsLongRecords = call.arguments.flag("skip-long")
        job.skipBad = try JobTemplate.skipBad(call)
        if job.skipBad > 0, map.isCommand {
            throw UsageError(
                "--skip-bad means nothing with --map-cmd: a command reads all records and fails as a whole"
            )
        }
        job.limits = try JobTemplate.limits(call)
        let choices = [map, combine, reduce].compactMap { $0 }
        if !files.isEmpty, !choices.contains(where: \.isCommand) {
            throw UsageError("--file gives files to commands, and this job has none")
        }
    }

    /// Has a process started for each function that is a file, so that it is up when the function is known, and more for a map
    /// that is likely to have tasks for several slots.
    func expectFunctions(on node: LocalNode, inputs: [String]) {
        var paths: [String] = []
        for case .file(let path)? in [map, combine, reduce] where !paths.contains(path) { paths.append(path) }
        var mapFillsSlots = false
        if case .file(let path) = map, FunctionFile.engine(of: path) != nil {
            mapFillsSlots = inputs.count > 1 || inputs.contains(where: JobTemplate.hasManyBlocks)
        }
        node.expectFunctions(
            paths.compactMap(FunctionFile.engine),
            limits: limits,
            firstFillsSlots: mapFillsSlots
        )
    }

    /// As far as its name tells.
    ///
    /// A file of one block is that block, `raw`; most of what else has a CID has links. Both ways it is a hint only.
    private static func hasManyBlocks(_ input: String) -> Bool {
        if let path = try? ContentPath(parsing: input) {
            return path.root.codec != .raw || !path.names.isEmpty
        }
        if (try? FileTree.kind(input, follow: true)) == .directory { return true }
        return FileTree.byteCount(input, false) > ImportProfile.standard.blockByteCount
    }

    /// The functions' arguments, by name.
    var arguments: [String: String] { job.arguments }
    /// What functions may use.
    var limits: TaskLimits { job.limits }

    /// The job with its functions and inputs.
    ///
    /// - Parameters:
    ///   - map: what the user's choice came to.
    ///   - combine: likewise, or what goes with the reduce.
    ///   - reduce: likewise, or what goes with the map.
    ///   - format: how the map wants its records, unless the user said otherwise.
    ///   - files: what is shipped with commands.
    ///   - inputs: what to read.
    /// - Returns: the specification.
    func spec(
        map: FunctionReference,
        combine: FunctionReference?,
        reduce: FunctionReference,
        format: RecordFormat,
        files: [JobFile],
        inputs: [JobInput]
    ) -> JobSpec {
        var spec = job
        (spec.map, spec.combine, spec.reduce) = (map, combine, reduce)
        spec.recordFormat = self.format ?? format
        spec.files = files.sorted { $0.name < $1.name }
        spec.inputs = inputs
        return spec
    }

    // MARK: Options

    private static func arguments(_ texts: [String]) throws(UsageError) -> [String: String] {
        var arguments: [String: String] = [:]
        for text in texts {
            guard let equals = text.firstIndex(of: "="), equals > text.startIndex else {
                throw UsageError("--arg is NAME=VALUE, not «\(text)»")
            }
            let name = String(text[..<equals])
            guard arguments[name] == nil else { throw UsageError("--arg \(name)=… is given twice") }
            arguments[name] = String(text[text.index(after: equals)...])
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

    private static func skipBad(_ call: Invocation) throws(UsageError) -> Int {
        guard let text = call.arguments.value("skip-bad") else { return 0 }
        guard let count = Int(text), 0...JobSpec.maxSkipBad ~= count else {
            throw UsageError("--skip-bad is a number from 0 to \(JobSpec.maxSkipBad), not «\(text)»")
        }
        return count
    }

    private static func limits(_ call: Invocation) throws(UsageError) -> TaskLimits {
        var limits = TaskLimits()
        for (option, name) in JobTemplate.limitOptions {
            guard let text = call.arguments.value(option) else { continue }
            guard let value = name.parse(text) else {
                throw UsageError("--\(option) is \(name.example), not «\(text)»")
            }
            limits[keyPath: name.field] = value
        }
        return limits
    }

    private static let limitOptions: [(option: String, name: PolicyLimits.Name)] = [
        ("task-cpu", .cpu), ("task-timeout", .stall), ("task-memory", .memory), ("task-output", .output),
    ]

    /// `PATH`, or `NAME=PATH`; a path that exists is taken as it stands.
    private static func files(_ call: Invocation) throws -> [(name: String, path: String)] {
        var files: [(name: String, path: String)] = []
        for text in call.arguments.all("file") {
            var (name, path) = (FileTree.baseName(text), text)
            if let equals = text.firstIndex(of: "="), (try? FileTree.kind(text, follow: true)) == nil {
                (name, path) = (String(text[..<equals]), String(text[text.index(after: equals)...]))
            }
            guard JobFile.isSafe(name) else {
                throw UsageError(
                    "--file: «\(name)» is no name for a file in a command's folder: no /, no leading dot, no control character"
                )
            }
            guard !files.contains(where: { $0.name == name }) else {
                throw UsageError("--file: there are two files named \(name); NAME=PATH names one otherwise")
            }
            guard try FileTree.kind(path, follow: true) == .file else {
                throw NodeError(.file, "--file: \(path) is not a regular file")
            }
            files.append((name, path))
        }
        guard files.count <= JobSpec.maxFileCount else {
            throw UsageError("--file: a job has at most \(JobSpec.maxFileCount) files")
        }
        return files
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
