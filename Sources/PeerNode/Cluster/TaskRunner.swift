package import BlockStore
import Engines
package import MRProtocol
package import Multiformats
import Synchronization

/// Executes the tasks of other masters on this node's slots.
///
/// The inputs of an attempt are fetched while the attempts before it still run. What is fetched and what is made is
/// kept for the job until its master ends it, or gives no task for `ClusterLimits.idleJobLimit` and does not want it when asked.
package actor TaskRunner: WorkerDelegate {
    private struct JobKey: Hashable {
        var master: PeerID
        var job: CID
    }

    private struct AttemptKey: Hashable {
        var master: PeerID
        var attempt: UInt64
    }

    /// A job of another master, as far as this node works for it.
    ///
    /// `@unchecked Sendable`: what changes is touched on the actor alone.
    private final class HostedJob: @unchecked Sendable {
        let execution: JobExecution
        /// The lease of what was fetched; what was made is under the execution's.
        let inputs: Ingest
        let kept = KeptRuns()
        /// What its submitter asked for, and what of it the policy gives.
        let wantedLimits: TaskLimits
        var limits: TaskLimits
        var attemptCount = 0
        var functions = Functions.needed
        var functionWaiters: [CheckedContinuation<Void, Never>] = []
        var lastContact: ContinuousClock.Instant

        /// How far the user functions of the job are.
        enum Functions {
            case needed, loading, ready
        }

        init(execution: JobExecution, inputs: Ingest, wantedLimits: TaskLimits) {
            self.wantedLimits = wantedLimits
            limits = execution.spec.limits
            if execution.spec.userFunctions.isEmpty { functions = .ready }
            self.execution = execution
            self.inputs = inputs
            lastContact = .now
        }

        func isIdle(since limit: ContinuousClock.Instant) -> Bool { attemptCount == 0 && lastContact < limit }
    }

    private nonisolated let executor = ThreadExecutor()
    private let store: any BlockStore
    private let exchange: Exchange
    private let fetcher: RunFetcher
    private let service: JobService
    private let signer: ReceiptSigner
    private let agent: String
    private let isWanted: @Sendable (_ job: CID, _ master: PeerID) async -> Bool
    /// What the jobs of all masters may keep in memory together.
    private let memory: RunMemory
    private var jobs: [JobKey: HostedJob] = [:]
    private var attempts: [AttemptKey: StopFlag] = [:]
    private var attemptCounts: [PeerID: Int] = [:]
    private var lastNumber = 0
    private var isStopping = false

    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// A runner on the slots of `service`.
    ///
    /// `isWanted` asks a master whether a job is still running.
    package init(
        store: any BlockStore,
        exchange: Exchange,
        service: JobService,
        signer: ReceiptSigner,
        agent: String,
        isWanted: @escaping @Sendable (_ job: CID, _ master: PeerID) async -> Bool
    ) {
        self.isWanted = isWanted
        self.store = store
        self.exchange = exchange
        fetcher = RunFetcher(store: store, exchange: exchange)
        self.service = service
        self.signer = signer
        self.agent = agent
        memory = RunMemory(limit: service.configuration.memoryByteCount / 4)
    }

    /// Lets go of jobs whose master is gone, until the task is cancelled.
    package func run() async {
        // Cancelled: the loop ends.
        while (try? await Task.sleep(for: ClusterLimits.idleCheckInterval)) != nil {
            await releaseIdle(now: .now)
        }
        isStopping = true
        for stop in attempts.values { stop.set() }
    }

    /// Lets go of jobs that had no attempt for long and that their masters do not want any more.
    ///
    /// A straggler elsewhere may keep a job for hours in which this node has nothing to do but to hold what it made.
    package func releaseIdle(now: ContinuousClock.Instant) async {
        let limit = now - ClusterLimits.idleJobLimit
        let idle = jobs.filter { $0.value.isIdle(since: limit) }.keys
        // At once: one master that is slow to answer keeps no other's jobs.
        await withDiscardingTaskGroup { group in
            for key in idle {
                group.addTask {
                    let isWanted = await self.isWanted(key.job, key.master)
                    await self.took(isWanted, key, idleSince: limit, now: now)
                }
            }
        }
    }

    /// A master said whether it wants an idle job, which meanwhile may have been released or begun anew.
    private func took(
        _ isWanted: Bool,
        _ key: JobKey,
        idleSince limit: ContinuousClock.Instant,
        now: ContinuousClock.Instant
    ) {
        guard let job = jobs[key], job.isIdle(since: limit) else { return }
        if isWanted { job.lastContact = now } else { release(key) }
    }

    // MARK: Calls

    package func hello(to peer: PeerID) async -> HelloMessage {
        let grant = service.policy.grant(of: peer)
        let all = service.configuration.slots
        let slots = grant.engines.isEmpty ? 0 : min(all, grant.slots ?? all)
        return HelloMessage(
            agent: agent,
            engines: await service.engineNames(for: peer),
            slots: UInt32(clamping: slots),
            busySlots: UInt32(clamping: min(slots, service.pool.busyCount))
        )
    }

    package func run(
        _ task: RemoteTask,
        from master: PeerID,
        progress: @escaping @Sendable (_ byteCount: UInt64) -> Void
    ) async -> Result<TaskAnswer, CallError> {
        let key = AttemptKey(master: master, attempt: task.head.attempt)
        do throws(CallFailure) {
            try admitCaller(master)
            // What the system did not give once, it may give by now.
            if task.head.engine != service.engineName { _ = await service.library.sandboxState() }
            try check(task, key)
            let (job, grant) = try hostedJob(task.head, of: master)
            let stop = StopFlag()
            begin(key, stop, of: job)
            defer { end(key, of: job) }
            try await loadFunctions(of: job, for: master)
            return .success(try await run(task, job, grant, for: master, stop, progress))
        } catch {
            return .failure(.failure(error))
        }
    }

    package func cancel(attempt: UInt64, from master: PeerID) -> Bool {
        guard let stop = attempts[AttemptKey(master: master, attempt: attempt)] else { return false }
        stop.set()
        return true
    }

    package func endJob(_ job: CID, from master: PeerID) -> Bool {
        let key = JobKey(master: master, job: job)
        guard jobs[key] != nil else { return false }
        release(key)
        return true
    }

    package func status(ofJob job: CID) async -> JobStatusMessage? { await service.statusMessage(ofJob: job) }

    /// Ends the jobs that the policy, having changed, does not allow any more, and bounds the others anew.
    package func policyChanged() {
        for (key, job) in jobs {
            do throws(CallFailure) {
                bound(job, try admit(job.execution.spec, of: key.master))
            } catch {
                release(key)
            }
        }
    }

    /// Holds the next attempts of a job to the limits that its submitter has by now.
    private func bound(_ job: HostedJob, _ grant: PolicyGrant) {
        var wanted = job.execution.spec
        wanted.limits = job.wantedLimits
        let limits = grant.limits.boundingPeers(wanted)
        guard limits != job.limits else { return }
        job.limits = limits
        // Functions that are loading meet it when they are there.
        if job.functions == .ready, !job.execution.spec.userFunctions.isEmpty { job.functions = .needed }
    }

    // MARK: Admission

    /// Refuses who may run nothing, before anything of the task is looked at.
    private func admitCaller(_ master: PeerID) throws(CallFailure) {
        guard service.policy.grant(of: master).engines.isEmpty else { return }
        _ = try admit(nil, of: master)
    }

    private nonisolated func admit(_ spec: JobSpec?, of master: PeerID) throws(CallFailure) -> PolicyGrant {
        do throws(PolicyRefusal) { return try service.policy.admit(spec, from: master) } catch {
            throw CallFailure(.notAllowed, message: error.reason)
        }
    }

    private func check(_ task: RemoteTask, _ key: AttemptKey) throws(CallFailure) {
        guard !isStopping else { throw CallFailure(.busy, message: "this node is stopping") }
        guard service.engineNames.contains(task.head.engine) else {
            throw CallFailure(
                .unsupportedEngine,
                message: "this node runs \(service.engineName), the task needs \(task.head.engine)"
            )
        }
        let limit = service.configuration.slots * ClusterLimits.maxAttemptsPerSlotAndMaster
        guard attemptCounts[key.master, default: 0] < limit, attempts[key] == nil else {
            throw CallFailure(.busy, message: "\(limit) attempts of this master wait already")
        }
        guard case .map(let map) = task else { return }
        let leafCount = map.assignment.segments.reduce(0) { $0 + $1.leaves.count }
        guard leafCount <= ClusterLimits.maxLeavesPerAttempt else {
            throw CallFailure(
                .tooLarge,
                message: "an attempt has at most \(ClusterLimits.maxLeavesPerAttempt) leaves"
            )
        }
        let isWhole = map.assignment.segments.allSatisfy { segment in
            !segment.leaves.isEmpty
                && (segment.leaves + segment.lookahead).allSatisfy {
                    $0.byteCount <= BlockLimits.maxByteCount
                }
        }
        guard isWhole else {
            throw CallFailure(.malformed, message: "a segment has no leaves, or one over the limit")
        }
    }

    private func hostedJob(_ head: TaskHead, of master: PeerID) throws(CallFailure) -> (
        HostedJob, PolicyGrant
    ) {
        let key = JobKey(master: master, job: head.job)
        if let job = jobs[key] { return (job, try admit(job.execution.spec, of: master)) }
        let ofMaster = jobs.keys.count { $0.master == master }
        guard jobs.count < ClusterLimits.maxHostedJobs, ofMaster < ClusterLimits.maxHostedJobsPerMaster else {
            throw CallFailure(.busy, message: "this node works for \(jobs.count) jobs already")
        }
        var spec: JobSpec
        do throws(JobSpecFault) { spec = try JobSpec(decoding: head.spec) } catch {
            throw CallFailure(.malformed, message: "the specification cannot be read (\(error))")
        }
        guard 1...JobSpec.maxReduceCount ~= spec.reduceCount, spec.recordByteLimit > 0 else {
            throw CallFailure(.malformed, message: "the specification is out of bounds")
        }
        let grant = try admit(spec, of: master)
        let wantedLimits = spec.limits
        spec.limits = grant.limits.boundingPeers(spec)
        do {
            let inputs = try store.makeIngest()
            let options = FetchOptions(patience: ClusterLimits.inputPatience, holders: { _ in [master] })
            lastNumber -= 1  // numbers of this node's own jobs are positive
            let execution = JobExecution(
                number: JobNumber(lastNumber),
                spec: spec,
                engines: service.engines,
                store: FetchingStore(store, exchange: exchange, ingest: inputs, options: options),
                ingest: try store.makeIngest(),
                configuration: service.configuration,
                sharesRuns: true,
                memory: memory
            )
            let job = HostedJob(execution: execution, inputs: inputs, wantedLimits: wantedLimits)
            jobs[key] = job
            return (job, grant)
        } catch {
            throw CallFailure(TaskFault.store("\(error)"))
        }
    }

    /// Fetches and checks the user functions of a job, once for all of its attempts.
    private func loadFunctions(of job: HostedJob, for master: PeerID) async throws(CallFailure) {
        while job.functions == .loading {
            await withCheckedContinuation { waiter in
                // On the way here they may have come.
                if job.functions == .loading { job.functionWaiters.append(waiter) } else { waiter.resume() }
            }
        }
        guard job.functions == .needed else { return }
        job.functions = .loading
        var loaded: JobFunctions?
        var spec = job.execution.spec
        spec.limits = job.limits
        defer {
            job.functions = loaded == nil || spec.limits != job.limits ? .needed : .ready
            for waiter in job.functionWaiters { waiter.resume() }
            job.functionWaiters = []
        }
        do {
            loaded = try await service.library.load(spec, from: master)
            job.execution.adopt(loaded)
            if job.execution.isCancelled { loaded?.close() }
        } catch let fault as TaskFault {
            throw CallFailure(fault)
        } catch let refusal as PolicyRefusal {
            throw CallFailure(.notAllowed, message: refusal.reason)
        } catch {
            throw CallFailure(.busy, message: "\(error)")
        }
    }

    private func begin(_ key: AttemptKey, _ stop: StopFlag, of job: HostedJob) {
        attempts[key] = stop
        attemptCounts[key.master, default: 0] += 1
        job.attemptCount += 1
        job.lastContact = .now
    }

    private func end(_ key: AttemptKey, of job: HostedJob) {
        attempts[key] = nil
        attemptCounts[key.master, default: 0] -= 1
        if attemptCounts[key.master] == 0 { attemptCounts[key.master] = nil }
        job.attemptCount -= 1
        job.lastContact = .now
    }

    private func release(_ key: JobKey) {
        guard let job = jobs.removeValue(forKey: key) else { return }
        job.execution.cancel()
        // What cannot be released now is released with the process.
        try? job.inputs.close()
        try? job.execution.ingest.abandon()
    }

    // MARK: Execution

    private nonisolated func run(
        _ task: RemoteTask,
        _ job: HostedJob,
        _ grant: PolicyGrant,
        for master: PeerID,
        _ stop: StopFlag,
        _ progress: @escaping @Sendable (UInt64) -> Void
    ) async throws(CallFailure) -> TaskAnswer {
        let execution = job.execution
        let (work, report) = try await prepare(task, job, master)
        let keepsRun = if case .map(let map) = task { map.isMergedLater } else { false }
        let total = Mutex<UInt64>(0)
        let said = Mutex<AttemptReport?>(nil)
        let output: Result<TaskOutput, TaskFault> = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let end = OneAnswer(continuation)
                let request = AttemptRequest(
                    attempt: .remote,
                    execution: execution,
                    work: work,
                    stop: stop,
                    keepsRun: keepsRun,
                    master: master,
                    slotLimit: grant.slots,
                    progress: { count in
                        progress(
                            total.withLock {
                                $0 += UInt64(count); return $0
                            }
                        )
                    },
                    ended: { end.give($0) }
                )
                said.withLock { $0 = request.report }
                if !service.execute(request) { end.give(.failure(.cancelled)) }
            }
        } onCancel: {
            stop.set()
        }
        switch output {
        case .failure(let fault):
            // The policy may have changed meanwhile.
            if fault == .cancelled { _ = try admit(execution.spec, of: master) }
            var failure = CallFailure(fault)
            failure.log = said.withLock { $0 }?.content.log ?? []
            throw failure
        case .success(let made):
            if let run = made.run as? HeldRun { job.kept.add(run) }
            let receipt = try receipt(task, made, report, master)
            return TaskAnswer(receipt: receipt, report: said.withLock { $0 }?.content ?? TaskReport())
        }
    }

    /// Fetches what the attempt will read.
    ///
    /// What cannot be had is left to the attempt, which meets it again and says where it was needed.
    private nonisolated func prepare(
        _ task: RemoteTask,
        _ job: HostedJob,
        _ master: PeerID
    ) async throws(CallFailure) -> (AttemptRequest.Work, FetchReport) {
        let (execution, inputs, kept) = (job.execution, job.inputs, job.kept)
        switch task {
        case .map(let map):
            let leaves = map.assignment.segments.flatMap { $0.leaves + $0.lookahead.prefix(1) }.map(\.cid)
            let options = FetchOptions(patience: ClusterLimits.inputPatience, holders: { _ in [master] })
            let report = try? await exchange.ensure(leaves, ingest: inputs, options: options)
            return (.map(map.assignment), report ?? FetchReport())
        case .reduce(let reduce):
            let partition = Int(reduce.partition)
            guard partition < execution.spec.reduceCount else {
                throw CallFailure(.malformed, message: "there is no partition \(partition)")
            }
            let runs = reduce.runs.map(reference)
            await fetcher.prefetch(partition, of: runs, into: inputs)
            return (.reduce(partition: partition, runs.map { run(of: $0, execution, inputs) }), FetchReport())
        case .merge(let merge):
            let runs = merge.runs.map { kept.run($0.root) ?? run(of: reference($0), execution, inputs) }
            return (.merge(runs), FetchReport())
        }
    }

    private nonisolated func reference(_ file: StoredFile) -> RunReference {
        let holder = file.holders.first == signer.peer ? nil : file.holders.first
        return RunReference(root: file.root, byteCount: file.byteCount, holder: holder)
    }

    private nonisolated func run(of file: RunReference, _ execution: JobExecution, _ inputs: Ingest)
        -> any RunBytes
    {
        guard file.holder != nil else {
            return StoredRun(root: file.root, byteCount: file.byteCount, store: execution.store)
        }
        return RemoteRun(file, store: store, exchange: exchange, ingest: inputs)
    }

    private nonisolated func receipt(
        _ task: RemoteTask,
        _ made: TaskOutput,
        _ report: FetchReport,
        _ master: PeerID
    ) throws(CallFailure) -> [UInt8] {
        let file: StoredFile
        switch made.file {
        case .part(let part):
            file = StoredFile(root: part.cid, byteCount: part.fileByteCount, holders: [signer.peer])
        case .run(let run):
            guard let root = run.fileRoot else {
                throw CallFailure(.internal, message: "the run is not in the store")
            }
            file = StoredFile(root: root, byteCount: run.byteCount, holders: [signer.peer])
        }
        var receipt = Receipt(
            kind: task.kind,
            head: task.head,
            worker: signer.peer,
            master: master,
            output: file,
            lookaheadCount: UInt32(clamping: made.lookaheadCount),
            counters: made.counters
        )
        receipt.fetchedBlockCount = UInt32(clamping: report.fetchedBlockCount)
        receipt.fetchedByteCount = report.fetchedByteCount
        return receipt.sealed(publicKey: signer.publicKey, sign: signer.sign)
    }
}

extension Attempt {
    /// What an attempt of another master is called here.
    fileprivate static let remote = Attempt(
        id: AttemptID(0),
        job: JobNumber(0),
        item: WorkItem(stage: 0, index: 0),
        worker: WorkerID(0),
        number: 1,
        isLocal: false
    )
}

/// Runs of one job that are in memory until they are merged.
private final class KeptRuns: Sendable {
    private let runs = Mutex<[CID: HeldRun]>([:])

    func add(_ run: HeldRun) { runs.withLock { $0[run.root] = run } }
    func run(_ root: CID) -> (any RunBytes)? { runs.withLock { $0[root] } }
}

/// Resumes a continuation with the first of several answers.
private final class OneAnswer<Value: Sendable>: Sendable {
    private let waiter: Mutex<CheckedContinuation<Value, Never>?>

    init(_ continuation: CheckedContinuation<Value, Never>) { waiter = Mutex(continuation) }

    func give(_ value: Value) {
        let continuation = waiter.withLock { waiter in
            defer { waiter = nil }
            return waiter
        }
        continuation?.resume(returning: value)
    }
}
