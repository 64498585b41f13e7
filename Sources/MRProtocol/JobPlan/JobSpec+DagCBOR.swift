public import Multiformats

extension JobSpec {
    /// CID of the canonical dag-cbor block of this specification.
    public var cid: CID { CID.of(encoded(), codec: .dagCBOR) }

    /// The canonical block.
    ///
    /// **Layout** a map: `type` "mapreduce-job", `version` 1, `map`, `combine` (absent: none), `reduce` (each a text for a
    /// built-in, a link to a file, or a map with the text `command`), `reduces`, `format`, `output`, `args` (texts by name), `inputs` (`name`, `root`),
    /// `recordLimit`, `skipLong`; and where they say anything `files` (`name`, `root`; sorted by name), `skipBad`, `limits`
    /// (numbers by name).
    public func encoded() -> [UInt8] { dagCBOR.encoded() }

    /// Reads the block of a specification.
    ///
    /// - Throws: `JobSpecFault` when the block is anything else.
    public init(decoding block: [UInt8]) throws(JobSpecFault) {
        let value: DagCBOR
        do throws(DagCBORFault) {
            value = try DagCBOR(decoding: block)
        } catch {
            throw .notDagCBOR(error)
        }
        try self.init(value)
    }

    /// The specification as a value of the data model.
    package var dagCBOR: DagCBOR {
        var fields: [String: DagCBOR] = [
            "type": .string(JobSpec.typeName),
            "version": .unsigned(JobSpec.formatVersion),
            "map": map.dagCBOR,
            "reduce": reduce.dagCBOR,
            "reduces": .integer(Int64(reduceCount)),
            "format": .string(recordFormat.rawValue),
            "output": .string(outputFormat.rawValue),
            "args": .map(arguments.mapValues { .string($0) }),
            "inputs": .array(inputs.map { .map(["name": .string($0.name), "root": .link($0.root)]) }),
            "recordLimit": .integer(Int64(recordByteLimit)),
            "skipLong": .bool(skipsLongRecords),
        ]
        fields["combine"] = combine?.dagCBOR
        if !files.isEmpty {
            fields["files"] = .array(files.map { .map(["name": .string($0.name), "root": .link($0.root)]) })
        }
        if skipBad != 0 { fields["skipBad"] = .integer(Int64(skipBad)) }
        if !limits.isEmpty { fields["limits"] = limits.dagCBOR }
        return .map(fields)
    }

    /// Reads a specification out of a value; unknown fields are refused, for they would change what the job means.
    package init(_ value: DagCBOR) throws(JobSpecFault) {
        guard case .map(var fields) = value else { throw .field("") }
        func take<T>(_ name: String, _ read: (DagCBOR) -> T?) throws(JobSpecFault) -> T {
            guard let field = fields.removeValue(forKey: name), let value = read(field) else {
                throw .field(name)
            }
            return value
        }
        guard try take("type", \.text) == JobSpec.typeName else { throw .field("type") }
        let version = try take("version", \.number)
        guard version == Int(JobSpec.formatVersion) else { throw .version(version) }
        self.init(
            map: try take("map", FunctionReference.init),
            combine: fields["combine"] == nil ? nil : try take("combine", FunctionReference.init),
            reduce: try take("reduce", FunctionReference.init),
            reduceCount: try take("reduces", \.number),
            recordFormat: try take("format") { $0.text.flatMap(RecordFormat.init) },
            outputFormat: try take("output") { $0.text.flatMap(OutputFormat.init) },
            arguments: try take("args", \.texts),
            inputs: try take("inputs", JobInput.list)
        )
        recordByteLimit = try take("recordLimit", \.number)
        skipsLongRecords = try take("skipLong", \.flag)
        // Written only where they say something: a second form of one specification would have a second CID.
        if fields["files"] != nil { files = try take("files", JobFile.list) }
        if fields["skipBad"] != nil {
            skipBad = try take("skipBad") { $0.number.flatMap { $0 == 0 ? nil : $0 } }
        }
        if fields["limits"] != nil { limits = try take("limits", TaskLimits.init) }
        if let unknown = fields.keys.min() { throw .field(unknown) }
        guard 1...JobSpec.maxReduceCount ~= reduceCount else { throw .field("reduces") }
        guard recordByteLimit > 0 else { throw .field("recordLimit") }
        if let wrong = fieldOverLimit { throw .field(wrong) }
    }

    /// The name of a field of user functions that is over a limit or not in order; `nil`: all are right.
    package var fieldOverLimit: String? {
        let commands = functions.compactMap { if case .command(let line) = $0 { line } else { nil } }
        if commands.contains(where: { !(1...FunctionReference.maxCommandByteCount ~= $0.utf8.count) }) {
            return "command"
        }
        let isInOrder = zip(files, files.dropFirst()).allSatisfy { $0.name < $1.name }
        guard files.count <= JobSpec.maxFileCount, isInOrder, files.allSatisfy({ JobFile.isSafe($0.name) })
        else { return "files" }
        guard 0...JobSpec.maxSkipBad ~= skipBad else { return "skipBad" }
        guard TaskLimits.fields.allSatisfy({ limits[keyPath: $0.path] ?? 0 <= TaskLimits.maxValue }) else {
            return "limits"
        }
        return nil
    }

    private static let typeName = "mapreduce-job"
    private static let formatVersion: UInt64 = 1
}

/// Why a block is not the specification of a job.
public enum JobSpecFault: Error, Equatable, Sendable {
    case notDagCBOR(DagCBORFault)
    case version(Int)
    /// A field is missing, unknown or wrong.
    case field(String)
}

extension FunctionReference {
    var dagCBOR: DagCBOR {
        switch self {
        case .builtIn(let name): .string(name)
        case .file(let cid): .link(cid)
        case .command(let line): .map(["command": .string(line)])
        }
    }

    init?(_ value: DagCBOR) {
        switch value {
        case .string(let name): self = .builtIn(name)
        case .link(let cid): self = .file(cid)
        case .map(let fields):
            guard fields.count == 1, let line = fields["command"]?.text else { return nil }
            self = .command(line)
        default: return nil
        }
    }
}

extension JobInput {
    fileprivate static func list(_ value: DagCBOR) -> [JobInput]? {
        guard case .array(let values) = value else { return nil }
        let inputs = values.compactMap { value -> JobInput? in
            guard case .map(let fields) = value, fields.count == 2 else { return nil }
            guard case .string(let name)? = fields["name"], case .link(let root)? = fields["root"] else {
                return nil
            }
            return JobInput(name: name, root: root)
        }
        return inputs.count == values.count ? inputs : nil
    }
}

extension JobFile {
    /// At least one file.
    fileprivate static func list(_ value: DagCBOR) -> [JobFile]? {
        guard let inputs = JobInput.list(value), !inputs.isEmpty else { return nil }
        return inputs.map { JobFile(name: $0.name, root: $0.root) }
    }
}

extension TaskLimits {
    fileprivate var dagCBOR: DagCBOR {
        var entries: [String: DagCBOR] = [:]
        for field in TaskLimits.fields {
            entries[field.name] = self[keyPath: field.path].map(DagCBOR.unsigned)
        }
        return .map(entries)
    }

    /// At least one limit, and none that is not known.
    fileprivate init?(_ value: DagCBOR) {
        guard var entries = value.entries, !entries.isEmpty else { return nil }
        self.init()
        for field in TaskLimits.fields {
            guard let entry = entries.removeValue(forKey: field.name) else { continue }
            guard case .unsigned(let limit) = entry else { return nil }
            self[keyPath: field.path] = limit
        }
        guard entries.isEmpty else { return nil }
    }
}

extension DagCBOR {
    /// The text, if it is one.
    package var text: String? { if case .string(let text) = self { text } else { nil } }
    /// The flag, if it is one.
    package var flag: Bool? { if case .bool(let flag) = self { flag } else { nil } }
    /// The number from 0 up, if it is one that fits.
    package var number: Int? { if case .unsigned(let number) = self { Int(exactly: number) } else { nil } }
    /// The number, if it is one that fits.
    package var signed: Int64? {
        switch self {
        case .unsigned(let number): Int64(exactly: number)
        case .negative(let number): Int64(exactly: number).map { -1 - $0 }
        default: nil
        }
    }
    /// The elements, if it is an array.
    package var elements: [DagCBOR]? { if case .array(let values) = self { values } else { nil } }
    /// The entries, if it is a map.
    package var entries: [String: DagCBOR]? { if case .map(let entries) = self { entries } else { nil } }

    fileprivate var texts: [String: String]? {
        guard let entries else { return nil }
        let texts = entries.compactMapValues(\.text)
        return texts.count == entries.count ? texts : nil
    }
}
