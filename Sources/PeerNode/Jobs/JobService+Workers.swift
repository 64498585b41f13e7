import BlockStore
import Engines
import MRProtocol
import Multiformats
import Synchronization

/// How the jobs of this node reach other nodes.
struct JobCluster: Sendable {
    let exchange: Exchange
    let fetcher: RunFetcher
    let inputs: InputFetcher

    init(exchange: Exchange, store: any BlockStore) {
        self.exchange = exchange
        fetcher = RunFetcher(store: store, exchange: exchange)
        inputs = InputFetcher(exchange: exchange)
    }
}

/// Another node that works for this one's jobs.
struct JoinedWorker: Sendable {
    var worker: MapReducePeer
    var slots: Int
    /// Engines that it runs for this node; `nil`: all.
    var engines: Set<String>?

    /// Whether it has what a job needs.
    func runs(_ engine: String) -> Bool { engines?.contains(engine) ?? true }
}

// MARK: - Workers that come and go

extension JobService {
    /// A node offers its slots.
    func workerJoined(_ worker: MapReducePeer, slots: Int, engines: Set<String>? = nil) {
        guard !isStopping else { return }
        let id = workerIDs[worker.peer] ?? WorkerID(workerIDs.count + 1)
        guard workers[id] != nil || workers.count < ClusterLimits.maxWorkers else { return }
        workerIDs[worker.peer] = id
        workers[id] = JoinedWorker(worker: worker, slots: slots, engines: engines)
        declining.remove(worker.peer)
        apply(coordinator.workerJoined(id, slots: slots, engines: engines, now: now))
    }

    /// A node is gone, with its attempts and with the runs that only it has.
    func workerLeft(_ peer: PeerID, reason: String) {
        guard let id = workerIDs[peer], workers.removeValue(forKey: id) != nil else { return }
        for job in active.values where job.remoteWorkers.contains(id) {
            job.note("lost worker \(peer): \(reason)", time: WallClock.milliseconds)
        }
        apply(coordinator.workerLost(id, now: now))
    }

    /// Workers that are not among the connected peers are gone.
    func dropWorkers(except connected: Set<PeerID>) {
        declining.formIntersection(connected)
        for peer in workers.values.map(\.worker.peer) where !connected.contains(peer) {
            workerLeft(peer, reason: "it disconnected")
        }
    }

    /// The engine that tasks of this program's jobs need, as calls name it.
    nonisolated var engineName: String { "built-in/\(engines.version)" }

    /// How far a job of this node is, for peers that ask.
    func statusMessage(ofJob cid: CID) -> JobStatusMessage? {
        guard let status = active.values.first(where: { $0.status.specCID == cid && !$0.isEnding })?.status
        else {
            return nil
        }
        var message = JobStatusMessage()
        message.state =
            switch status.state {
            case .queued: .waiting
            case .running: .running
            case .succeeded: .succeeded
            case .failed: .failed
            case .cancelled: .cancelled
            }
        message.taskCount = UInt32(clamping: status.map.total + status.merge.total + status.reduce.total)
        message.doneTaskCount = UInt32(clamping: status.map.done + status.merge.done + status.reduce.done)
        message.runningTaskCount = UInt32(
            clamping: status.map.running + status.merge.running + status.reduce.running
        )
        message.result = status.result
        return message
    }

    /// Tells a worker to stop an attempt.
    func cancel(_ attempt: UInt64, on worker: WorkerID) async {
        // A worker that cannot be told is lost, and its attempt with it.
        _ = try? await workers[worker]?.worker.cancel(attempt: attempt)
    }

    /// Lets a worker drop what it keeps for a job.
    func release(_ job: CID, on worker: WorkerID) async {
        guard !active.values.contains(where: { $0.status.specCID == job && !$0.isEnding }) else { return }
        // A worker that cannot be told drops it by itself after a while.
        _ = try? await workers[worker]?.worker.endJob(job)
    }

    /// Whether a peer works for this node now.
    func hasWorker(_ peer: PeerID) -> Bool { workerIDs[peer].map { workers[$0] != nil } ?? false }

    func name(of worker: WorkerID) -> String {
        if worker == JobService.selfWorker { return configuration.workerName }
        return workerIDs.first { $0.value == worker }?.key.description ?? "worker \(worker.number)"
    }

    func show(_ worker: WorkerID, in job: ActiveJob) {
        job.showWorker(worker, name: name(of: worker))
        guard worker != JobService.selfWorker else { return }
        job.remoteWorkers.insert(worker)
        if let note = job.loneNote {
            job.status.notes.removeAll { $0 == note }
            job.loneNote = nil
        }
    }
}

// MARK: - Planning

extension JobService {
    /// Plans a job; inner nodes that are not here are fetched first.
    func planFetchingNodes(_ job: ActiveJob) async -> PlanOutcome {
        let uses = job.submission.usesRememberedOutputs
        // Finer groups for more workers, but no finer than keeps most blocks of a group on one node.
        let slots = max(configuration.slots, coordinator.slotCount / 2)
        let spec = job.status.spec
        if job.functions == nil, !spec.userFunctions.isEmpty {
            do throws(TaskFault) { job.functions = try await loadFunctions(spec) } catch {
                return .failed(error)
            }
        }
        let functions = job.functions
        let outcome = await storage.plan(
            job.number,
            job.status,
            functions: functions,
            usesMemory: uses,
            slots: slots
        )
        guard case .failed(.blockUnavailable) = outcome, let cluster else { return outcome }
        job.note("fetching the structure of the inputs", time: WallClock.milliseconds)
        do throws(TaskFault) {
            let lease = try await storage.makePlanLease()
            job.planLease = lease
            defer {
                job.planLease = nil
                queue.put(.closeLease(lease))
            }
            try await cluster.inputs.fetchNodes(of: job.status.spec.inputs, into: lease)
            return await storage.plan(
                job.number,
                job.status,
                functions: functions,
                usesMemory: uses,
                slots: slots
            )
        } catch {
            return .failed(error)
        }
    }

    /// Who has which leaves; `nil`: the job stays here, for it is small and all here, or this node is alone for good.
    ///
    /// Workers that join later may get tasks of any other job, and fetch the blocks from here.
    func holders(of plan: MapPlan) async -> [WorkerID: [Bool]]? {
        guard let cluster else { return nil }
        let leaves = plan.files.flatMap(\.leaves).map(\.cid)
        // A store that cannot answer is met again by the attempts.
        guard let missing = try? await cluster.exchange.reader.missing(among: leaves).missing else {
            return nil
        }
        let isSmall = plan.byteCount < ClusterLimits.localJobByteCount
        if missing.isEmpty, isSmall { return nil }
        var holders: [WorkerID: [Bool]] = [:]
        let absent = Set(missing)
        holders[JobService.selfWorker] = leaves.map { !absent.contains($0) }
        await withTaskGroup(of: (WorkerID, [Bool]?).self) { group in
            for (id, joined) in workers {
                group.addTask {
                    // A worker that does not answer in time counts as holding nothing.
                    (
                        id,
                        try? await withTimeout(ClusterLimits.haveTimeout) {
                            try await joined.worker.have(leaves)
                        }
                    )
                }
            }
            for await (id, held) in group where held?.count == leaves.count { holders[id] = held }
        }
        return holders
    }
}

// MARK: - Attempts here whose inputs are elsewhere

extension JobService {
    /// Whether leaves of a map attempt, or runs of a reduce, are not here.
    func needsInputs(_ attempt: Attempt, of job: ActiveJob) -> Bool {
        guard cluster != nil, let plan = job.planned?.plan else { return false }
        guard attempt.item.stage == 0 else {
            return job.runs(for: attempt.item)?.contains { $0 is RemoteRun } ?? true
        }
        let leaves = plan.items[attempt.item.index].leaves
        return job.localLeafCount(leaves, of: JobService.selfWorker) < leaves.count
    }

    /// Fetches the inputs of an attempt while others run, then gives it to a slot.
    ///
    /// What cannot be had is left to the attempt, which meets it again and reports it.
    func fetchInputs(_ id: AttemptID) async {
        guard var request = running[id], let cluster, let job = active[request.attempt.job] else { return }
        switch request.work {
        case .map(let assignment):
            let leaves = assignment.segments.flatMap { $0.leaves + $0.lookahead.prefix(1) }.map(\.cid)
            let hints = hints(for: request.attempt.item, of: job)
            let report = try? await cluster.exchange.ensure(
                leaves,
                ingest: request.execution.ingest,
                options: FetchOptions(patience: ClusterLimits.inputPatience, holders: { _ in hints })
            )
            if let report {
                job.share(of: JobService.selfWorker) { share in
                    share.fetchedBlocks += report.fetchedBlockCount
                    share.fetchedBytes += report.fetchedByteCount
                }
            }
        case .reduce(let partition, _):
            guard await gatherMergedRuns(for: id, of: job, cluster) else { return }
            guard let runs = job.runs(for: request.attempt.item) else { return giveBack(id) }
            request.work = .reduce(partition: partition, runs)
            running[id]?.work = request.work
            let remote = runs.compactMap { ($0 as? RemoteRun)?.reference }
            await cluster.fetcher.prefetch(partition, of: remote, into: request.execution.ingest)
        case .merge: break
        }
        if !execute(request) { attemptEnded(id, .failure(.cancelled)) }
    }

    /// Peers that are likely to have the leaves of a map item.
    private func hints(for item: WorkItem, of job: ActiveJob) -> [PeerID] {
        guard let plan = job.planned?.plan, item.stage == 0 else { return [] }
        return job.holders(of: plan.items[item.index].leaves).compactMap { workers[$0]?.worker.peer }
    }
}

// MARK: - Attempts on other nodes

extension JobService {
    /// Has a worker execute an attempt, and takes in what it made.
    func sendAway(_ id: AttemptID) async {
        guard let request = running[id], let job = active[request.attempt.job], let cluster else { return }
        guard let worker = workers[request.attempt.worker]?.worker, !request.stop.isSet else {
            return attemptEnded(id, .failure(.cancelled))
        }
        if case .reduce = request.work, await !gatherMergedRuns(for: id, of: job, cluster) { return }
        do throws(RemoteFailure) {
            guard let task = try await remoteTask(request, of: job, cluster) else { return giveBack(id) }
            let output: Receipt
            let report = request.report
            do throws(CallError) {
                let counted = Mutex<UInt64>(0)
                let answer = try await worker.run(task) { total in
                    let step = counted.withLock { counted in
                        defer { counted = max(counted, total) }
                        return total - min(total, counted)
                    }
                    request.count(Int(clamping: step))
                }
                output = answer.receipt
                report.replace(with: answer.report)
            } catch {
                if case .failure(let failure) = error { report.replace(with: TaskReport(endOf: failure.log)) }
                throw RemoteFailure(error)
            }
            job.share(of: request.attempt.worker) { share in
                share.fetchedBlocks += Int(output.fetchedBlockCount)
                share.fetchedBytes.addClamped(output.fetchedByteCount)
            }
            let (taken, isHere) = try await take(output, from: worker.peer, for: request, of: job, cluster)
            attemptEnded(id, .success(taken), isRecorded: isHere)
        } catch {
            switch error {
            case .task(let fault): attemptEnded(id, .failure(fault))
            case .busy where request.stop.isSet: attemptEnded(id, .failure(.cancelled))
            case .busy(let reason): attemptBusy(id, reason)
            case .notAllowed(let reason): attemptRefused(id, reason)
            case .lost(let reason):
                // An attempt that went with an earlier loss says nothing of a worker that is back.
                if coordinator.isRunning(id) { workerLeft(worker.peer, reason: reason) }
                attemptEnded(id, .failure(.cancelled))
            }
        }
    }

    func head(of job: ActiveJob, attempt number: UInt64) -> TaskHead {
        TaskHead(
            job: job.status.specCID,
            spec: job.status.spec.encoded(),
            attempt: number,
            key: (0..<8).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) },
            engine: engineName(for: job.status.spec)
        )
    }

    /// What a worker is told to do; `nil` when the attempt has to wait for inputs after all.
    private func remoteTask(
        _ request: AttemptRequest,
        of job: ActiveJob,
        _ cluster: JobCluster
    ) async throws(RemoteFailure) -> RemoteTask? {
        let head = head(of: job, attempt: request.attempt.id.number)
        switch request.work {
        case .map(let assignment):
            return .map(
                MapTaskMessage(head: head, assignment: assignment, isMergedLater: request.keepsRun)
            )
        case .reduce(let partition, _):
            do throws(TaskFault) {
                let item = request.attempt.item
                try await shareRuns(for: item, of: job)
                // An output may have been lost meanwhile, or another merge be due.
                guard !request.stop.isSet,
                    running[request.attempt.id]?.inputGeneration == job.inputGeneration,
                    let runs = job.files(for: item, here: cluster.exchange.host.localPeer)
                else {
                    return nil
                }
                return .reduce(ReduceTaskMessage(head: head, partition: UInt32(partition), runs: runs))
            } catch {
                throw .task(error)
            }
        case .merge: throw .task(.store("merges are not sent away"))
        }
    }

    /// Makes files of the runs in memory that a reduce reads, so that its worker can fetch them.
    private func shareRuns(for item: WorkItem, of job: ActiveJob) async throws(TaskFault) {
        while job.sharing == .running {
            await withCheckedContinuation { waiter in
                // Looked at again here: the task may have been queued anew on the way.
                if job.sharing == .running { job.shareWaiters.append(waiter) } else { waiter.resume() }
            }
        }
        guard job.sharing == .none, job.runs(for: item) != nil else { return }
        guard let execution = job.planned?.execution else { return }
        job.sharing = .running
        let generation = job.inputGeneration
        var isDone = false
        defer {
            job.sharing = isDone && job.inputGeneration == generation ? .done : .none
            for waiter in job.shareWaiters { waiter.resume() }
            job.shareWaiters = []
        }
        let stage = item.stage - 1
        let inMemory = job.outputs[stage].enumerated().compactMap { index, output in
            (output?.run as? MemoryRun).map { (index: index, run: $0) }
        }
        let files = try await storage.share(inMemory.map(\.run), execution)
        for ((index, run), file) in zip(inMemory, files) {
            job.replace(run, of: WorkItem(stage: stage, index: index), by: file)
        }
        isDone = true
    }

    /// Takes in what a worker made: parts come here, small runs too, large ones stay where they are.
    private func take(
        _ receipt: Receipt,
        from peer: PeerID,
        for request: AttemptRequest,
        of job: ActiveJob,
        _ cluster: JobCluster
    ) async throws(RemoteFailure) -> (TaskOutput, isHere: Bool) {
        let file = RunReference(root: receipt.output.root, byteCount: receipt.output.byteCount, holder: peer)
        let execution = request.execution
        do throws(TaskFault) {
            if case .reduce = request.work {
                let part = try await cluster.fetcher.fetchPart(file, into: execution.ingest)
                return (TaskOutput(file: .part(part), counters: receipt.counters), true)
            }
            let lookahead = Int(receipt.lookaheadCount)
            if request.keepsRun {
                let run = RemoteRun(
                    file,
                    store: storage.store,
                    exchange: cluster.exchange,
                    ingest: execution.ingest,
                    isKept: true
                )
                return (
                    TaskOutput(file: .run(run), counters: receipt.counters, lookaheadCount: lookahead), false
                )
            }
            let isCopied =
                job.copiedRunByteCount.addingClamped(file.byteCount) <= ClusterLimits.smallShuffleByteCount
            guard isCopied else {
                let run = RemoteRun(
                    file,
                    store: storage.store,
                    exchange: cluster.exchange,
                    ingest: execution.ingest
                )
                if job.status.spec.reduceCount > 1 {
                    apply(coordinator.openStage(job.outputs.count - 1, of: job.number, now: now))
                }
                return (
                    TaskOutput(file: .run(run), counters: receipt.counters, lookaheadCount: lookahead), false
                )
            }
            job.copiedRunByteCount += file.byteCount
            try await cluster.fetcher.fetchRun(
                file,
                partitionCount: job.status.spec.reduceCount,
                into: execution.ingest
            )
            let run = StoredRun(root: file.root, byteCount: file.byteCount, store: execution.store)
            return (TaskOutput(file: .run(run), counters: receipt.counters, lookaheadCount: lookahead), true)
        } catch {
            throw .task(error)
        }
    }
}
