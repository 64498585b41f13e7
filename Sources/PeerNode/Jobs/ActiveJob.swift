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
    /// Outputs by stage and item; `nil`: not made, or not needed.
    var outputs: [[TaskOutput?]] = []
    /// Final keys of the map items.
    var mapKeys: [TaskKey] = []
    /// The runs that all reduces read, made once.
    var reduceInputs: [any RunBytes]?
    var runsKey: TaskKey?
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

    /// Changes the progress of the phase of `item`.
    func progress(of item: WorkItem, _ change: (inout PhaseProgress) -> Void) {
        switch phase(ofStage: item.stage) {
        case .map: change(&status.map)
        case .merge: change(&status.merge)
        default: change(&status.reduce)
        }
    }

    /// The outputs that a merge or reduce reads, in input order.
    func runs(for item: WorkItem) -> [any RunBytes] {
        let before = outputs[item.stage - 1]
        guard item.stage < outputs.count - 1 else {
            if let reduceInputs { return reduceInputs }
            let runs = before.compactMap { $0?.run }
            reduceInputs = runs
            return runs
        }
        let start = item.index * CoordinatorLimits.mergeFanIn
        return before[start..<min(before.count, start + CoordinatorLimits.mergeFanIn)].compactMap { $0?.run }
    }

    /// Indexes within the stage before `item` of outputs that a fault says are lost.
    func lostInputs(of item: WorkItem, _ fault: TaskFault) -> [Int] {
        guard item.stage > 0 else { return [] }
        let first = item.stage < outputs.count - 1 ? item.index * CoordinatorLimits.mergeFanIn : 0
        switch fault {
        case .malformedMapOutput(let index, _): return [first + index]
        case .mapOutputUnavailable(let cid, _):
            return outputs[item.stage - 1].indices.filter { index in
                (outputs[item.stage - 1][index]?.run as? StoredRun)?.root == cid
            }
        default: return []
        }
    }

    /// Adds what is known of remembered outputs after planning.
    func adopt(_ plan: PlannedJob, stageCounts: [Int]) {
        planned = plan
        outputs = stageCounts.map { Array(repeating: nil, count: $0) }
        mapKeys = plan.plan.items.map(\.key)
        status.map.total = plan.plan.leafCount
        status.reduce.total = plan.parts.count
        status.merge.total = stageCounts.dropFirst().dropLast().reduce(0, +)
        status.inputByteCount = plan.plan.byteCount
        status.notes = plan.notes
        for (index, item) in plan.plan.items.enumerated() {
            guard case .run(let known)? = item.remembered else { continue }
            let run = StoredRun(root: known.root, byteCount: known.byteCount, store: plan.execution.store)
            outputs[0][index] = TaskOutput(file: .run(run), counters: known.counters)
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
            outputs[outputs.count - 1][partition] = TaskOutput(file: .part(node), counters: part.counters)
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
