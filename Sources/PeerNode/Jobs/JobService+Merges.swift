import Engines
import MRProtocol
import Multiformats

// Jobs whose runs may be merged in any order: other workers keep theirs in memory, merge them when the maps are done, and
// only what is left crosses the network.

/// The output of a map item that another worker keeps until it merges it.
struct KeptRun {
    var index: Int
    var run: RunReference
}

extension JobService {
    /// Whether another worker keeps the run of a map item until it merges it.
    ///
    /// A job that remembers outputs wants the first of them here.
    func isKept(_ job: ActiveJob, _ item: WorkItem) -> Bool {
        guard item.stage == 0, job.workersMerge else { return false }
        return !job.submission.usesRememberedOutputs
            || job.copiedRunByteCount >= ClusterLimits.smallShuffleByteCount
    }

    /// Makes sure that the runs of a reduce can be read: has workers merge what they keep.
    ///
    /// - Returns: `false` when they cannot; then the attempt has been given back, and lost outputs are made again.
    func gatherMergedRuns(for id: AttemptID, of job: ActiveJob, _ cluster: JobCluster) async -> Bool {
        guard let item = running[id]?.attempt.item else { return false }
        while job.merging == .running {
            await withCheckedContinuation { waiter in
                // Looked at again here: the task may have been queued anew on the way.
                if job.merging == .running { job.mergeWaiters.append(waiter) } else { waiter.resume() }
            }
        }
        // What is missing may be kept by a worker once it is made again, and is not merged yet then.
        guard job.runs(for: item) != nil else {
            giveBack(id)
            return false
        }
        if job.merging == .none {
            job.merging = .running
            let generation = job.inputGeneration
            let lost = await mergeKeptRuns(of: job, cluster)
            for waiter in job.mergeWaiters { waiter.resume() }
            job.mergeWaiters = []
            job.merging = lost.isEmpty && job.inputGeneration == generation ? .done : .none
            guard lost.isEmpty else {
                let fault = TaskFault.store("a worker could not merge its map outputs")
                attemptEnded(id, .failure(fault), lostInputs: lost)
                return false
            }
        }
        // An output may have been lost meanwhile: the job goes back to its maps.
        guard active[job.number] != nil, job.merging == .done, job.runs(for: item) != nil else {
            giveBack(id)
            return false
        }
        running[id]?.inputGeneration = job.inputGeneration
        return running[id] != nil
    }

    /// Has every worker merge what it keeps, and brings the merged runs here if they are small.
    ///
    /// - Returns: outputs that are lost, since their worker could not.
    private func mergeKeptRuns(of job: ActiveJob, _ cluster: JobCluster) async -> [Int] {
        let kept = keptRuns(of: job)
        guard !kept.isEmpty, let execution = job.planned?.execution else { return [] }
        var lost: [KeptRun] = []
        var merged: [(file: RunReference, items: [KeptRun])] = []
        await withTaskGroup(of: (PeerID, Result<RunReference, RemoteFailure>).self) { group in
            for (peer, items) in kept {
                let task = mergeTask(of: job, items.map(\.run), at: peer)
                group.addTask { (peer, await self.merge(task, at: peer)) }
            }
            for await (peer, outcome) in group {
                let items = kept[peer] ?? []
                switch outcome {
                case .success(let file): merged.append((file, items))
                case .failure(.lost(let reason)): workerLeft(peer, reason: reason)
                case .failure(.busy(let reason)), .failure(.notAllowed(let reason)):
                    job.workersMerge = false
                    job.note("\(peer) does not merge: \(reason)", time: WallClock.milliseconds)
                    lost += items
                case .failure(.task(let fault)):
                    lost += items
                    disown(peer, fault, in: job)
                }
            }
        }
        let runs = await gather(merged.map(\.file), of: job, execution, cluster)
        for (outcome, (file, items)) in zip(runs, merged) {
            let run: any RunBytes
            switch outcome {
            case .success(let good): run = good
            case .failure(let fault):
                lost += items
                if let peer = file.holder { disown(peer, fault, in: job) }
                continue
            }
            // Its worker may have been lost meanwhile, and the outputs with it.
            guard job.addMergedRun(run, of: items), run is StoredRun else { continue }
            for index in items.map(\.index) {
                coordinator.outputRecorded(WorkItem(stage: 0, index: index), of: job.number)
            }
        }
        return lost.filter(job.has).map(\.index)
    }

    /// A worker has not done what it should with the outputs that it kept.
    private func disown(_ peer: PeerID, _ fault: TaskFault, in job: ActiveJob) {
        job.note("\(peer) could not merge: \(fault.message)", time: WallClock.milliseconds)
        // Nobody is given a second chance to keep something.
        job.workersMerge = false
        guard let worker = workerIDs[peer] else { return }
        job.lastFaults[worker] = fault
        apply(coordinator.blame(worker, in: job.number, now: now))
    }

    /// Runs that workers keep and have not merged, in input order.
    private func keptRuns(of job: ActiveJob) -> [PeerID: [KeptRun]] {
        let merged = Set(job.mergedRuns.flatMap(\.items))
        var kept: [PeerID: [KeptRun]] = [:]
        for (index, output) in job.outputs[0].enumerated() where !merged.contains(index) {
            guard let run = output?.run as? RemoteRun, run.isKept, let peer = run.reference.holder else {
                continue
            }
            kept[peer, default: []].append(KeptRun(index: index, run: run.reference))
        }
        return kept
    }

    private func mergeTask(of job: ActiveJob, _ runs: [RunReference], at peer: PeerID) -> RemoteTask {
        mergeCount += 1
        // Above the numbers of the coordinator's attempts.
        let head = head(of: job, attempt: 1 << 63 | mergeCount)
        let files = runs.map { StoredFile(root: $0.root, byteCount: $0.byteCount, holders: [peer]) }
        return .merge(MergeTaskMessage(head: head, runs: files))
    }

    private func merge(_ task: RemoteTask, at peer: PeerID) async -> Result<RunReference, RemoteFailure> {
        guard let id = workerIDs[peer], let worker = workers[id]?.worker else {
            return .failure(.lost("it is gone"))
        }
        do throws(CallError) {
            let output = try await worker.run(task).receipt.output
            return .success(RunReference(root: output.root, byteCount: output.byteCount, holder: peer))
        } catch {
            return .failure(RemoteFailure(error))
        }
    }

    /// Merged runs, brought here when all of them together are small; else any worker may reduce.
    private func gather(
        _ files: [RunReference],
        of job: ActiveJob,
        _ execution: JobExecution,
        _ cluster: JobCluster
    ) async -> [Result<any RunBytes, TaskFault>] {
        var faults: [CID: TaskFault] = [:]
        let byteCount = files.reduce(UInt64(0)) { $0.addingClamped($1.byteCount) }
        let isSmall = byteCount <= ClusterLimits.smallShuffleByteCount
        if isSmall {
            let count = job.status.spec.reduceCount
            faults = await cluster.fetcher.fetchRuns(files, partitionCount: count, into: execution.ingest)
        } else if job.status.spec.reduceCount > 1 {
            apply(coordinator.openStage(job.outputs.count - 1, of: job.number, now: now))
        }
        return files.map { file in
            if let fault = faults[file.root] { return .failure(fault) }
            if isSmall {
                return .success(
                    StoredRun(root: file.root, byteCount: file.byteCount, store: execution.store)
                )
            }
            return .success(
                RemoteRun(file, store: storage.store, exchange: cluster.exchange, ingest: execution.ingest)
            )
        }
    }
}
