public import MRProtocol
public import Multiformats

/// Name of one submission of a job: 16 base32 characters, in order of submission time.
///
/// Not the job's CID: the same specification can be submitted twice.
public struct JobID: Hashable, Sendable, Comparable, CustomStringConvertible {
    /// The text of the id.
    public let description: String

    /// Takes the text of an id as a user typed it; any text is taken, an unknown one is not found later.
    public init(_ text: String) { description = text }

    /// Orders ids by submission time.
    public static func < (left: JobID, right: JobID) -> Bool { left.description < right.description }
}

/// Where a job stands; the last three states are final.
public enum JobState: String, Hashable, Sendable, CaseIterable {
    /// Accepted, waiting to be planned or for room.
    case queued
    case running
    case succeeded
    case failed
    case cancelled

    /// The job will not change any more.
    public var isFinal: Bool { self == .succeeded || self == .failed || self == .cancelled }
}

/// What a job is doing.
public enum JobPhase: String, Hashable, Sendable, CaseIterable {
    /// Reading the inputs' structure and looking for remembered outputs.
    case plan
    case map
    /// Merging runs that are too many for one reduce to read.
    case merge
    case reduce
    /// Making the directory of the result.
    case finish
}

/// Tasks of one phase.
public struct PhaseProgress: Hashable, Sendable {
    /// Tasks there are.
    public var total = 0
    /// Tasks whose output is recorded, the remembered ones included.
    public var done = 0
    /// Found under their key instead of run.
    public var remembered = 0
    /// Tasks in attempts that were given out.
    public var running = 0

    /// No tasks.
    public init() {}

    /// Tasks that were executed by this job.
    public var executed: Int { done - remembered }
}

/// Seconds spent in one phase, by the wall clock.
public struct PhaseTiming: Hashable, Sendable {
    /// Which phase.
    public var phase: JobPhase
    /// How long, in seconds.
    public var seconds: Double

    /// Names a duration.
    public init(phase: JobPhase, seconds: Double) {
        self.phase = phase
        self.seconds = seconds
    }
}

/// What one worker did for one job.
public struct WorkerShare: Hashable, Sendable {
    /// `self`, or the peer id.
    public var worker: String
    /// Tasks whose recorded output is this worker's.
    public var tasksDone = 0
    /// Attempts given to it that have not ended.
    public var attemptsRunning = 0
    /// Attempts that failed on it.
    public var attemptsFailed = 0
    /// Map tasks that ran where their block was.
    public var localTasks = 0
    /// Input blocks that it had to fetch.
    public var fetchedBlocks = 0
    /// Bytes of those blocks.
    public var fetchedBytes: UInt64 = 0
    /// Input bytes of the map tasks that it did.
    public var mappedBytes: UInt64 = 0
    /// No longer given attempts of this job, after too many failures.
    public var isExcluded = false

    /// A worker that has done nothing yet.
    public init(worker: String) { self.worker = worker }
}

/// One failed attempt, as shown to the user.
public struct AttemptFailure: Hashable, Sendable {
    /// `self`, or the peer id.
    public var worker: String
    /// The phase of its task.
    public var phase: JobPhase
    /// First map task, merge or partition of the attempt, counted from 0 within its phase.
    public var task: Int
    /// Which attempt it was, counted from 1.
    public var attempt: Int
    /// Stable name of the fault, such as `recordTooLong`.
    public var code: String
    /// One line: what failed, on what, at which position.
    public var message: String
    /// Of a user function its stack, the record and the end of its log; a line each.
    public var details: [String]

    /// Describes a failed attempt.
    public init(
        worker: String,
        phase: JobPhase,
        task: Int,
        attempt: Int,
        code: String,
        message: String,
        details: [String] = []
    ) {
        self.details = details
        self.worker = worker
        self.phase = phase
        self.task = task
        self.attempt = attempt
        self.code = code
        self.message = message
    }

    /// What details begin with that are lines of a function's stack, or of a command's last words.
    static let stackMark = "    "
    /// What details begin with that are lines of the attempt's log.
    static let logMark = "  log: "

    /// The details without lines of a log that were told already.
    package func details(besides log: [String]) -> [String] {
        let marks = [AttemptFailure.stackMark, AttemptFailure.logMark]
        let told = Set(log.flatMap { line in marks.map { $0 + line } })
        return details.filter { !told.contains($0) }
    }
}

/// Everything that is shown of a job; a copy, true at the time it was taken.
public struct JobStatus: Hashable, Sendable {
    /// Names this submission.
    public var id: JobID
    /// Name given by the user, or empty.
    public var name: String
    /// What was asked for.
    public var spec: JobSpec
    /// CID of the specification: the job's identity for remembering.
    public var specCID: CID
    /// Where the job stands.
    public var state = JobState.queued
    /// What the job is doing, or was doing when it ended.
    public var phase = JobPhase.plan
    /// Milliseconds since 1970, UTC.
    public var submittedAt: Int64 = 0
    /// When planning began, in milliseconds since 1970.
    public var startedAt: Int64?
    /// When the state became final, in milliseconds since 1970.
    public var endedAt: Int64?
    /// Map tasks: one per leaf block.
    public var map = PhaseProgress()
    /// Merges of run files.
    public var merge = PhaseProgress()
    /// Reduce tasks: one per partition.
    public var reduce = PhaseProgress()
    /// File bytes of the inputs.
    public var inputByteCount: UInt64 = 0
    /// File bytes already mapped or remembered.
    public var mappedByteCount: UInt64 = 0
    /// Bytes of the runs that the reduces read together; 0 until the first of them starts.
    public var reduceInputByteCount: UInt64 = 0
    /// Of these, bytes read by reduces of this job, the running ones included; each partition once.
    public var reducedByteCount: UInt64 = 0
    /// Sums over the tasks that are done, remembered ones included.
    public var counters = TaskCounters()
    /// Attempts given out.
    public var attemptCount = 0
    /// Attempts that failed.
    public var failedAttemptCount = 0
    /// Phases that have ended, and the current one so far.
    public var timings: [PhaseTiming] = []
    /// What each worker did, this node first.
    public var workers: [WorkerShare] = []
    /// The first `JobLimits.maxFailuresShown` failed attempts.
    public var failures: [AttemptFailure] = []
    /// The result directory; set exactly when `state` is `succeeded`.
    public var result: CID?
    /// The failure that ended the job; set exactly when `state` is `failed`.
    public var failure: AttemptFailure?
    /// Things worth knowing, such as symbolic links that were skipped; at most `JobLimits.maxNotes`.
    public var notes: [String] = []
    /// What the user calls the function files, by CID.
    public var functionNames: [CID: String] = [:]
    /// Seconds until the end, when there is ground for a guess.
    public var secondsLeft: Double?
    /// The block that has been waited for longest, when nothing comes of what peers are asked for.
    public var wait: BlockWait?

    /// A job just submitted.
    public init(id: JobID, name: String, spec: JobSpec, specCID: CID) {
        self.id = id
        self.name = name
        self.spec = spec
        self.specCID = specCID
    }

    /// Share of the work done, 0 … 1: of the maps by tasks, of the reduces by the bytes that they read.
    public var fractionDone: Double {
        if state == .succeeded { return 1 }
        let mapped = map.total == 0 ? 0 : Double(map.done) / Double(map.total)
        return 0.8 * mapped + 0.2 * reducedFraction
    }

    /// Share of the reduces done, 0 … 1.
    ///
    /// A remembered reduce counts as one of `reduce.total`, whatever its partition has.
    var reducedFraction: Double {
        guard reduce.total > 0, reduce.done < reduce.total else { return reduce.total == 0 ? 0 : 1 }
        guard reduceInputByteCount > 0 else { return Double(reduce.done) / Double(reduce.total) }
        return min(1, rememberedFraction + Double(reducedByteCount) / Double(reduceInputByteCount))
    }

    /// Share of the reduces that were remembered.
    var rememberedFraction: Double {
        reduce.total == 0 ? 0 : Double(reduce.remembered) / Double(reduce.total)
    }
}

/// One line of a job's log.
public struct JobLogEntry: Hashable, Sendable {
    /// Milliseconds since 1970, UTC.
    public var time: Int64
    /// One line without its end.
    public var message: String

    /// Makes a line.
    public init(time: Int64, message: String) {
        self.time = time
        self.message = message
    }
}
