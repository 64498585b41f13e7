/// A worker, numbered by the driver; this node is one too.
package struct WorkerID: Hashable, Sendable, Comparable {
    package var number: Int
    package init(_ number: Int) { self.number = number }
    package static func < (left: WorkerID, right: WorkerID) -> Bool { left.number < right.number }
}

/// A job, numbered by the driver in order of submission.
package struct JobNumber: Hashable, Sendable, Comparable {
    package var number: Int
    package init(_ number: Int) { self.number = number }
    package static func < (left: JobNumber, right: JobNumber) -> Bool { left.number < right.number }
}

/// One execution of a work item, numbered by the coordinator and never reused.
package struct AttemptID: Hashable, Sendable, Comparable {
    package var number: UInt64
    package init(_ number: UInt64) { self.number = number }
    package static func < (left: AttemptID, right: AttemptID) -> Bool { left.number < right.number }
}

/// What one attempt does: a group of map tasks, a merge of runs, or the reduce of a partition.
package struct WorkItem: Hashable, Sendable {
    /// 0 is the map stage, the last one is the reduce stage, merges are between.
    package var stage: Int
    package var index: Int

    package init(stage: Int, index: Int) {
        self.stage = stage
        self.index = index
    }
}

/// One execution of a work item by a worker.
package struct Attempt: Hashable, Sendable {
    package var id: AttemptID
    package var job: JobNumber
    package var item: WorkItem
    package var worker: WorkerID
    /// Counted from 1 for each item.
    package var number: Int
    /// The worker holds the item's input.
    package var isLocal: Bool

    package init(id: AttemptID, job: JobNumber, item: WorkItem, worker: WorkerID, number: Int, isLocal: Bool)
    {
        self.id = id
        self.job = job
        self.item = item
        self.worker = worker
        self.number = number
        self.isLocal = isLocal
    }
}

/// The work of a job, as far as the coordinator needs to know it.
package struct JobShape: Sendable {
    /// One item of a stage.
    package struct Item: Hashable, Sendable {
        /// Larger ones are given out first, so that none is left over at the end.
        package var weight: UInt64
        /// Workers that hold the input.
        package var holders: [WorkerID]
        /// Its output is recorded already.
        package var isDone: Bool

        package init(weight: UInt64 = 0, holders: [WorkerID] = [], isDone: Bool = false) {
            self.weight = weight
            self.holders = holders
            self.isDone = isDone
        }
    }

    /// Which outputs of the stage before an item reads.
    package enum Inputs: Hashable, Sendable {
        /// It reads blocks.
        case blocks
        /// Item *i* reads the outputs *i · n* … *i · n + n − 1*.
        case batches(of: Int)
        case all
    }

    /// Items that may run at the same time.
    package struct Stage: Sendable {
        package var items: [Item]
        package var inputs: Inputs
        /// Only this worker gets its items, as long as it is there; `nil`: anyone.
        package var onlyWorker: WorkerID?

        package init(items: [Item], inputs: Inputs, onlyWorker: WorkerID? = nil) {
            self.items = items
            self.inputs = inputs
            self.onlyWorker = onlyWorker
        }
    }

    package var stages: [Stage]
    /// A function's fault comes again wherever it runs, as with built-ins.
    package var hasDeterministicFunctions: Bool
    /// The engine that its attempts need; `nil`: one that every worker has.
    package var engine: String?
    /// Failed attempts of an item that end the job, whatever made them fail.
    package var maxAttempts = CoordinatorLimits.maxAttempts

    package init(stages: [Stage], hasDeterministicFunctions: Bool = true) {
        self.stages = stages
        self.hasDeterministicFunctions = hasDeterministicFunctions
    }

    /// A job of maps and reduces, with merges between them when the runs are too many for one reduce.
    package init(maps: [Item], reduces: [Item], mergeFanIn: Int = CoordinatorLimits.mergeFanIn) {
        var stages = [Stage(items: maps, inputs: .blocks)]
        var count = maps.count
        while count > CoordinatorLimits.maxReduceFanIn {
            count = (count + mergeFanIn - 1) / mergeFanIn
            stages.append(
                Stage(items: Array(repeating: Item(), count: count), inputs: .batches(of: mergeFanIn))
            )
        }
        stages.append(Stage(items: reduces, inputs: .all))
        self.init(stages: stages)
    }
}

/// How often and when to try again (DESIGN section 8, after Hadoop's defaults).
package enum CoordinatorLimits {
    /// Failed attempts of an item that end the job.
    package static let maxAttempts = 4
    /// Failed attempts of an item that end the job when a function threw or passed a limit: the same bytes mostly make it do
    /// so again.
    package static let maxFunctionAttempts = 2
    /// Failures of a worker in a job that exclude it there, while another can go on.
    package static let maxWorkerFailures = 3
    /// Times that the output of one item may be lost and made again.
    package static let maxOutputLosses = 4
    /// Wait before the second attempt; doubled for each further one.
    package static let firstBackoff = Duration.milliseconds(100)
    /// Longest wait before an attempt.
    package static let maxBackoff = Duration.seconds(10)
    /// How long a worker gets nothing of a job in which it had no room or was lost; doubled each time that comes again.
    package static let firstRest = Duration.seconds(1)
    /// Longest time that a worker gets nothing of such a job; whoever comes to it is not waited for any more.
    package static let maxRest = Duration.seconds(30)
    /// Attempts given to a worker for each of its slots: one runs, one waits at hand.
    package static let attemptsPerSlot = 2
    /// Most runs that one reduce reads; above it they are merged first.
    package static let maxReduceFanIn = 512
    /// Runs that one merge reads.
    package static let mergeFanIn = 64
}

/// How a job ended.
package enum JobOutcome: Equatable, Sendable {
    case succeeded
    /// The attempt that made the job fail, if it was one, and why.
    case failed(Attempt?, reason: FailureReason)
    case cancelled
}

/// Why a job failed.
package enum FailureReason: Equatable, Sendable {
    case fault(TaskFault)
    /// Every worker that is there refused the job.
    case refusedByAll
    /// The output of an item was lost more often than `CoordinatorLimits.maxOutputLosses`.
    case outputLostTooOften(WorkItem)
}

/// What the coordinator wants done, in this order.
package enum CoordinatorAction: Equatable, Sendable {
    /// Give the attempt to its worker, behind those it already has.
    case start(Attempt)
    /// Tell its worker to stop; the worker still reports the end.
    case stop(Attempt)
    /// The attempt's output is the item's output, once and for all unless it is lost.
    case commit(Attempt)
    /// The output is not wanted: another attempt was first, or the job has ended.
    case discard(Attempt)
    /// The output of an item is gone and will be made again; what counted it must take it back.
    case withdraw(JobNumber, WorkItem)
    /// All reduces are committed: make the result, and report `finished` or `finishFailed`.
    case finish(JobNumber)
    /// The job has ended; nothing more is said about it but `stop` and `discard` of its attempts.
    case end(JobNumber, JobOutcome)
}
