import BlockStore
import Engines
import MRProtocol
import Multiformats

// What the coordinator asks for, and what child tasks do.

extension JobService {
    func apply(_ actions: [CoordinatorAction]) {
        guard !isStopping else { return }
        for action in actions {
            switch action {
            case .start(let attempt): start(attempt)
            case .stop(let attempt): stop(attempt)
            case .commit(let attempt): commit(attempt)
            case .discard(let attempt): discard(attempt)
            case .withdraw(let number, let item): withdraw(item, of: number)
            case .finish(let number):
                active[number]?.enter(.finish, now: now)
                queue.put(.finish(number))
            case .end(let number, let outcome): if let job = active[number] { end(job, outcome) }
            }
        }
        scheduleWake()
    }

    func perform(_ work: Work) async {
        switch work {
        case .plan(let number): await plan(number)
        case .finish(let number): await finish(number)
        case .end(let number, let key): await conclude(number, resultKey: key)
        case .remember(let number): await remember(number)
        case .forget(let keys): await storage.forget(keys)
        case .wake(let time): await wake(at: time)
        case .tick: await tick()
        case .serve(let slot): await serve(slot)
        case .fetchInputs(let attempt): await fetchInputs(attempt)
        case .sendAway(let attempt): await sendAway(attempt)
        case .closeLease(let lease): await storage.close(lease)
        case .cancelRemote(let attempt, let worker): await cancel(attempt, on: worker)
        case .endRemote(let job, let worker): await release(job, on: worker)
        }
    }

    /// Executes attempts on the slot's thread until there are none.
    nonisolated func serve(_ slot: Slot) async {
        var last: AttemptRequest?
        while let request = pool.next(for: slot, after: last) {
            last = request
            let result = slot.execute(request)
            if let ended = request.ended {
                ended(result)
            } else {
                await attemptEnded(request.attempt.id, result)
            }
        }
    }
}

// MARK: - Attempts

extension JobService {
    private func start(_ attempt: Attempt) {
        guard let job = active[attempt.job], let planned = job.planned else { return }
        let work: AttemptRequest.Work
        switch job.phase(ofStage: attempt.item.stage) {
        case .map: work = .map(planned.plan.assignment(for: planned.plan.items[attempt.item.index]))
        case .merge: work = .merge(job.runs(for: attempt.item))
        default: work = .reduce(partition: attempt.item.index, job.runs(for: attempt.item))
        }
        var request = AttemptRequest(
            attempt: attempt,
            execution: planned.execution,
            work: work,
            stop: StopFlag()
        )
        request.inputGeneration = job.inputGeneration
        request.keepsRun = attempt.worker != JobService.selfWorker && isKept(job, attempt.item)
        running[attempt.id] = request
        job.status.attemptCount += 1
        show(attempt.worker, in: job)
        job.share(of: attempt.worker) { $0.attemptsRunning += 1 }
        let taskCount = job.taskCount(of: attempt.item)
        job.progress(of: attempt.item) { $0.running += taskCount }
        job.enter(job.phase(ofStage: attempt.item.stage), now: now)
        if attempt.worker != JobService.selfWorker {
            queue.put(.sendAway(attempt.id))
        } else if needsInputs(attempt, of: job) {
            queue.put(.fetchInputs(attempt.id))
        } else {
            execute(request)
        }
    }

    /// Gives an attempt to the slots of this node.
    ///
    /// - Returns: `false` when the service has stopped.
    @discardableResult
    nonisolated func execute(_ request: AttemptRequest) -> Bool {
        guard let slot = pool.add(request) else { return true }
        return queue.put(.serve(slot))
    }

    private func stop(_ attempt: Attempt) {
        guard let request = running[attempt.id] else { return }
        request.stop.set()
        guard attempt.worker != JobService.selfWorker else { return }
        queue.put(.cancelRemote(attempt.id.number, attempt.worker))
    }

    /// An attempt is over; `isRecorded` when its output is here, where no other node's loss can take it.
    ///
    /// `lostInputs` are outputs of the stage before that turned out lost, as far as the fault does not say.
    func attemptEnded(
        _ id: AttemptID,
        _ result: Result<TaskOutput, TaskFault>,
        isRecorded: Bool = true,
        lostInputs: [Int] = []
    ) {
        let report = running[id]?.report.content
        guard let request = takeRunning(id), !isStopping else { return }
        let attempt = request.attempt
        let job = active[attempt.job]
        if let job, let report { note(report, of: attempt, in: job) }
        switch result {
        case .success(let output):
            results[id] = output
            apply(coordinator.attemptSucceeded(id, isRecorded: isRecorded, now: now))
        case .failure(let fault):
            if let job, fault.concernsInputRuns, request.inputGeneration != job.inputGeneration {
                // Found out before, and being mended: neither this node's failure nor another of the worker's.
                return apply(coordinator.attemptReturned(id, now: now))
            }
            if let job, fault != .cancelled { note(fault, of: attempt, in: job, report) }
            if let job, case .malformedMapOutput(let index, _) = fault, attempt.item.stage > 0 {
                if let maker = job.maker(ofInput: index, of: attempt.item) {
                    coordinator.blame(maker, in: job.number)
                }
            }
            let actions = coordinator.attemptFailed(
                id,
                fault,
                lostInputs: lostInputs + (job?.lostInputs(of: attempt.item, fault) ?? []),
                randomness: UInt64.random(in: 0...UInt64.max),
                now: now
            )
            apply(actions)
        }
    }

    /// Ends an attempt that has to wait for earlier ones after all; its item is given out again.
    func giveBack(_ id: AttemptID) {
        guard takeRunning(id) != nil, !isStopping else { return }
        apply(coordinator.attemptReturned(id, now: now))
    }

    /// A worker does not run the job: said once, and the attempt goes elsewhere.
    func attemptRefused(_ id: AttemptID, _ reason: String) {
        guard let attempt = takeRunning(id)?.attempt, !isStopping else { return }
        if let job = active[attempt.job], job.refusals[attempt.worker] == nil {
            job.refusals[attempt.worker] = reason
            let message = "\(name(of: attempt.worker)) does not run this job: \(reason)"
            job.note(message, time: WallClock.milliseconds)
            if job.status.notes.count < JobLimits.maxNotes { job.status.notes.append(message) }
        }
        apply(coordinator.attemptRefused(id, now: now))
    }

    /// Takes an attempt off the list of those that run, and out of what is shown.
    private func takeRunning(_ id: AttemptID) -> AttemptRequest? {
        guard let request = running.removeValue(forKey: id) else { return nil }
        let attempt = request.attempt
        if let job = active[attempt.job], job.planned != nil {
            let taskCount = job.taskCount(of: attempt.item)
            job.progress(of: attempt.item) { $0.running -= taskCount }
            job.share(of: attempt.worker) { $0.attemptsRunning -= 1 }
        }
        return request
    }

    private func note(_ fault: TaskFault, of attempt: Attempt, in job: ActiveJob, _ report: TaskReport?) {
        job.status.failedAttemptCount += 1
        job.share(of: attempt.worker) { $0.attemptsFailed += 1 }
        var failure = failure(fault, of: attempt, in: job)
        failure.details += report?.lastLines ?? []
        job.lastFailures[attempt.item] = failure
        if job.status.failures.count < JobLimits.maxFailuresShown { job.status.failures.append(failure) }
        job.note(
            "\(failure.phase.rawValue) \(failure.task), attempt \(failure.attempt) failed: \(failure.message)",
            time: WallClock.milliseconds
        )
    }

    private func failure(_ fault: TaskFault, of attempt: Attempt?, in job: ActiveJob) -> AttemptFailure {
        let fault = fault.naming(job.status.functionNames).pastSkipping(upTo: job.status.spec.skipBad)
        guard let attempt else {
            return AttemptFailure(
                worker: configuration.workerName,
                phase: job.status.phase,
                task: 0,
                attempt: 1,
                code: fault.code,
                message: fault.message,
                details: fault.details
            )
        }
        // With the end of the attempt's log, if it is the one that was noted.
        let known = job.lastFailures[attempt.item]
        if let known, known.attempt == attempt.number, known.message == fault.message { return known }
        return AttemptFailure(
            worker: name(of: attempt.worker),
            phase: job.phase(ofStage: attempt.item.stage),
            task: job.firstTask(of: attempt.item),
            attempt: attempt.number,
            code: fault.code,
            message: fault.message,
            details: fault.details
        )
    }

    private func commit(_ attempt: Attempt) {
        guard let output = results.removeValue(forKey: attempt.id), let job = active[attempt.job] else {
            return
        }
        let item = attempt.item
        compare(output, with: job.withdrawnRoots.removeValue(forKey: item), item, in: job)
        job.outputs[item.stage][item.index] = output
        job.makers[item] = attempt.worker
        job.status.counters += output.counters
        let taskCount = job.taskCount(of: item)
        job.progress(of: item) { $0.done += taskCount }
        job.share(of: attempt.worker) { $0.tasksDone += taskCount }
        if item.stage == 0 { commitMap(item.index, output, by: attempt.worker, of: job) }
        if item.stage == job.outputs.count - 1 {
            // A worker may say anything.
            job.status.reducedByteCount = min(
                job.status.reduceInputByteCount,
                job.status.reducedByteCount.addingClamped(output.counters.shuffledBytes)
            )
            rememberPart(item.index, output, of: job)
        }
        if let excess = excess(of: job) { fail(job, excess) }
    }

    /// Ends a job whose functions went beyond what it allows.
    private func fail(_ job: ActiveJob, _ reason: String) {
        let failure = FunctionFailure(.limit, function: "", role: "", message: reason)
        let actions = coordinator.cancel(job.number, now: now)
        for case .stop(let attempt) in actions { stop(attempt) }
        end(job, .failed(nil, reason: .fault(.userFunction(failure))))
    }

    /// The output of an attempt that came too late: it should be what is there already.
    private func discard(_ attempt: Attempt) {
        guard let output = results.removeValue(forKey: attempt.id), let job = active[attempt.job] else {
            return
        }
        guard job.outputs.indices.contains(attempt.item.stage), !job.isEnding else { return }
        compare(
            output,
            with: job.outputs[attempt.item.stage][attempt.item.index]?.root,
            attempt.item,
            in: job
        )
    }

    private func compare(_ output: TaskOutput, with other: CID?, _ item: WorkItem, in job: ActiveJob) {
        guard let other, let root = output.root, root != other else { return }
        noteDifference(item, in: job)
    }

    private func commitMap(_ index: Int, _ output: TaskOutput, by worker: WorkerID, of job: ActiveJob) {
        guard let plan = job.planned?.plan else { return }
        let item = plan.items[index]
        let byteCount = plan.byteCount(of: item)
        job.status.mappedByteCount += byteCount
        let localTasks = job.localLeafCount(item.leaves, of: worker)
        job.share(of: worker) { share in
            share.localTasks += localTasks
            share.mappedBytes += byteCount
        }
        job.mapKeys[index] = plan.key(of: item, lookahead: output.lookaheadCount)
        guard job.submission.usesRememberedOutputs || job.functions != nil, let run = output.run else {
            return
        }
        guard RememberingPolicy.isWorth(run, inputByteCount: byteCount), let keys = job.planned?.keys else {
            return
        }
        let key = job.mapKeys[index]
        enqueue(
            MemoryCandidate(
                key: key,
                context: keys.map,
                output: output,
                taskCount: item.leaves.count,
                item: WorkItem(stage: 0, index: index),
                isForComparison: !job.submission.usesRememberedOutputs,
                entryKey: key == item.key ? nil : item.key
            ),
            of: job
        )
    }

    private func rememberPart(_ partition: Int, _ output: TaskOutput, of job: ActiveJob) {
        guard job.submission.usesRememberedOutputs || job.functions != nil, let planned = job.planned else {
            return
        }
        guard job.status.inputByteCount >= RememberingPolicy.minJobByteCount else { return }
        let runs = job.runsKey ?? TaskKey.sequence(job.mapKeys)
        job.runsKey = runs
        let context = planned.keys.reduce
        let key = TaskKey.reduce(partition: partition, runs: runs, context: context)
        enqueue(
            MemoryCandidate(
                key: key,
                context: context,
                output: output,
                taskCount: 1,
                item: WorkItem(stage: job.outputs.count - 1, index: partition),
                isForComparison: !job.submission.usesRememberedOutputs
            ),
            of: job
        )
    }

    private func withdraw(_ item: WorkItem, of number: JobNumber) {
        guard let job = active[number], let output = job.outputs[item.stage][item.index] else { return }
        job.withdrawnRoots[item] = output.root
        job.outputs[item.stage][item.index] = nil
        job.makers[item] = nil
        job.sharing = .none
        job.dropReduceInputs(madeOf: item.index)
        job.runsKey = nil
        job.recount()
        let taskCount = job.taskCount(of: item)
        var wasRemembered = false
        if item.stage == 0, let plan = job.planned?.plan {
            wasRemembered = plan.items[item.index].remembered != nil && output.lookaheadCount == 0
            job.status.mappedByteCount -= plan.byteCount(of: plan.items[item.index])
            queue.put(.forget([job.mapKeys[item.index]]))
        }
        job.progress(of: item) { progress in
            progress.done -= taskCount
            if wasRemembered { progress.remembered -= taskCount }
        }
        job.note(
            "\(job.phase(ofStage: item.stage).rawValue) output \(item.index) is lost and made again",
            time: WallClock.milliseconds
        )
    }
}

// MARK: - Phases of a job

extension JobService {
    private func plan(_ number: JobNumber) async {
        guard let job = active[number], !job.isEnding, !isStopping else { return }
        job.status.state = .running
        job.status.startedAt = WallClock.milliseconds
        show(JobService.selfWorker, in: job)
        job.phaseStart = now
        let outcome = await planFetchingNodes(job)
        if case .planned(let planned) = outcome { job.leafHolders = await holders(of: planned.plan) }
        guard active[number] != nil, !job.isEnding else {
            if case .planned(let planned) = outcome { await storage.abandon(planned.execution) }
            return
        }
        switch outcome {
        case .failed(let fault): end(job, .failed(nil, reason: .fault(fault)))
        case .remembered(let output): adopt(output, for: job)
        case .planned(let planned): begin(job, planned)
        }
    }

    private func begin(_ job: ActiveJob, _ planned: PlannedJob) {
        let maps = planned.plan.items.map { item in
            JobShape.Item(
                weight: UInt64(item.leaves.count),
                holders: job.holders(of: item.leaves),
                isDone: item.remembered != nil
            )
        }
        var shape = JobShape(maps: maps, reduces: planned.parts.map { JobShape.Item(isDone: $0 != nil) })
        // Merges and reduces stay here until the shuffle turns out large.
        for stage in shape.stages.indices where stage > 0 || job.leafHolders == nil {
            shape.stages[stage].onlyWorker = JobService.selfWorker
        }
        shape.engine = engineName(for: job.status.spec)
        shape.maxAttempts = configuration.maxAttempts
        job.adopt(planned, stageCounts: shape.stages.map(\.items.count))
        job.workersMerge = shape.stages.count == 2 && engines.mergesInAnyOrder(job.status.spec)
        job.note(
            "\(planned.plan.files.count) files, \(planned.plan.leafCount) map tasks in \(maps.count) groups, "
                + "\(job.status.map.remembered) remembered; \(planned.parts.count) reduces, "
                + "\(job.status.reduce.remembered) remembered",
            time: WallClock.milliseconds
        )
        if let note = noteOnDecliningNodes(of: job.status.spec, inputByteCount: planned.plan.byteCount) {
            job.status.notes.append(note)
            job.loneNote = note
        }
        for note in job.status.notes { job.note(note, time: WallClock.milliseconds) }
        apply(coordinator.add(job.number, shape, now: now))
    }

    /// The whole job is remembered.
    private func adopt(_ output: RememberedOutput, for job: ActiveJob) {
        job.status.map.total = output.taskCount
        job.status.map.done = output.taskCount
        job.status.map.remembered = output.taskCount
        job.status.reduce.total = job.status.spec.reduceCount
        job.status.reduce.done = job.status.spec.reduceCount
        job.status.reduce.remembered = job.status.spec.reduceCount
        job.status.inputByteCount = output.counters.inputBytes
        job.status.mappedByteCount = output.counters.inputBytes
        job.status.counters = output.counters
        job.status.result = output.root
        job.note("the result is remembered", time: WallClock.milliseconds)
        end(job, .succeeded)
    }

    private func finish(_ number: JobNumber) async {
        guard let job = active[number], let execution = job.planned?.execution, let last = job.outputs.last
        else {
            return
        }
        if job.functions != nil {
            for item in await storage.differing(job.memories) { noteDifference(item, in: job) }
        }
        let parts = last.compactMap { $0?.part }
        let closes = job.memories.isEmpty && !job.isRemembering
        let outcome = await storage.makeResult(parts, execution, job.status, closing: closes)
        guard !job.isEnding else { return }
        switch outcome {
        case .made(let root):
            job.isReleased = closes
            job.status.result = root
            apply(coordinator.finished(number, now: now))
        case .failed(let fault):
            apply(coordinator.finishFailed(number, fault, now: now))
        }
    }

    /// Decides the state of a job; `conclude` writes it down and makes it known.
    func end(_ job: ActiveJob, _ outcome: JobOutcome) {
        guard !job.isEnding else { return }
        job.isEnding = true
        job.planned?.execution.cancel()
        job.functions?.close()
        job.closePhase(now: now)
        var key: TaskKey?
        switch outcome {
        case .succeeded:
            job.status.state = .succeeded
            job.status.phase = .finish
            if job.submission.usesRememberedOutputs { key = job.planned?.keys.job }
        case .cancelled:
            job.status.state = .cancelled
            job.status.result = nil
        case .failed(let attempt, let reason):
            job.status.state = .failed
            job.status.result = nil
            job.status.failure = failure(reason, attempt, job)
        }
        job.status.endedAt = WallClock.milliseconds
        for worker in job.remoteWorkers { queue.put(.endRemote(job.status.specCID, worker)) }
        let words = job.status.failure.map { ": \($0.message)" } ?? job.status.result.map { ": \($0)" } ?? ""
        job.note(job.status.state.rawValue + words, time: WallClock.milliseconds)
        queue.put(.end(job.number, key))
    }

    private func failure(_ reason: FailureReason, _ attempt: Attempt?, _ job: ActiveJob) -> AttemptFailure {
        switch reason {
        case .fault(let fault): return failure(fault, of: attempt, in: job)
        case .refusedByAll:
            return AttemptFailure(
                worker: configuration.workerName,
                phase: job.status.phase,
                task: 0,
                attempt: 1,
                code: "notAllowed",
                message: "no node accepts the job: "
                    + job.refusals.map { "\(name(of: $0.key)): \($0.value)" }.sorted().joined(separator: "; ")
            )
        case .outputLostTooOften(let item):
            return AttemptFailure(
                worker: configuration.workerName,
                phase: job.phase(ofStage: item.stage),
                task: item.index,
                attempt: attempt?.number ?? 1,
                code: "outputLostTooOften",
                message: "the output of \(job.phase(ofStage: item.stage).rawValue) \(item.index) was lost "
                    + "\(CoordinatorLimits.maxOutputLosses + 1) times; check the store with `peerctl repo verify`"
            )
        }
    }

    private func conclude(_ number: JobNumber, resultKey: TaskKey?) async {
        guard let job = active[number] else { return }
        if job.status.state != .succeeded { await discard(job) }
        var remembered: (key: TaskKey, output: RememberedOutput)?
        if let resultKey, let root = job.status.result {
            let output = RememberedOutput(
                root: root,
                byteCount: 0,
                taskCount: job.status.map.total,
                counters: job.status.counters
            )
            remembered = (resultKey, output)
        }
        do throws(JobServiceError) {
            try await storage.save(record(of: job), result: remembered)
        } catch {
            job.status.notes.append(error.message)
        }
        makeKnown(job)
        if !job.isReleased { await remember(number, job) }
    }

    private func makeKnown(_ job: ActiveJob) {
        if configuration.databasePath == nil {
            ended.append(record(of: job))
            if ended.count > JobLimits.maxEndedJobs { ended.removeFirst() }
        }
        publish(job)
        for watcher in job.watchers.values { watcher.finish() }
        for waiter in job.endWaiters { waiter.resume() }
        job.watchers = [:]
        job.endWaiters = []
        drop(job)
    }

    /// Gives back what a job without a result put into the store.
    private func discard(_ job: ActiveJob) async {
        guard let execution = job.planned?.execution, !job.isReleased else { return }
        job.memories = []
        guard !job.isRemembering else { return }
        job.isReleased = true
        if job.hasRememberedPins {
            await storage.release(execution)
        } else {
            await storage.abandon(execution)
        }
    }
}

// MARK: - Remembering

extension JobService {
    private func enqueue(_ candidate: MemoryCandidate, of job: ActiveJob) {
        guard configuration.databasePath != nil else { return }
        job.memories.append(candidate)
        if !job.isRemembering {
            job.isRemembering = true
            queue.put(.remember(job.number))
        }
    }

    private func remember(_ number: JobNumber) async {
        guard let job = active[number] else { return }
        await remember(number, job)
    }

    /// Stores what has gathered, as often as something has; releases the job's lease behind the last when it has ended.
    private func remember(_ number: JobNumber, _ job: ActiveJob) async {
        guard let execution = job.planned?.execution else { return }
        while !job.memories.isEmpty {
            let batch = job.memories
            job.memories = []
            if job.functions != nil {
                for item in await storage.differing(batch) { noteDifference(item, in: job) }
            }
            let kept = batch.filter { !$0.isForComparison }
            if kept.isEmpty { continue }
            job.hasRememberedPins = true
            if let complaint = await storage.remember(kept, execution) {
                job.note(complaint, time: WallClock.milliseconds)
            }
        }
        job.isRemembering = false
        guard job.isEnding, active[number] == nil, !job.isReleased else { return }
        job.isReleased = true
        await storage.release(execution)
    }
}

/// Which outputs are worth remembering (docs/scheduling.md).
enum RememberingPolicy {
    /// Least input of a map output, in bytes: below it, mapping again costs no more than looking.
    static let minGroupByteCount: UInt64 = 64 << 10
    /// Least input of a job whose reduces are remembered, in bytes.
    static let minJobByteCount: UInt64 = 1 << 20
    /// A run in memory is stored when its input is at least this many times as long.
    static let minShrinkage: UInt64 = 4

    /// The run saves more than it costs.
    static func isWorth(_ run: any RunBytes, inputByteCount: UInt64) -> Bool {
        guard inputByteCount >= minGroupByteCount else { return false }
        // A run that is in the store already costs only its room.
        if run is RemoteRun { return false }
        if run is StoredRun { return run.byteCount <= inputByteCount }
        return run.byteCount <= inputByteCount / minShrinkage
    }
}

extension TaskFault {
    /// The fault lies in a run that a merge or reduce read.
    fileprivate var concernsInputRuns: Bool {
        switch self {
        case .mapOutputUnavailable, .malformedMapOutput: true
        default: false
        }
    }
}
