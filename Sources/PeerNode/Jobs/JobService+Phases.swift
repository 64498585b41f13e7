import BlockStore
import Engines
import MRProtocol
import Multiformats

// A job's way from its plan to its result.

extension JobService {
    func plan(_ number: JobNumber) async {
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

    func finish(_ number: JobNumber) async {
        guard let job = active[number], let execution = job.planned?.execution, let last = job.outputs.last,
            !job.isEnding
        else {
            return
        }
        if job.functions != nil {
            for item in await storage.differing(job.memories) { noteDifference(item, in: job) }
        }
        let parts = last.compactMap { $0?.part }
        guard parts.count == last.count else {
            let fault = TaskFault.store("\(last.count - parts.count) parts of the result are not there")
            return apply(coordinator.finishFailed(number, fault, now: now))
        }
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

    func failure(_ reason: FailureReason, _ attempt: Attempt?, _ job: ActiveJob) -> AttemptFailure {
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

    func conclude(_ number: JobNumber, resultKey: TaskKey?) async {
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
    func discard(_ job: ActiveJob) async {
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
