import MRProtocol

/// A job specification that was checked: which built-in functions do what, with parsed arguments.
struct BuiltInPlan {
    /// What the map makes of a record.
    enum Map: Equatable {
        /// `wc`, `top`: each word, 1.
        case words
        /// `index`: each word, the file name.
        case wordFiles
        /// `count`: the record, 1.
        case ones
        /// `sort`, `identity`: the record, no value.
        case keys
        /// `identity` of `kv`: the pair.
        case pairs
        /// `lines`: the file name, newlines, words and bytes.
        case statistics
        /// `grep`: the records that match.
        case matches(GrepOutput)
    }

    /// What `grep` says of a match.
    enum GrepOutput: String {
        case lines
        case count
        case offset
    }

    static let defaultTopCount = 10
    /// Most pairs that `top` keeps.
    static let maxTopCount = 1_000_000
    /// Longest pattern of `grep`, in bytes.
    static let maxPatternByteCount = 64 << 10
    /// Largest record limit: lengths in a run file are 32 bits.
    static let maxRecordByteLimit = RunPair.maxFieldByteCount

    let map: Map
    let combine: FoldKind?
    let reduce: FoldKind
    /// Partitions of run files and parts of the result.
    let partitionCount: Int
    /// Partitions that keys are spread over: `top` needs all of them together.
    let hashedPartitionCount: Int
    let format: RecordFormat
    let outputFormat: OutputFormat
    let recordByteLimit: Int
    let skipsLongRecords: Bool
    let matcher: LineMatcher?

    /// Checks names and arguments.
    ///
    /// - Throws: `TaskFault.argument`.
    init(_ spec: JobSpec) throws(TaskFault) {
        let mapName = try BuiltInPlan.name(spec.map, role: "map")
        var arguments = spec.arguments
        let output = arguments.removeValue(forKey: "output")
        let pattern = arguments.removeValue(forKey: "pattern")
        let top = arguments.removeValue(forKey: "n")
        let reduceName = try BuiltInPlan.name(spec.reduce, role: "reduce")
        if let unknown = arguments.keys.sorted().first {
            throw .argument(name: unknown, reason: "no function of this job takes it")
        }
        if mapName != "grep" {
            if output != nil { throw .argument(name: "output", reason: "only `grep` takes it") }
            if pattern != nil { throw .argument(name: "pattern", reason: "only `grep` takes it") }
        }
        if reduceName != "top", top != nil { throw .argument(name: "n", reason: "only `top` takes it") }

        map = try BuiltInPlan.map(mapName, format: spec.recordFormat, output: output)
        matcher = mapName == "grep" ? try BuiltInPlan.matcher(pattern) : nil
        reduce = try BuiltInPlan.reduce(reduceName, top: top)
        combine = try BuiltInPlan.combine(spec.combine)
        guard (1...JobSpec.maxReduceCount).contains(spec.reduceCount) else {
            throw .argument(name: "reduces", reason: "must be 1 to \(JobSpec.maxReduceCount)")
        }
        guard (1...BuiltInPlan.maxRecordByteLimit).contains(spec.recordByteLimit) else {
            throw .argument(
                name: "record-limit",
                reason: "must be 1 to \(BuiltInPlan.maxRecordByteLimit) bytes"
            )
        }
        partitionCount = spec.reduceCount
        if case .top = reduce { hashedPartitionCount = 1 } else { hashedPartitionCount = spec.reduceCount }
        format = spec.recordFormat
        outputFormat = spec.outputFormat
        recordByteLimit = spec.recordByteLimit
        skipsLongRecords = spec.skipsLongRecords
    }

    /// How leaves are cut for the map.
    var delimiter: Delimiter {
        switch map {
        case .words, .wordFiles: format == .kv ? .newline : .whiteSpace
        default: Delimiter(of: format)
        }
    }

    /// Every value is a count, and counts of a key are added wherever they meet.
    var countsKeys: Bool { combine == .sum && (map == .words || map == .ones) }

    /// The reduce only needs the total of each key.
    var addsNumbersUp: Bool {
        if case .top = reduce { return combine == .sum }
        return reduce == .sum && combine == .sum
    }

    private static func name(_ function: FunctionReference, role: String) throws(TaskFault) -> String {
        guard case .builtIn(let name) = function else {
            throw .argument(name: role, reason: "is not a built-in function")
        }
        return name
    }

    private static func map(_ name: String, format: RecordFormat, output: String?) throws(TaskFault) -> Map {
        switch name {
        case "wc", "top": return .words
        case "index": return .wordFiles
        case "count": return .ones
        case "sort": return .keys
        case "identity": return format == .kv ? .pairs : .keys
        case "lines": return .statistics
        case "grep":
            guard let kind = GrepOutput(rawValue: output ?? "lines") else {
                throw .argument(name: "output", reason: "must be lines, count or offset")
            }
            return .matches(kind)
        default: throw .argument(name: "map", reason: "no built-in map is called `\(name)`")
        }
    }

    private static func matcher(_ pattern: String?) throws(TaskFault) -> LineMatcher {
        guard let pattern else {
            throw .argument(name: "pattern", reason: "`grep` needs one: --arg pattern=…")
        }
        guard pattern.utf8.count <= maxPatternByteCount else {
            throw .argument(name: "pattern", reason: "is longer than \(maxPatternByteCount) bytes")
        }
        return try LineMatcher(pattern: pattern)
    }

    private static func reduce(_ name: String, top: String?) throws(TaskFault) -> FoldKind {
        if name == "top" {
            let count = top.map { Int($0) } ?? defaultTopCount
            guard let count, (1...maxTopCount).contains(count) else {
                throw .argument(name: "n", reason: "must be 1 to \(maxTopCount)")
            }
            return .top(count: count)
        }
        guard let kind = FoldKind(name: name) else {
            throw .argument(name: "reduce", reason: "no built-in reduce is called `\(name)`")
        }
        return kind
    }

    private static func combine(_ function: FunctionReference?) throws(TaskFault) -> FoldKind? {
        guard let function else { return nil }
        let name = try name(function, role: "combine")
        guard let kind = FoldKind(name: name), kind.isCombine else {
            throw .argument(
                name: "combine",
                reason: "`\(name)` cannot combine; sum, min, max, distinct and aggregate can"
            )
        }
        return kind
    }
}
