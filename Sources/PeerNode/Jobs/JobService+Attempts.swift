import BlockStore
import Engines
import MRProtocol
import Multiformats

// The attempts that the coordinator gives to this node and to others: their start, their end, and what comes of them.

extension JobService {
    func start(_ attempt: Attempt) {
        guard let job = active[attempt.job], let planned = job.planned else { return }
        let work: AttemptRequest.Work
        if attempt.item.stage == 0 {
            work = .map(planned.plan.assignment(for: planned.plan.items[attempt.item.index]))
        } else {
            guard let runs = job.runs(for: attempt.item) else {
                preconditionFailure("a merge or reduce starts when all that it reads is there")
            }
            let isReduce = job.phase(ofStage: attempt.item.stage) == .reduce
            work = isReduce ? .reduce(partition: attempt.item.index, runs) : .merge(runs)
        }
        var request = AttemptRequest(
            attempt: attempt,
            execution: planned.execution,
            work: work,
            stop: StopFlag()
        )
        request.inputGeneration = job.inputGeneration
        request.keepsRun = attempt.worker != JobService.selfWorker && isKept(job, attempt.item)
        // A job may end between two of the things that were decided together.
        if job.isEnding { request.stop.set() }
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

    func stop(_ attempt: Attempt) {
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
            results[id] = nil  // unless it was stopped, it has been committed or discarded
        case .failure(let fault):
            if let job, fault.concernsInputRuns, request.inputGeneration != job.inputGeneration {
                // Found out before, and being mended: neither this node's failure nor another of the worker's.
                return apply(coordinator.attemptReturned(id, now: now))
            }
            if let job, fault != .cancelled { note(fault, of: attempt, in: job, report) }
            if case .blockUnavailable(let cid, _, _, _) = fault, attempt.worker == JobService.selfWorker {
                job?.noteMissing(cid)
            }
            let lost = lostInputs + (job?.lostInputs(of: attempt.item, fault) ?? [])
            let isKnown = coordinator.isRunning(id)
            let doubtful = isKnown ? job?.doubtfulWorkers(fault, of: attempt, lost: lost) ?? [] : []
            for worker in [attempt.worker] + doubtful { job?.lastFaults[worker] = fault }
            apply(
                coordinator.attemptFailed(
                    id,
                    fault,
                    lostInputs: lost,
                    randomness: UInt64.random(in: 0...UInt64.max),
                    now: now
                )
            )
            for worker in doubtful { apply(coordinator.blame(worker, in: attempt.job, now: now)) }
        }
    }

    /// Ends an attempt that has to wait for earlier ones after all; its item is given out again.
    func giveBack(_ id: AttemptID) {
        guard takeRunning(id) != nil, !isStopping else { return }
        apply(coordinator.attemptReturned(id, now: now))
    }

    /// A worker has no room: said once, and the attempt goes elsewhere, or there again after a while.
    func attemptBusy(_ id: AttemptID, _ reason: String) {
        guard let attempt = takeRunning(id)?.attempt, !isStopping else { return }
        if let job = active[attempt.job], job.busyWorkers.insert(attempt.worker).inserted {
            job.note("\(name(of: attempt.worker)) has no room: \(reason)", time: WallClock.milliseconds)
        }
        apply(coordinator.attemptBusy(id, now: now))
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
        failure.details += report?.lastLines(besides: failure.details) ?? []
        job.lastFailures[attempt.item] = failure
        if job.status.failures.count < JobLimits.maxFailuresShown { job.status.failures.append(failure) }
        job.note(
            "\(failure.phase.rawValue) \(failure.task), attempt \(failure.attempt) failed: \(failure.message)",
            time: WallClock.milliseconds
        )
    }

    /// Shows which workers get no more of a job, and tells why of those that did until now.
    func showExclusions(from job: ActiveJob) {
        let excluded = coordinator.excludedWorkers(from: job.number)
        guard excluded != job.excludedWorkers else { return }
        for worker in job.excludedWorkers { job.share(of: worker) { $0.isExcluded = false } }
        for worker in excluded { job.share(of: worker) { $0.isExcluded = true } }
        for worker in excluded where !job.excludedWorkers.contains(worker) {
            let fault = job.lastFaults[worker]?.naming(job.status.functionNames).message
            let message =
                "\(name(of: worker)) gets no more of this job after \(CoordinatorLimits.maxWorkerFailures) failures"
                + (fault.map { ", the last: \($0)" } ?? "")
            job.note(message, time: WallClock.milliseconds)
            guard job.status.notes.count < JobLimits.maxNotes, !job.status.notes.contains(message) else {
                continue
            }
            job.status.notes.append(message)
        }
        job.excludedWorkers = excluded
    }

    func failure(_ fault: TaskFault, of attempt: Attempt?, in job: ActiveJob) -> AttemptFailure {
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

    func commit(_ attempt: Attempt) {
        guard let output = results.removeValue(forKey: attempt.id), let job = active[attempt.job] else {
            return
        }
        let item = attempt.item
        compare(output, with: job.withdrawnRoots.removeValue(forKey: item), item, in: job)
        job.set(output, of: item)
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
        // It ends as failed in place of cancelled; what others may start now is started.
        apply(coordinator.cancel(job.number, now: now).filter { $0 != .end(job.number, .cancelled) })
        end(job, .failed(nil, reason: .fault(.userFunction(failure))))
    }

    /// The output of an attempt that came too late: it should be what is there already.
    func discard(_ attempt: Attempt) {
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

    func withdraw(_ item: WorkItem, of number: JobNumber) {
        guard let job = active[number], let output = job.outputs[item.stage][item.index] else { return }
        job.withdrawnRoots[item] = output.root
        job.set(nil, of: item)
        job.makers[item] = nil
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

extension TaskFault {
    /// The fault lies in a run that a merge or reduce read.
    var concernsInputRuns: Bool {
        switch self {
        case .mapOutputUnavailable, .malformedMapOutput: true
        default: false
        }
    }
}
