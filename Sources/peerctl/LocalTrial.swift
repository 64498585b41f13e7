import MRProtocol
import Multiformats
import PeerNode

/// `run --local`: the functions on the first records of each input, in this process.
struct LocalTrial: Sendable {
    /// Records of each input unless the user says otherwise.
    static let defaultLimit: UInt64 = 100
    /// Most records of an input.
    static let maxLimit: UInt64 = 1_000_000
    /// Most bytes of an input that are looked at.
    static let maxInputByteCount = 64 << 20

    private let call: Invocation
    private let template: JobTemplate
    private let limit: UInt64

    init(_ call: Invocation, _ template: JobTemplate) throws(UsageError) {
        for name in ["detach", "output", "name", "reduces"] where call.arguments.value(name) != nil {
            throw UsageError("--\(name) means nothing with --local, which makes no result")
        }
        self.call = call
        self.template = template
        limit = try call.number("limit") ?? LocalTrial.defaultLimit
        guard 1...LocalTrial.maxLimit ~= limit else {
            throw UsageError("--limit is a number from 1 to \(LocalTrial.maxLimit)")
        }
    }

    /// Prints the map's pairs, and behind an empty line what the reduce makes of them.
    func run() async throws {
        let trial = try FunctionTrial()
        defer { trial.close() }
        let functions = try await FunctionFiles(store: TrialFunctionStore(call: call, trial: trial))
            .resolve(template)
        var spec = functions.spec(template, inputs: [])
        for name in call.operands {
            let bytes = try await records(of: name, spec.recordFormat)
            spec.inputs.append(JobInput(name: name, root: try trial.add(bytes)))
        }
        let (whole, names) = (spec, functions.names)
        try await trial.running {
            var mapping = whole
            (mapping.combine, mapping.reduce) = (nil, .builtIn("identity"))
            var last = try await trial.run(JobSubmission(spec: mapping, functionNames: names))
            guard show(last, .map) else { return }
            if whole.reduce != .builtIn("identity") {
                last = try await trial.run(JobSubmission(spec: whole, functionNames: names))
                if !call.wantsJSON, !call.isQuiet { call.streams.line("") }
                guard show(last, .reduce) else { return }
            }
            showCounters(last.status)
        }
    }

    // MARK: Output

    /// - Returns: whether the job succeeded; if not, why was said.
    private func show(_ outcome: FunctionTrial.Outcome, _ phase: JobPhase) -> Bool {
        // What is on stdout came before what is said now.
        call.streams.flush()
        // The map runs again before the reduce; what it says is known.
        let said = outcome.log.filter { ($0.phase == .map) == (phase == .map) }.map(\.line)
        for line in said { call.streams.note(line) }
        for pair in outcome.pairs { show(pair, phase) }
        if phase == .map {
            for note in outcome.status.notes where !said.contains(note) { call.streams.note("note: \(note)") }
        }
        guard let failure = outcome.status.failure else { return true }
        call.session.fail(([failure.message] + failure.details(besides: said)).joined(separator: "\n"))
        call.session.exitCode = 1
        return false
    }

    private func show(_ pair: (key: [UInt8], value: [UInt8]?), _ phase: JobPhase) {
        if call.wantsJSON {
            call.print([
                "phase": .string(phase.rawValue), "key": .string(String(decoding: pair.key, as: UTF8.self)),
                "value": .string(orNull: pair.value.map { String(decoding: $0, as: UTF8.self) }),
            ])
            return
        }
        let line = pair.key + (pair.value.map { [0x09] + $0 } ?? [])
        // Bytes for programs, text for people.
        if call.streams.isInteractive { return call.streams.line(String(decoding: line, as: UTF8.self)) }
        (line + [0x0a]).withUnsafeBytes { call.streams.bytes($0) }
    }

    private func showCounters(_ status: JobStatus) {
        if call.isQuiet { return }
        call.streams.flush()
        var rows = JobText.counters(status.counters).filter {
            ["inputRecords", "mapOutputPairs", "badRecords"].contains($0[0])
        }
        rows += JobText.userCounters(status.counters)
        for row in Table.aligned(rows) { call.streams.note(row) }
    }

    // MARK: Inputs

    /// The first records of an input, whole.
    private func records(of name: String, _ format: RecordFormat) async throws -> [UInt8] {
        if name != "-", let path = try? ContentPath(parsing: name) {  // no CID: a path of the file system
            return try await records(of: path, format)
        }
        if name != "-", try FileTree.kind(name, follow: true) != .file {
            throw NodeError(.file, "\(name) is not a regular file; --local reads files and - only")
        }
        let source = try FileTree.open(name) { _ in }
        var head = RecordHead(limit, format)
        while !head.isFull {
            let piece = try source.readArray(upTo: 1 << 16)
            if piece.isEmpty { break }
            try head.take(piece, name)
        }
        return head.bytes
    }

    private func records(of path: ContentPath, _ format: RecordFormat) async throws -> [UInt8] {
        let collected = Collected(RecordHead(limit, format))
        try await call.withNode { access in
            do {
                try await access.service.read(path, offset: 0, length: nil) { bytes in
                    try collected.change { try $0.take(Array(bytes), "\(path)") }
                    if collected.value.isFull { throw EnoughCollected() }
                }
            } catch {
                // It was broken off here.
                guard collected.value.isFull else { throw error }
            }
        }
        return collected.value.bytes
    }
}

/// Functions stay in memory; those that a node has are read from it.
private struct TrialFunctionStore: FunctionStore {
    let call: Invocation
    let trial: FunctionTrial

    func add(_ path: String) async throws -> CID { try trial.add(try FunctionFile.read(path)) }

    func find(_ path: ContentPath) async throws -> CID {
        let collected = Collected<[UInt8]>([])
        try await call.withNode { access in
            try await access.service.read(path, offset: 0, length: UInt64(FunctionFile.limit)) { bytes in
                collected.change { $0 += bytes }
            }
        }
        return try trial.add(collected.value)
    }

    func check(_ source: FunctionSource, name: String, _ limits: TaskLimits) async throws
        -> FunctionDescription
    {
        try await trial.describe(source, name: name, limits: limits)
    }
}
