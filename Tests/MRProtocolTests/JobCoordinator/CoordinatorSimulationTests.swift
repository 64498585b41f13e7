import MRProtocol
import Multiformats
import Testing

/// Random workers, losses, failures and late reports against the coordinator; a run is its seed.
@Suite("Coordinator under random faults")
struct CoordinatorSimulationTests {
    @Test(arguments: 0..<200)
    func everyJobEndsAndEveryItemIsCommittedOnce(seed: Int) {
        var simulation = Simulation(seed: UInt64(seed))
        simulation.run()
        #expect(simulation.complaints.isEmpty, "SEED=\(seed): \(simulation.complaints.prefix(3))")
    }

    @Test func twentyThousandItemsAreCheap() {
        var machine = JobCoordinator()
        _ = machine.workerJoined(WorkerID(0), slots: 2, now: .zero)
        let shape = JobShape(maps: Array(repeating: .init(), count: 20_000), reduces: [.init()])
        var waiting = machine.add(JobNumber(1), shape, now: .zero)
        var commits = 0
        while let action = waiting.popLast() {
            switch action {
            case .start(let attempt):
                waiting += machine.attemptSucceeded(attempt.id, isRecorded: true, now: .zero)
            case .commit: commits += 1
            default: break
            }
        }
        // 20,000 maps, 313 and 5 merges, one reduce.
        #expect(commits == 20_000 + 313 + 1)
    }
}

private struct Simulation {
    private var random: Generator
    private var machine = JobCoordinator()
    private var now = Duration.zero
    private var attempts: [Attempt] = []
    private var committed: [JobNumber: Set<WorkItem>] = [:]
    private var startCounts: [JobNumber: [WorkItem: Int]] = [:]
    private var ended: [JobNumber: JobOutcome] = [:]
    private var finishing: [JobNumber] = []
    private var live: Set<WorkerID> = []
    private var lossCount = 0
    private var itemCounts: [JobNumber: Int] = [:]
    private(set) var complaints: [String] = []

    private let failPercent: UInt64
    private let lossPercent: UInt64
    private let busyPercent: UInt64
    /// Workers that never have room.
    private let busyWorkers: Set<WorkerID>
    private static let maxSteps = 20_000

    init(seed: UInt64) {
        random = Generator(state: seed)
        failPercent = [0, 2, 10, 30][Int(random.next() % 4)]
        lossPercent = [0, 0, 1, 4][Int(random.next() % 4)]
        busyPercent = [0, 0, 0, 20][Int(random.next() % 4)]
        let busyCount = [0, 0, 1, 3][Int(random.next() % 4)]
        busyWorkers = Set((0..<busyCount).map { WorkerID($0 + 1) })
    }

    mutating func run() {
        join(WorkerID(0))
        for number in 1...Int(1 + random.next() % 4) { addJob(JobNumber(number)) }
        for number in 1...Int(1 + random.next() % 5) { join(WorkerID(number)) }
        var steps = 0
        while ended.count < itemCounts.count, steps < Simulation.maxSteps {
            step()
            steps += 1
        }
        for job in itemCounts.keys where ended[job] == nil {
            complaints.append("job \(job.number) did not end")
        }
    }

    private mutating func addJob(_ job: JobNumber) {
        let maps = (0..<Int(random.next() % 700)).map { _ in
            JobShape.Item(
                weight: random.next() % 9,
                holders: random.next() % 2 == 0 ? [WorkerID(Int(random.next() % 6))] : [],
                isDone: random.next() % 10 == 0
            )
        }
        let reduces = (0..<Int(1 + random.next() % 9)).map { _ in
            JobShape.Item(isDone: random.next() % 10 == 0)
        }
        let shape = JobShape(maps: maps, reduces: reduces)
        itemCounts[job] = shape.stages.reduce(0) { $0 + $1.items.count }
        for (stage, items) in shape.stages.enumerated() {
            for (index, item) in items.items.enumerated() where item.isDone {
                committed[job, default: []].insert(WorkItem(stage: stage, index: index))
            }
        }
        carryOut(machine.add(job, shape, now: now))
    }

    private mutating func join(_ worker: WorkerID) {
        live.insert(worker)
        carryOut(machine.workerJoined(worker, slots: Int(1 + random.next() % 3), now: now))
    }

    private mutating func step() {
        now += .milliseconds(Int(random.next() % 5))
        if random.next() % 100 < lossPercent, lossCount < 40 { return loseWorker() }
        if let job = finishing.popLast(), ended[job] == nil {
            return carryOut(machine.finished(job, now: now))
        }
        guard !attempts.isEmpty else {
            if let deadline = machine.nextDeadline(after: now) { now = deadline }
            return carryOut(machine.deadlineReached(now: now))
        }
        let attempt = attempts.remove(at: Int(random.next() % UInt64(attempts.count)))
        // This node never says that it has no room.
        if attempt.worker != WorkerID(0),
            busyWorkers.contains(attempt.worker) || random.next() % 100 < busyPercent
        {
            startCounts[attempt.job]?[attempt.item]? -= 1
            return carryOut(machine.attemptBusy(attempt.id, now: now))
        }
        if random.next() % 100 < failPercent { return fail(attempt) }
        carryOut(machine.attemptSucceeded(attempt.id, isRecorded: attempt.worker == WorkerID(0), now: now))
        // A worker that reports twice must not count twice.
        if random.next() % 10 == 0 {
            carryOut(machine.attemptSucceeded(attempt.id, isRecorded: true, now: now))
        }
    }

    private mutating func fail(_ attempt: Attempt) {
        let losesInput = attempt.item.stage > 0 && random.next() % 4 == 0
        let actions = machine.attemptFailed(
            attempt.id,
            losesInput ? .malformedMapOutput(runIndex: 0, reason: "") : .store("simulated"),
            lostInputs: losesInput ? [0] : [],
            randomness: random.next(),
            now: now
        )
        carryOut(actions)
    }

    private mutating func loseWorker() {
        // This node is never lost; the others come back.
        let worker = WorkerID(Int(1 + random.next() % 5))
        guard live.contains(worker) else { return join(worker) }
        lossCount += 1
        live.remove(worker)
        attempts.removeAll { $0.worker == worker }
        carryOut(machine.workerLost(worker, now: now))
    }

    private mutating func carryOut(_ actions: [CoordinatorAction]) {
        for action in actions {
            switch action {
            case .start(let attempt):
                attempts.append(attempt)
                startCounts[attempt.job, default: [:]][attempt.item, default: 0] += 1
                check(ended[attempt.job] == nil, "attempt of an ended job")
                check(live.contains(attempt.worker), "attempt on a lost worker")
                check(committed[attempt.job]?.contains(attempt.item) != true, "attempt at a committed item")
            case .commit(let attempt):
                let isNew = committed[attempt.job, default: []].insert(attempt.item).inserted
                check(isNew, "\(attempt.item) committed twice")
            case .withdraw(let job, let item):
                check(committed[job]?.remove(item) != nil, "\(item) withdrawn but not committed")
            case .finish(let job): finishing.append(job)
            case .end(let job, let outcome):
                check(ended.updateValue(outcome, forKey: job) == nil, "job \(job.number) ended twice")
                checkEnd(job, outcome)
            case .stop, .discard: break
            }
        }
    }

    private mutating func checkEnd(_ job: JobNumber, _ outcome: JobOutcome) {
        if outcome == .succeeded {
            let reduces = committed[job, default: []].filter {
                $0.stage == committed[job]?.map(\.stage).max()
            }
            check(!reduces.isEmpty, "job \(job.number) succeeded without reduces")
        } else {
            check(failPercent > 0, "job \(job.number) failed without a failure: \(outcome)")
        }
        let bound = CoordinatorLimits.maxAttempts + CoordinatorLimits.maxOutputLosses + lossCount * 2
        let most = startCounts[job]?.values.max() ?? 0
        // Reduces are also given back when an input of theirs is lost.
        check(most <= bound * (1 + CoordinatorLimits.maxOutputLosses) + 64, "\(most) attempts of one item")
    }

    private mutating func check(_ condition: Bool, _ complaint: @autoclosure () -> String) {
        if !condition { complaints.append(complaint()) }
    }
}

private struct Generator: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var value = (state ^ (state >> 30)) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ (value >> 27)) &* 0x94d0_49bb_1331_11eb
        return value ^ (value >> 31)
    }
}
