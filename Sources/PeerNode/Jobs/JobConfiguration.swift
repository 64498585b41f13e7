public import MRProtocol
public import Multiformats

/// What a user submits.
public struct JobSubmission: Hashable, Sendable {
    /// What to run.
    public var spec: JobSpec
    /// Name of the pin of the result and of the job in listings; empty: the job's id.
    public var name: String
    /// Look for remembered outputs and remember new ones (`--no-cache` sets it to `false`).
    public var usesRememberedOutputs: Bool
    /// What the user calls the function files, such as `wc.js`; shown in messages, without effect on the result.
    public var functionNames: [CID: String]

    /// Makes a submission.
    public init(
        spec: JobSpec,
        name: String = "",
        usesRememberedOutputs: Bool = true,
        functionNames: [CID: String] = [:]
    ) {
        self.spec = spec
        self.name = name
        self.usesRememberedOutputs = usesRememberedOutputs
        self.functionNames = functionNames
    }
}

/// How a node runs jobs.
public struct JobConfiguration: Sendable {
    /// Path of `jobs.db`; `nil`: nothing is persisted or remembered.
    public var databasePath: String?
    /// Attempts that run at once, 1 … `JobLimits.maxSlots`.
    public var slots: Int
    /// Memory of all attempts and kept runs together, in bytes.
    public var memoryByteCount: Int
    /// Most bytes of run files and results that remembering may keep in the store.
    public var rememberedByteLimit: UInt64
    /// What this node calls itself in listings.
    public var workerName: String
    /// A folder for what commands work on, made when it is needed; `nil`: commands cannot be run.
    public var workFolderPath: String?
    /// Failed attempts of a task that end its job.
    public var maxAttempts = CoordinatorLimits.maxAttempts
    /// The node's home, of which commands see nothing but their working folder; `nil`: there is none.
    public var homeFolderPath: String?
    /// Resume the jobs that were unfinished when the last process ended (the daemon), or leave them (embedded).
    public var resumesJobs: Bool

    /// Most memory unless the user says otherwise: 512 MiB.
    public static let defaultMemoryByteCount = 512 << 20
    /// Most remembered bytes unless the user says otherwise: 4 GiB.
    public static let defaultRememberedByteLimit: UInt64 = 4 << 30

    /// A configuration with the default limits.
    public init(
        databasePath: String?,
        slots: Int,
        memoryByteCount: Int = JobConfiguration.defaultMemoryByteCount,
        rememberedByteLimit: UInt64 = JobConfiguration.defaultRememberedByteLimit,
        workerName: String = "self",
        workFolderPath: String? = nil,
        homeFolderPath: String? = nil,
        resumesJobs: Bool = false
    ) {
        self.databasePath = databasePath
        self.slots = slots
        self.memoryByteCount = memoryByteCount
        self.rememberedByteLimit = rememberedByteLimit
        self.workerName = workerName
        self.workFolderPath = workFolderPath
        self.homeFolderPath = homeFolderPath
        self.resumesJobs = resumesJobs
    }
}

/// Bounds of the job service.
public enum JobLimits {
    /// Attempts at once on one node.
    public static let maxSlots = 1_024
    /// Jobs that are queued or running.
    public static let maxActiveJobs = 64
    /// Ended jobs that are kept for listings.
    public static let maxEndedJobs = 1_000
    /// Failed attempts kept for a job.
    public static let maxFailuresShown = 20
    /// Notes kept for a job.
    public static let maxNotes = 100
    /// Log lines kept for a job.
    public static let maxLogEntries = 1_000
    /// Log lines of user functions kept of one attempt.
    public static let maxLogLinesPerAttempt = 100
    /// Longest line of a user function's log, in bytes.
    public static let maxLogLineByteCount = 1_000
    /// Log lines of an attempt that the report of its failure shows.
    public static let maxLogLinesPerFailure = 10
    /// Names of function files in a job.
    public static let maxFunctionNameCount = 16
    /// Skipped records that a job's log names.
    public static let maxSkippedShown = 20
    /// Watchers of one job.
    public static let maxWatchers = 64
}
