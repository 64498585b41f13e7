/// The coordinator's memory of one job.
struct CoordinatedJob: Sendable {
    /// Where an item stands.
    enum ItemState: Hashable, Sendable {
        /// Nothing that is still to be done reads its output.
        case unneeded
        /// In the queue, or among the retries.
        case waiting
        case running
        case committed
    }

    struct Item: Sendable {
        var state: ItemState
        var running: [AttemptID] = []
        var attemptCount = 0
        var failureCount = 0
        var lossCount = 0
        /// Failed before: among the retries, not in the queue.
        var isRetried = false
        /// The worker that has the only copy of the output; `nil`: it is recorded.
        var outputHolder: WorkerID?
        var holders: [WorkerID]
    }

    struct Stage: Sendable {
        var items: [Item]
        var inputs: JobShape.Inputs
        var onlyWorker: WorkerID?
        var queue = PendingQueue()
        /// Items that are waiting or running.
        var openCount = 0
    }

    /// An item that failed and is to be tried again.
    struct Retry: Sendable {
        var item: WorkItem
        var notBefore: Duration
        var triedBy: Set<WorkerID>
    }

    /// A worker that had no room for the job, or was lost, and is given nothing of it for a while.
    struct Rest: Sendable {
        var until = Duration.zero
        /// Times that it had no room since it last did something.
        var busyCount = 0
        /// Times that it was lost; what it does afterwards does not make it steadier.
        var lossCount = 0

        /// Doubles from `firstRest` to `maxRest`.
        var duration: Duration {
            guard busyCount + lossCount > 0 else { return .zero }
            let doubled = CoordinatorLimits.firstRest * (1 << min(busyCount + lossCount - 1, 16))
            return min(doubled, CoordinatorLimits.maxRest)
        }
    }

    var stages: [Stage]
    var retries: [Retry] = []
    var runningCount = 0
    var failureCounts: [WorkerID: Int] = [:]
    /// Workers of whose failures one was an output that turned out wrong or lost.
    var blamed: Set<WorkerID> = []
    var rests: [WorkerID: Rest] = [:]
    /// Workers that do not run this job, whatever happens.
    var refusals: Set<WorkerID> = []
    /// When an attempt was last given out, as a sequence number; the job served longest ago goes first.
    var lastTurn: UInt64 = 0
    var isFinishing = false
    let hasDeterministicFunctions: Bool
    let engine: String?
    let maxAttempts: Int

    /// The first stage with something left to do; `nil`: all is done.
    var currentStage: Int? { stages.firstIndex { $0.openCount > 0 } }

    init(_ shape: JobShape) {
        hasDeterministicFunctions = shape.hasDeterministicFunctions
        engine = shape.engine
        maxAttempts = shape.maxAttempts
        stages = shape.stages.map { stage in
            Stage(
                items: stage.items.map {
                    Item(state: $0.isDone ? .committed : .unneeded, holders: $0.holders)
                },
                inputs: stage.inputs,
                onlyWorker: stage.onlyWorker
            )
        }
        markNeeded()
        for (index, stage) in shape.stages.enumerated() { fillQueue(of: index, from: stage) }
    }

    /// From the last stage backwards: what is not done and is read by something not done is waiting.
    private mutating func markNeeded() {
        for stage in stages.indices.reversed() {
            for index in stages[stage].items.indices where stages[stage].items[index].state == .unneeded {
                guard isRead(WorkItem(stage: stage, index: index)) else { continue }
                stages[stage].items[index].state = .waiting
                stages[stage].openCount += 1
            }
        }
    }

    private mutating func fillQueue(of index: Int, from shape: JobShape.Stage) {
        let waiting = shape.items.indices.filter { stages[index].items[$0].state == .waiting }
        let order = waiting.sorted { left, right in
            (shape.items[right].weight, left) < (shape.items[left].weight, right)
        }
        for item in order { stages[index].queue.append(item, holders: stages[index].items[item].holders) }
    }

    subscript(item: WorkItem) -> Item {
        get { stages[item.stage].items[item.index] }
        set { stages[item.stage].items[item.index] = newValue }
        _modify { yield &stages[item.stage].items[item.index] }
    }

    /// Whether an item is of a stage between maps and reduces.
    func isMerge(_ item: WorkItem) -> Bool { item.stage > 0 && item.stage < stages.count - 1 }

    func contains(_ item: WorkItem) -> Bool {
        stages.indices.contains(item.stage) && stages[item.stage].items.indices.contains(item.index)
    }

    /// Something that is not done reads the output of `item`; the outputs of the last stage are the result.
    func isRead(_ item: WorkItem) -> Bool {
        guard item.stage + 1 < stages.count else { return true }
        let next = stages[item.stage + 1]
        switch next.inputs {
        case .blocks: return false
        case .all: return next.openCount > 0
        case .batches(let size):
            let state = next.items[item.index / size].state
            return state == .waiting || state == .running
        }
    }

    /// Outputs of the stage before that `item` reads.
    func inputs(of item: WorkItem) -> Range<Int> {
        guard item.stage > 0 else { return 0..<0 }
        let count = stages[item.stage - 1].items.count
        switch stages[item.stage].inputs {
        case .blocks: return 0..<0
        case .all: return 0..<count
        case .batches(let size): return item.index * size..<min(count, item.index * size + size)
        }
    }

    /// Puts an item back into the queue, and what it reads as far as that is not there.
    mutating func require(_ item: WorkItem) {
        if self[item].state == .unneeded || self[item].state == .committed {
            stages[item.stage].openCount += 1
        }
        self[item].state = .waiting
        self[item].outputHolder = nil
        let holders = self[item].holders
        stages[item.stage].queue.append(item.index, holders: holders)
        for input in inputs(of: item) where stages[item.stage - 1].items[input].state == .unneeded {
            require(WorkItem(stage: item.stage - 1, index: input))
        }
    }

    func isExcluded(_ worker: WorkerID) -> Bool {
        failureCounts[worker, default: 0] >= CoordinatorLimits.maxWorkerFailures
    }

    /// The worker is given nothing of the job for now.
    func isResting(_ worker: WorkerID, now: Duration) -> Bool {
        rests[worker].map { now < $0.until } ?? false
    }

    /// The worker rested as long as may be, and may never come to anything: others do what would wait for it.
    func isGivenUp(_ worker: WorkerID) -> Bool { rests[worker]?.duration == CoordinatorLimits.maxRest }

    /// The worker had no room; what it says while it rests is of the same cause, and changes nothing.
    mutating func noteBusy(_ worker: WorkerID, now: Duration) {
        guard !isResting(worker, now: now) else { return }
        var rest = rests[worker] ?? Rest()
        rest.busyCount += 1
        rest.until = now + rest.duration
        rests[worker] = rest
    }

    /// The worker was lost, with whatever it had of the job.
    mutating func noteLoss(_ worker: WorkerID, now: Duration) {
        var rest = rests[worker] ?? Rest()
        rest.lossCount += 1
        rest.until = max(rest.until, now + rest.duration)
        rests[worker] = rest
    }
}
