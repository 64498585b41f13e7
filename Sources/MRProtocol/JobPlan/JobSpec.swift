public import Multiformats

/// What a user asks for: functions over inputs.
///
/// Everything that the result depends on, and nothing else: the same specification gives the same result CID on one node or a hundred (DESIGN section 7).
public struct JobSpec: Hashable, Sendable {
    /// Makes pairs of records.
    public var map: FunctionReference
    /// Runs any number of times over pairs of one key; `nil`: none.
    public var combine: FunctionReference?
    /// Makes output records of the values of one key.
    public var reduce: FunctionReference
    /// Number of partitions and of files in the result, 1 … `maxReduceCount`.
    public var reduceCount: Int
    /// How inputs are cut into records.
    public var recordFormat: RecordFormat
    /// How pairs are written to the result.
    public var outputFormat: OutputFormat
    /// Arguments of the functions, by name.
    public var arguments: [String: String]
    /// Roots in the order given.
    public var inputs: [JobInput]
    /// Longest record in bytes.
    public var recordByteLimit: Int
    /// A record over the limit is skipped and counted instead of failing the job.
    public var skipsLongRecords: Bool
    /// Files that commands find in their working folder; sorted by name, each name once.
    public var files: [JobFile] = []
    /// Records of the whole job on which functions may fail.
    ///
    /// They are skipped and counted; with 0 the first one fails the job.
    public var skipBad = 0
    /// What an attempt of a user function may use; a node's own limits hold where they are lower.
    public var limits = TaskLimits()

    /// Most partitions a job may have.
    public static let maxReduceCount = 65_536
    /// Longest record unless the user says otherwise, in bytes.
    public static let defaultRecordByteLimit = 16 << 20
    /// Most files shipped with commands.
    public static let maxFileCount = 256
    /// Most records that a job may be asked to skip.
    public static let maxSkipBad = 1_000_000_000

    /// A job with the default limits.
    public init(
        map: FunctionReference,
        combine: FunctionReference?,
        reduce: FunctionReference,
        reduceCount: Int,
        recordFormat: RecordFormat,
        outputFormat: OutputFormat = .text,
        arguments: [String: String] = [:],
        inputs: [JobInput]
    ) {
        self.map = map
        self.combine = combine
        self.reduce = reduce
        self.reduceCount = reduceCount
        self.recordFormat = recordFormat
        self.outputFormat = outputFormat
        self.arguments = arguments
        self.inputs = inputs
        recordByteLimit = JobSpec.defaultRecordByteLimit
        skipsLongRecords = false
    }

    /// Map, combine and reduce, as far as there are any.
    public var functions: [FunctionReference] { [map] + (combine.map { [$0] } ?? []) + [reduce] }

    /// At least one of them is a command.
    package var hasCommands: Bool { functions.contains { if case .command = $0 { true } else { false } } }
}

/// One root that a job reads.
public struct JobInput: Hashable, Sendable {
    /// What record keys call it: the path or CID as the user gave it.
    public var name: String
    /// A file or a directory.
    public var root: CID

    /// Names a root.
    public init(name: String, root: CID) {
        self.name = name
        self.root = root
    }
}

/// Where a function comes from.
public enum FunctionReference: Hashable, Sendable {
    /// A function of this program, by name.
    case builtIn(String)
    /// A file with user code: WebAssembly by its first bytes, else JavaScript.
    case file(CID)
    /// A command line for the shell, after Hadoop Streaming's contract.
    case command(String)

    /// Longest command line, in UTF-8 bytes.
    public static let maxCommandByteCount = 64 << 10

    /// The function is no part of this program.
    public var isUserFunction: Bool { if case .builtIn = self { false } else { true } }
}

/// How a file is cut into records (DESIGN section 7).
public enum RecordFormat: String, Hashable, Sendable, CaseIterable {
    /// The bytes up to `\n`; a final line without one counts.
    case lines
    /// As `lines`, without a `\r` before the `\n`.
    case crlf
    /// Maximal runs of bytes that are not C-locale white space.
    case words
    /// Pairs of an earlier result.
    case kv
}

/// How pairs are written to a result.
public enum OutputFormat: String, Hashable, Sendable, CaseIterable {
    /// `key TAB value LF`; a pair without a value is its key alone.
    case text
    /// As text, with tabs and newlines of keys and values escaped: keeps every byte and can be cut at any `\n`.
    case kv
}
