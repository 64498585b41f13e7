import BlockStore
import Engines
import MRProtocol
import Multiformats

/// The service's memory of a job that has not ended; touched only on the service's actor.
final class ActiveJob {
    let number: JobNumber
    let submission: JobSubmission
    var status: JobStatus
    var log: [JobLogEntry] = []
    var planned: PlannedJob?
    /// The lease of what planning has to fetch, while it does.
    var planLease: Ingest?
    /// Its user functions, from their loading to the end of the job.
    var functions: JobFunctions?
    /// Outputs that were withdrawn, to be compared with what is made instead.
    var withdrawnRoots: [WorkItem: CID] = [:]
    /// Items that gave two different outputs, by phase.
    var differingItems: [JobPhase: Set<WorkItem>] = [:]
    /// The note that this node works alone, until another one works with it.
    var loneNote: String?
    /// The last failed attempt of each item.
    var lastFailures: [WorkItem: AttemptFailure] = [:]
    /// Number of skipped records that the log holds.
    var skippedShownCount = 0
    /// Outputs by stage and item; `nil`: not made, lost, or not needed.
    private(set) var outputs: [[TaskOutput?]] = []
    /// Final keys of the map items.
    var mapKeys: [TaskKey] = []
    /// What all reduces read, put together once for the outputs as they are.
    var reduceInputs: ReduceInputs?
    /// Counts the times that an output was withdrawn: what an attempt says of its inputs holds for its own time only.
    var inputGeneration = 0
    /// Other workers keep their runs in memory and merge them when the maps are done.
    var workersMerge = false
    /// What other workers merged, while all that it was made of is good.
    var mergedRuns: [MergedRun] = [] { didSet { reduceInputs = nil } }
    /// Whether workers were asked to merge what they keep.
    var merging = Progress.none
    var mergeWaiters: [CheckedContinuation<Void, Never>] = []
    var runsKey: TaskKey?
    /// Where each worker stands in `status.workers`.
    private var shareIndexes: [WorkerID: Int] = [:]
    /// Who made the outputs that are there.
    var makers: [WorkItem: WorkerID] = [:]
    /// Leaves by their holders, in the order of the plan; `nil`: all are here.
    var leafHolders: [WorkerID: [Bool]]?
    /// Bytes of run files that were copied here from other workers.
    var copiedRunByteCount: UInt64 = 0
    /// Whether the runs in memory were made files for other nodes.
    var sharing = Progress.none
    var shareWaiters: [CheckedContinuation<Void, Never>] = []
    /// Workers that were given attempts.
    var remoteWorkers: Set<WorkerID> = []
    /// Workers that do not run the job, with what they say.
    var refusals: [WorkerID: String] = [:]
    /// The last that each worker did wrong.
    var lastFaults: [WorkerID: TaskFault] = [:]
    /// Workers that get no more of the job after too many failures.
    var excludedWorkers: [WorkerID] = []
    /// Workers that had no room once.
    var busyWorkers: Set<WorkerID> = []
    var memories: [MemoryCandidate] = []
    var isRemembering = false
    var hasRememberedPins = false
    var isReleased = false
    var watchers: [Int: AsyncStream<JobStatus>.Continuation] = [:]
    var endWaiters: [CheckedContinuation<Void, Never>] = []
    var hasUnseenChange = false
    var lastPublished: Duration?
    var phaseStart: Duration
    /// The state is decided and is being written down.
    var isEnding = false

    enum Progress {
        case none, running, done
    }

    init(number: JobNumber, submission: JobSubmission, status: JobStatus, now: Duration) {
        self.number = number
        self.submission = submission
        self.status = status
        phaseStart = now
    }

    /// Adds a line; the oldest but the first half go when there are too many.
    func note(_ message: String, time: Int64) {
        if log.count >= JobLimits.maxLogEntries { log.remove(at: JobLimits.maxLogEntries / 2) }
        log.append(JobLogEntry(time: time, message: message))
    }

    /// Enters a phase and ends the one before.
    func enter(_ phase: JobPhase, now: Duration) {
        guard phase != status.phase else { return }
        closePhase(now: now)
        status.phase = phase
    }

    func closePhase(now: Duration) {
        let seconds = (now - phaseStart) / .seconds(1)
        if let index = status.timings.firstIndex(where: { $0.phase == status.phase }) {
            status.timings[index].seconds += seconds
        } else {
            status.timings.append(PhaseTiming(phase: status.phase, seconds: seconds))
        }
        phaseStart = now
    }

    /// The phase that items of `stage` belong to.
    func phase(ofStage stage: Int) -> JobPhase {
        stage == 0 ? .map : stage == outputs.count - 1 ? .reduce : .merge
    }

    /// Tasks that an item stands for: leaves of a map, else one.
    func taskCount(of item: WorkItem) -> Int {
        item.stage == 0 ? planned?.plan.items[item.index].leaves.count ?? 0 : 1
    }

    /// The first task of an item, counted within its phase.
    func firstTask(of item: WorkItem) -> Int {
        item.stage == 0 ? planned?.plan.items[item.index].leaves.lowerBound ?? item.index : item.index
    }

    /// Changes what is shown of a worker's part in the job.
    func share(of worker: WorkerID, _ change: (inout WorkerShare) -> Void) {
        guard let index = shareIndexes[worker] else { return }
        change(&status.workers[index])
    }

    /// Shows a worker from now on.
    func showWorker(_ worker: WorkerID, name: String) {
        guard shareIndexes[worker] == nil, status.workers.count < ClusterLimits.maxWorkers else { return }
        shareIndexes[worker] = status.workers.count
        status.workers.append(WorkerShare(worker: name))
    }

    /// Leaves in a range that a worker has.
    func localLeafCount(_ leaves: Range<Int>, of worker: WorkerID) -> Int {
        guard let leafHolders else { return leaves.count }
        guard let held = leafHolders[worker] else { return 0 }
        return held[leaves].count { $0 }
    }

    /// This node has not a leaf that it was thought to have: another attempt here fetches it.
    func noteMissing(_ cid: CID) {
        guard let leaves = planned?.plan.files.flatMap(\.leaves) else { return }
        let known = leafHolders.map { $0[JobService.selfWorker] ?? leaves.map { _ in false } }
        var held = known ?? leaves.map { _ in true }
        for (index, leaf) in leaves.enumerated() where leaf.cid == cid { held[index] = false }
        leafHolders = leafHolders ?? [:]
        leafHolders?[JobService.selfWorker] = held
    }

    /// Workers that have most of the leaves in a range.
    func holders(of leaves: Range<Int>) -> [WorkerID] {
        guard let leafHolders else { return [] }
        let counts = leafHolders.map { (worker: $0.key, count: $0.value[leaves].count { $0 }) }
        guard let most = counts.map(\.count).max(), most > 0 else { return [] }
        return counts.filter { $0.count == most }.map(\.worker).sorted()
    }

    /// Changes the progress of the phase of `item`.
    func progress(of item: WorkItem, _ change: (inout PhaseProgress) -> Void) {
        switch phase(ofStage: item.stage) {
        case .map: change(&status.map)
        case .merge: change(&status.merge)
        default: change(&status.reduce)
        }
    }

    /// Makes room for the outputs of as many items in each stage.
    func makeStages(_ counts: [Int]) {
        outputs = counts.map { Array(repeating: nil, count: $0) }
        reduceInputs = nil
    }

    /// Takes the output of an item, or that it is lost.
    func set(_ output: TaskOutput?, of item: WorkItem) {
        outputs[item.stage][item.index] = output
        if item.stage < outputs.count - 1 { reduceInputs = nil }
    }

    /// Adds what is known of remembered outputs after planning.
    func adopt(_ plan: PlannedJob, stageCounts: [Int]) {
        planned = plan
        makeStages(stageCounts)
        mapKeys = plan.plan.items.map(\.key)
        status.map.total = plan.plan.leafCount
        status.reduce.total = plan.parts.count
        status.merge.total = stageCounts.dropFirst().dropLast().reduce(0, +)
        status.inputByteCount = plan.plan.byteCount
        status.notes = plan.notes
        for (index, item) in plan.plan.items.enumerated() {
            guard case .run(let known)? = item.remembered else { continue }
            let run = StoredRun(root: known.root, byteCount: known.byteCount, store: plan.execution.store)
            set(TaskOutput(file: .run(run), counters: known.counters), of: WorkItem(stage: 0, index: index))
            status.map.remembered += item.leaves.count
            status.mappedByteCount += plan.plan.byteCount(of: item)
            status.counters += known.counters
        }
        for (partition, part) in plan.parts.enumerated() {
            guard let part else { continue }
            let node = ImportedNode(
                cid: part.root,
                fileByteCount: part.byteCount,
                totalByteCount: part.byteCount
            )
            set(
                TaskOutput(file: .part(node), counters: part.counters),
                of: WorkItem(stage: outputs.count - 1, index: partition)
            )
            status.reduce.remembered += 1
            status.counters += part.counters
        }
        if status.reduce.remembered == plan.parts.count {
            // Nothing reads the maps any more: they count as remembered with the reduces.
            status.map.remembered = status.map.total
            status.mappedByteCount = status.inputByteCount
        }
        status.map.done = status.map.remembered
        status.reduce.done = status.reduce.remembered
    }

    /// Sums the counters of all outputs again, after one was withdrawn.
    func recount() {
        status.counters = TaskCounters()
        for case let output? in outputs.joined() { status.counters += output.counters }
    }
}
