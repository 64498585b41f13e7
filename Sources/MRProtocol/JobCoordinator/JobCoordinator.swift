/// Decides which worker runs what and when, for all jobs of a node.
///
/// A pure machine: what happened goes in with the time, what is to be done comes out. It knows numbers of jobs, items and
/// workers, never blocks or bytes.
///
/// A job goes through its stages in order: maps, merges if the runs are many, reduces, then `finish`. An item of a stage
/// is `waiting` → `running` → `committed`; it falls back to `waiting` when its attempt fails, its worker is lost, or
/// its output is lost while something still reads it. The job falls back with it to the earliest stage that has
/// something to do.
///
/// Guarantees: an item is committed once at a time, by its first attempt to end well; an item fails at most
/// `JobShape.maxAttempts` times; every job ends, as long as a worker lives and has room, and
/// attempts end.
package struct JobCoordinator: Sendable {
    package typealias Action = CoordinatorAction

    struct Worker: Sendable {
        var slots: Int
        /// Engines that it runs, as tasks name them; `nil`: all.
        var engines: Set<String>?
        var load = 0
        var capacity: Int { slots * CoordinatorLimits.attemptsPerSlot }
    }

    var jobs: [JobNumber: CoordinatedJob] = [:]
    var workers: [WorkerID: Worker] = [:]
    var attempts: [AttemptID: Attempt] = [:]
    /// Workers with room for another attempt.
    var roomy: Set<WorkerID> = []
    private var nextAttempt: UInt64 = 1
    private var turn: UInt64 = 0

    package init() {}

    /// When `deadlineReached` is to be called; `nil`: no need.
    package func nextDeadline(after now: Duration) -> Duration? {
        var next: Duration?
        for job in jobs.values {
            for retry in job.retries where retry.notBefore > now && job[retry.item].state == .waiting {
                next = min(next ?? retry.notBefore, retry.notBefore)
            }
            for (worker, rest) in job.rests where rest.until > now && workers[worker] != nil {
                next = min(next ?? rest.until, rest.until)
            }
        }
        return next
    }

    // MARK: What happens

    /// A job was planned.
    package mutating func add(_ job: JobNumber, _ shape: JobShape, now: Duration) -> [Action] {
        precondition(jobs[job] == nil, "job \(job.number) was added before")
        precondition(!shape.stages.isEmpty, "a job has at least a reduce stage")
        jobs[job] = CoordinatedJob(shape)
        return advance(job) + assign(now: now)
    }

    /// The user gave up.
    package mutating func cancel(_ job: JobNumber, now: Duration) -> [Action] {
        guard jobs[job] != nil else { return [] }
        return end(job, .cancelled) + assign(now: now)
    }

    /// A worker joined, or changed its number of slots or its engines (`nil`: it runs all).
    package mutating func workerJoined(
        _ worker: WorkerID,
        slots: Int,
        engines: Set<String>? = nil,
        now: Duration
    ) -> [Action] {
        precondition(slots >= 0, "a worker has no fewer than 0 slots")
        workers[worker, default: Worker(slots: slots)].slots = slots
        workers[worker]?.engines = engines
        updateRoom(of: worker)
        return assign(now: now)
    }

    /// A worker is gone, with its attempts and with every output that only it had.
    ///
    /// That is no failure of anybody. If it had anything of a job, and comes back, it gets nothing of that job until it has
    /// rested, twice as long after each loss.
    package mutating func workerLost(_ worker: WorkerID, now: Duration) -> [Action] {
        guard workers.removeValue(forKey: worker) != nil else { return [] }
        roomy.remove(worker)
        var concerned: Set<JobNumber> = []
        for attempt in attempts.values.sorted(by: { $0.id < $1.id }) where attempt.worker == worker {
            attempts[attempt.id] = nil
            requeue(attempt)
            concerned.insert(attempt.job)
        }
        var actions: [Action] = []
        for job in jobs.keys.sorted() {
            let withdrawn = withdrawOutputs(of: worker, in: job)
            if !withdrawn.isEmpty || concerned.contains(job) { jobs[job]?.noteLoss(worker, now: now) }
            actions += withdrawn
        }
        return actions + assign(now: now)
    }

    /// An attempt ended well; `isRecorded` when its output is where no worker's loss can take it.
    package mutating func attemptSucceeded(_ id: AttemptID, isRecorded: Bool, now: Duration) -> [Action] {
        guard let attempt = release(id) else { return [] }
        jobs[attempt.job]?.rests[attempt.worker]?.busyCount = 0
        guard jobs[attempt.job] != nil, jobs[attempt.job]?[attempt.item].state != .committed else {
            return [.discard(attempt)] + assign(now: now)
        }
        return commit(attempt, isRecorded: isRecorded) + advance(attempt.job) + assign(now: now)
    }

    /// The output of an item was copied to where no worker's loss can take it.
    package mutating func outputRecorded(_ item: WorkItem, of job: JobNumber) {
        jobs[job]?[item].outputHolder = nil
    }

    /// From now on any worker may get items of the stage, which one worker had for itself.
    package mutating func openStage(_ stage: Int, of job: JobNumber, now: Duration) -> [Action] {
        guard jobs[job]?.stages.indices.contains(stage) == true, jobs[job]?.stages[stage].onlyWorker != nil
        else {
            return []
        }
        jobs[job]?.stages[stage].onlyWorker = nil
        return assign(now: now)
    }

    /// An output turned out wrong or lost, and the worker made it or says so: counts as a failure of that worker.
    ///
    /// After too many it is believed nothing more of this job, as long as others can do it: outputs that only it has are
    /// withdrawn, its attempts stopped.
    package mutating func blame(_ worker: WorkerID, in job: JobNumber, now: Duration) -> [Action] {
        jobs[job]?.failureCounts[worker, default: 0] += 1
        jobs[job]?.blamed.insert(worker)
        guard let state = jobs[job], state.isExcluded(worker),
            !mayWork(worker, on: state, stage: state.currentStage ?? 0)
        else {
            return []
        }
        let running = attempts.values.filter { $0.worker == worker && $0.job == job }
            .sorted { $0.id < $1.id }
        for attempt in running where release(attempt.id) != nil { requeue(attempt) }
        return running.map(Action.stop) + withdrawOutputs(of: worker, in: job) + assign(now: now)
    }

    /// Whether an attempt is given out and has not ended.
    package func isRunning(_ attempt: AttemptID) -> Bool { attempts[attempt] != nil }

    /// Whether a worker gets no more attempts of a job, after too many failures, as long as others can go on.
    package func isExcluded(_ worker: WorkerID, from job: JobNumber) -> Bool {
        guard let job = jobs[job] else { return false }
        return job.isExcluded(worker) && othersCanGoOn(without: worker, job)
    }

    /// Workers that get no more attempts of a job, in order.
    package func excludedWorkers(from job: JobNumber) -> [WorkerID] {
        guard let counts = jobs[job]?.failureCounts else { return [] }
        return counts.keys.filter { isExcluded($0, from: job) }.sorted()
    }

    /// Slots of all workers.
    package var slotCount: Int { workers.values.reduce(0) { $0 + $1.slots } }

    /// An attempt failed.
    ///
    /// `lostInputs` are outputs of the stage before that could not be read, by their index; `randomness` is any 64 random
    /// bits, for the jitter of the wait before the next attempt.
    package mutating func attemptFailed(
        _ id: AttemptID,
        _ fault: TaskFault,
        lostInputs: [Int] = [],
        randomness: UInt64,
        now: Duration
    ) -> [Action] {
        guard let attempt = release(id) else { return [] }
        var actions: [Action] = []
        if let state = jobs[attempt.job]?[attempt.item].state, state != .committed {
            if !lostInputs.isEmpty, attempt.item.stage > 0 {
                actions = loseInputs(lostInputs, of: attempt)
            } else {
                actions = fail(attempt, fault, randomness: randomness, now: now)
            }
        }
        return actions + assign(now: now)
    }

    /// An attempt ended without a verdict, for no fault of its worker's: its item is given out again.
    package mutating func attemptReturned(_ id: AttemptID, now: Duration) -> [Action] {
        guard let attempt = release(id) else { return [] }
        if jobs[attempt.job]?[attempt.item].state == .running { requeue(attempt) }
        return assign(now: now)
    }

    /// The worker of an attempt has no room for it: that is no failure of anybody, and the item is given out again.
    ///
    /// The worker gets nothing of this job for `CoordinatorLimits.firstRest`, twice as long each time that it has no room
    /// again. Whoever rests for `maxRest` is not waited for any more: what only it would still try is tried by others again.
    package mutating func attemptBusy(_ id: AttemptID, now: Duration) -> [Action] {
        guard let attempt = release(id) else { return [] }
        if jobs[attempt.job]?[attempt.item].state == .running { requeue(attempt) }
        jobs[attempt.job]?.noteBusy(attempt.worker, now: now)
        return assign(now: now)
    }

    /// The worker of an attempt refuses the job: it gets no more of it, and the item goes to another.
    ///
    /// That is no failure of anybody. When every worker has refused, the job fails.
    package mutating func attemptRefused(_ id: AttemptID, now: Duration) -> [Action] {
        guard let attempt = release(id) else { return [] }
        guard jobs[attempt.job] != nil else { return assign(now: now) }
        requeue(attempt)
        jobs[attempt.job]?.refusals.insert(attempt.worker)
        var actions: [Action] = []
        if let job = jobs[attempt.job], workers.keys.allSatisfy({ !isAble($0, for: job) }) {
            actions = end(attempt.job, .failed(attempt, reason: .refusedByAll))
        }
        return actions + assign(now: now)
    }

    /// The result is made.
    package mutating func finished(_ job: JobNumber, now: Duration) -> [Action] {
        guard jobs[job]?.isFinishing == true else { return [] }
        return end(job, .succeeded) + assign(now: now)
    }

    /// The result could not be made; `lostOutputs` are partitions that have to be reduced again.
    package mutating func finishFailed(
        _ job: JobNumber,
        _ fault: TaskFault,
        lostOutputs: [Int] = [],
        now: Duration
    ) -> [Action] {
        guard let last = jobs[job]?.stages.count, jobs[job]?.isFinishing == true else { return [] }
        guard !lostOutputs.isEmpty else {
            return end(job, .failed(nil, reason: .fault(fault))) + assign(now: now)
        }
        return lose(lostOutputs.map { WorkItem(stage: last - 1, index: $0) }, of: job, because: nil)
            + assign(now: now)
    }

    /// A wait is over.
    package mutating func deadlineReached(now: Duration) -> [Action] { assign(now: now) }
}

// MARK: - Attempts that end

extension JobCoordinator {
    /// Takes an attempt off its worker; `nil` for one that is not known any more.
    private mutating func release(_ id: AttemptID) -> Attempt? {
        guard let attempt = attempts.removeValue(forKey: id) else { return nil }
        workers[attempt.worker]?.load -= 1
        updateRoom(of: attempt.worker)
        jobs[attempt.job]?[attempt.item].running.removeAll { $0 == id }
        jobs[attempt.job]?.runningCount -= 1
        return attempt
    }

    private mutating func commit(_ attempt: Attempt, isRecorded: Bool) -> [Action] {
        let rivals = jobs[attempt.job]?[attempt.item].running.compactMap { attempts[$0] } ?? []
        jobs[attempt.job]?[attempt.item].state = .committed
        jobs[attempt.job]?[attempt.item].outputHolder = isRecorded ? nil : attempt.worker
        jobs[attempt.job]?.stages[attempt.item.stage].openCount -= 1
        if jobs[attempt.job]?[attempt.item].isRetried == true {
            jobs[attempt.job]?.retries.removeAll { $0.item == attempt.item }
            jobs[attempt.job]?[attempt.item].isRetried = false
        }
        return [.commit(attempt)] + rivals.map(Action.stop)
    }

    /// Puts the item of an attempt that ended without a verdict back into the queue, unless another attempt runs.
    private mutating func requeue(_ attempt: Attempt) {
        // Taken out while it changes: a copy would copy all items.
        guard var job = jobs.removeValue(forKey: attempt.job) else { return }
        if job[attempt.item].running.contains(attempt.id) {
            job[attempt.item].running.removeAll { $0 == attempt.id }
            job.runningCount -= 1
        }
        if job[attempt.item].state == .running, job[attempt.item].running.isEmpty {
            job.require(attempt.item)
        }
        jobs[attempt.job] = job
    }

    private mutating func fail(
        _ attempt: Attempt,
        _ fault: TaskFault,
        randomness: UInt64,
        now: Duration
    ) -> [Action] {
        guard var job = jobs.removeValue(forKey: attempt.job) else { return [] }
        job[attempt.item].failureCount += 1
        job.failureCounts[attempt.worker, default: 0] += 1
        let failureCount = job[attempt.item].failureCount
        var retry =
            job.retries.first { $0.item == attempt.item }
            ?? CoordinatedJob.Retry(item: attempt.item, notBefore: now, triedBy: [])
        retry.triedBy.insert(attempt.worker)
        retry.notBefore = now + JobCoordinator.backoff(afterFailures: failureCount, randomness: randomness)
        job.retries.removeAll { $0.item == attempt.item }
        let isHopeless: Bool
        switch fault.scope(hasDeterministicFunctions: job.hasDeterministicFunctions) {
        case .input: isHopeless = true
        case .worker where job.isMerge(attempt.item): isHopeless = false  // it reads what this node alone has
        case .worker:
            // What one worker cannot do, however small, is for another to try.
            job.stages[attempt.item.stage].onlyWorker = nil
            isHopeless = !isUntried(retry, in: job)
        case .attempt: isHopeless = false
        case .function: isHopeless = failureCount >= CoordinatorLimits.maxFunctionAttempts
        }
        let othersRun = !job[attempt.item].running.isEmpty
        if !othersRun { job[attempt.item].state = .waiting }
        job.retries.append(retry)
        job[attempt.item].isRetried = true
        jobs[attempt.job] = job
        guard isHopeless || failureCount >= job.maxAttempts else { return [] }
        return end(attempt.job, .failed(attempt, reason: .fault(fault)))
    }

    /// Doubles from `firstBackoff` to `maxBackoff`; the wait is between half of that and all of it.
    static func backoff(afterFailures count: Int, randomness: UInt64) -> Duration {
        let doubled = CoordinatorLimits.firstBackoff * (1 << min(count - 1, 16))
        let longest = min(doubled, CoordinatorLimits.maxBackoff)
        return longest / 2 + longest / 2 * Double(randomness >> 11) / Double(1 << 53)
    }
}

// MARK: - Outputs that are lost

extension JobCoordinator {
    private mutating func loseInputs(_ inputs: [Int], of attempt: Attempt) -> [Action] {
        requeue(attempt)
        let items = inputs.map { WorkItem(stage: attempt.item.stage - 1, index: $0) }
        return lose(items, of: attempt.job, because: attempt)
    }

    private mutating func lose(
        _ items: [WorkItem],
        of number: JobNumber,
        because attempt: Attempt?
    ) -> [Action] {
        guard var job = jobs[number] else { return [] }
        var actions: [Action] = []
        for item in items where job.contains(item) && job[item].state == .committed {
            job[item].lossCount += 1
            guard job[item].lossCount <= CoordinatorLimits.maxOutputLosses else {
                return end(number, .failed(attempt, reason: .outputLostTooOften(item)))
            }
            job.require(item)
            actions.append(.withdraw(number, item))
        }
        job.isFinishing = false
        jobs[number] = job
        return actions + advance(number)
    }

    /// Outputs that only `worker` had: made again where something still reads them, forgotten elsewhere.
    private mutating func withdrawOutputs(of worker: WorkerID, in number: JobNumber) -> [Action] {
        guard var job = jobs[number], !job.isFinishing else { return [] }
        var actions: [Action] = []
        for stage in job.stages.indices.reversed() {
            for index in job.stages[stage].items.indices {
                let item = WorkItem(stage: stage, index: index)
                guard job[item].state == .committed, job[item].outputHolder == worker else { continue }
                if job.isRead(item) { job.require(item) } else { job[item].state = .unneeded }
                job[item].outputHolder = nil
                actions.append(.withdraw(number, item))
            }
        }
        jobs[number] = job
        return actions
    }
}

// MARK: - Jobs that end

extension JobCoordinator {
    /// Asks for the result when nothing is left to do.
    private mutating func advance(_ number: JobNumber) -> [Action] {
        guard let job = jobs[number], !job.isFinishing, job.currentStage == nil else { return [] }
        jobs[number]?.isFinishing = true
        return [.finish(number)]
    }

    private mutating func end(_ number: JobNumber, _ outcome: JobOutcome) -> [Action] {
        jobs[number] = nil
        let running = attempts.values.filter { $0.job == number }.sorted { $0.id < $1.id }
        return running.map(Action.stop) + [.end(number, outcome)]
    }
}

// MARK: - Giving out attempts

extension JobCoordinator {
    private mutating func updateRoom(of worker: WorkerID) {
        guard let state = workers[worker] else { return }
        if state.load < state.capacity { roomy.insert(worker) } else { roomy.remove(worker) }
    }

    /// Fills the room of all workers, one attempt each in turn: first with items whose input they hold, then with any.
    private mutating func assign(now: Duration) -> [Action] {
        var actions: [Action] = []
        for onlyLocal in [true, false] {
            var hasProgress = true
            while hasProgress, !roomy.isEmpty {
                hasProgress = false
                for worker in roomy.sorted() {
                    guard let attempt = attempt(for: worker, onlyLocal: onlyLocal, now: now) else { continue }
                    actions.append(.start(attempt))
                    hasProgress = true
                }
            }
        }
        return actions
    }

    /// The job with the fewest running attempts goes first; among equals the one served longest ago.
    private mutating func attempt(for worker: WorkerID, onlyLocal: Bool, now: Duration) -> Attempt? {
        let order = jobs.keys.sorted { left, right in
            guard let first = jobs[left], let second = jobs[right] else { return left < right }
            return (first.runningCount, first.lastTurn, left) < (second.runningCount, second.lastTurn, right)
        }
        for number in order {
            guard let item = takeItem(of: number, for: worker, onlyLocal: onlyLocal, now: now) else {
                continue
            }
            return start(item, of: number, on: worker)
        }
        return nil
    }

    private mutating func takeItem(
        of number: JobNumber,
        for worker: WorkerID,
        onlyLocal: Bool,
        now: Duration
    ) -> WorkItem? {
        guard let job = jobs[number], !job.isResting(worker, now: now), let stage = job.currentStage,
            mayWork(worker, on: job, stage: stage)
        else {
            return nil
        }
        if onlyWorker(of: stage, in: job) != nil, stage > 0, workers.count > 1 {
            // What waits may still be opened to others, and is not put in line here before.
            if job.runningCount >= workers[worker]?.slots ?? 0 { return nil }
        }
        if let item = takeRetry(of: number, stage: stage, for: worker, now: now) { return item }
        if onlyLocal, jobs[number]?.stages[stage].queue.knowsHolders != true { return nil }
        // The queue is taken out while its closure reads the items beside it.
        guard var queue = jobs[number]?.stages[stage].queue, let job = jobs[number] else { return nil }
        jobs[number]?.stages[stage].queue = PendingQueue()
        let isWaiting = { (index: Int) in job.isQueued(WorkItem(stage: stage, index: index)) }
        let index =
            onlyLocal ? queue.takeLocal(to: worker, isWaiting: isWaiting) : queue.take(isWaiting: isWaiting)
        jobs[number]?.stages[stage].queue = queue
        return index.map { WorkItem(stage: stage, index: $0) }
    }

    /// An item that failed before goes to a worker that has not tried it, if there is one.
    private mutating func takeRetry(
        of number: JobNumber,
        stage: Int,
        for worker: WorkerID,
        now: Duration
    ) -> WorkItem? {
        guard let job = jobs[number], !job.retries.isEmpty else { return nil }
        let position = job.retries.firstIndex { retry in
            guard retry.item.stage == stage, retry.notBefore <= now else { return false }
            guard job[retry.item].state == .waiting else { return false }
            return !retry.triedBy.contains(worker) || !isUntried(retry, in: job)
        }
        return position.map { job.retries[$0].item }
    }

    /// Whether a worker that could do an item, and is worth waiting for, has not tried it.
    private func isUntried(_ retry: CoordinatedJob.Retry, in job: CoordinatedJob) -> Bool {
        workers.keys.contains { worker in
            !retry.triedBy.contains(worker) && !job.isGivenUp(worker)
                && mayWork(worker, on: job, stage: retry.item.stage)
        }
    }

    /// Too many failures exclude a worker, unless that would leave nobody; one that has a stage for itself does it.
    private func mayWork(_ worker: WorkerID, on job: CoordinatedJob, stage: Int) -> Bool {
        guard isAble(worker, for: job) else { return false }
        if let only = onlyWorker(of: stage, in: job) { return only == worker }
        return !job.isExcluded(worker) || !othersCanGoOn(without: worker, job)
    }

    /// Whether a job has workers that are not excluded.
    ///
    /// One that is not waited for any more counts only against those whose outputs turned out wrong.
    private func othersCanGoOn(without worker: WorkerID, _ job: CoordinatedJob) -> Bool {
        let isBlamed = job.blamed.contains(worker)
        return workers.keys.contains { other in
            !job.isExcluded(other) && isAble(other, for: job) && (isBlamed || !job.isGivenUp(other))
        }
    }

    /// The worker that has a stage for itself; `nil` when it cannot do it.
    private func onlyWorker(of stage: Int, in job: CoordinatedJob) -> WorkerID? {
        job.stages[stage].onlyWorker.flatMap { only in
            workers[only] != nil && isAble(only, for: job) ? only : nil
        }
    }

    /// A worker has the job's engine and has not refused it.
    private func isAble(_ worker: WorkerID, for job: CoordinatedJob) -> Bool {
        guard !job.refusals.contains(worker) else { return false }
        guard let engine = job.engine, let engines = workers[worker]?.engines else { return true }
        return engines.contains(engine)
    }

    private mutating func start(_ item: WorkItem, of number: JobNumber, on worker: WorkerID) -> Attempt? {
        guard var job = jobs.removeValue(forKey: number) else { return nil }
        defer { jobs[number] = job }
        turn += 1
        job.lastTurn = turn
        job.runningCount += 1
        job[item].attemptCount += 1
        job[item].state = .running
        let attempt = Attempt(
            id: AttemptID(nextAttempt),
            job: number,
            item: item,
            worker: worker,
            number: job[item].attemptCount,
            isLocal: job[item].holders.contains(worker)
        )
        job[item].running.append(attempt.id)
        nextAttempt += 1
        attempts[attempt.id] = attempt
        workers[worker]?.load += 1
        updateRoom(of: worker)
        return attempt
    }
}

extension CoordinatedJob {
    /// The item waits in the queue and not among the retries.
    func isQueued(_ item: WorkItem) -> Bool {
        self[item].state == .waiting && !self[item].isRetried
    }
}
