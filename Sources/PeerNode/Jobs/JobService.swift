public import BlockStore
import Engines
import MRProtocol
import Multiformats

/// Runs MapReduce jobs of this node: takes submissions, plans, schedules, executes and records them.
///
/// `run()` owns every task and thread; the other calls may be made from any task, before or while it runs. The same
/// service serves the daemon and an embedded `peerctl`, which wraps its one job in
///
///     await withTaskGroup(of: Void.self) { group in
///         group.addTask { await service.run() }
///         let id = try await service.submit(submission)
///         for await status in try await service.updates(of: id) { show(status) }   // ends with the final status
///         await service.stop()
///     }
///
/// Decisions are `JobCoordinator`'s; slow work is done by `JobStorage` and the slots of `WorkerPool`. What remains here is
/// to carry out actions and to keep the status of each job. docs/scheduling.md tells the whole story.
public actor JobService {
    /// Work for a child task of `run()`.
    enum Work: Sendable {
        case plan(JobNumber)
        case serve(Slot)
        case fetchInputs(AttemptID)
        case sendAway(AttemptID)
        case cancelRemote(UInt64, WorkerID)
        case endRemote(CID, WorkerID)
        case closeLease(Ingest)
        case finish(JobNumber)
        case end(JobNumber, TaskKey?)
        case remember(JobNumber)
        case forget([TaskKey])
        case wake(Duration)
        case tick
    }

    private let executor = ThreadExecutor()
    let configuration: JobConfiguration
    let engines: any JobEngines
    let storage: JobStorage
    /// Loads user functions.
    let library: FunctionLibrary
    let pool: WorkerPool
    let queue = WorkQueue<Work>()
    private let origin = ContinuousClock.now

    var coordinator = JobCoordinator()
    var active: [JobNumber: ActiveJob] = [:]
    var numbers: [JobID: JobNumber] = [:]
    var running: [AttemptID: AttemptRequest] = [:]
    var results: [AttemptID: TaskOutput] = [:]
    /// Ended jobs, kept here only when there is no `jobs.db`.
    var ended: [JobDatabase.Record] = []
    /// How this node reaches others; `nil`: it is alone.
    let cluster: JobCluster?
    /// Who may have this node run what.
    nonisolated let policy: PolicyGate
    var workers: [WorkerID: JoinedWorker] = [:]
    var workerIDs: [PeerID: WorkerID] = [:]
    /// Connected nodes that give this one no slots.
    var declining: Set<PeerID> = []
    var isStopping = false
    var isTicking = false
    private var jobCount = 0
    /// Merges asked of workers so far.
    var mergeCount: UInt64 = 0
    private var nextWatcher = 0
    private var wakeTime: Duration?
    private var lastIDTime: Int64 = 0

    /// This node as a worker.
    static let selfWorker = WorkerID(0)
    /// Longest name of a job, in UTF-8 bytes.
    public static let maxNameByteCount = 256

    /// Runs on a thread of its own: the coordinator answers at once, however busy the slots are.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Makes a service over the node's blocks; nothing is opened or started yet.
    ///
    /// - Precondition: `configuration.slots` is 1 … `JobLimits.maxSlots`.
    public init(store: any BlockStore, configuration: JobConfiguration) {
        self.init(store: store, configuration: configuration, engines: StandardEngines())
    }

    package init(
        store: any BlockStore,
        configuration: JobConfiguration,
        engines: any JobEngines,
        exchange: Exchange? = nil,
        policy: PolicyGate = PolicyGate(Policy(), inPrivateNetwork: false)
    ) {
        precondition(1...JobLimits.maxSlots ~= configuration.slots, "\(configuration.slots) slots")
        self.configuration = configuration
        self.engines = engines
        self.policy = policy
        cluster = exchange.map { JobCluster(exchange: $0, store: store) }
        storage = JobStorage(store: store, configuration: configuration, engines: engines, exchange: exchange)
        pool = WorkerPool(slotCount: configuration.slots)
        library = FunctionLibrary(
            store: store,
            exchange: exchange,
            workFolder: configuration.workFolderPath,
            homeFolder: configuration.homeFolderPath ?? "",
            gate: policy
        )
    }

    /// Time since the service was made.
    var now: Duration { origin.duration(to: .now) }

    /// Executes jobs until `stop()` is called or the task is cancelled; resumes unfinished ones first when configured.
    public func run() async {
        apply(coordinator.workerJoined(JobService.selfWorker, slots: configuration.slots, now: now))
        await withTaskCancellationHandler {
            await withDiscardingTaskGroup { group in
                group.addTask { [library] in await library.run() }
                if configuration.resumesJobs { await resumeJobs() }
                while let work = await queue.next() {
                    if case .serve(let slot) = work {
                        group.addTask(executorPreference: slot.executor) { await self.serve(slot) }
                    } else {
                        group.addTask { await self.perform(work) }
                    }
                }
                stop()
                group.cancelAll()
            }
        } onCancel: {
            queue.close()
        }
        for job in active.values { leave(job) }
    }

    /// Lets running attempts end early and `run()` return; unfinished jobs can be resumed by the next process.
    public func stop() {
        guard !isStopping else { return }
        isStopping = true
        for request in running.values { request.stop.set() }
        queue.close()
    }

    /// Accepts a job: checks functions and arguments, persists it, and queues it.
    ///
    /// - Throws: `JobServiceError.invalidJob`, `.notAllowed`, `.tooManyJobs`, `.database`, `.stopped`.
    public func submit(_ submission: JobSubmission) async throws(JobServiceError) -> JobID {
        guard !isStopping else { throw JobServiceError(.stopped, "the node is shutting down") }
        guard active.count < JobLimits.maxActiveJobs else {
            throw JobServiceError(
                .tooManyJobs,
                "\(active.count) jobs are waiting or running; wait for one to end or cancel one"
            )
        }
        try await storage.checkDatabase()
        let submission = try admitted(submission)
        try check(submission)
        let functions = try await functions(of: submission)
        guard !isStopping else { throw JobServiceError(.stopped, "the node is shutting down") }
        let id = makeID()
        var status = JobStatus(
            id: id,
            name: submission.name,
            spec: submission.spec,
            specCID: submission.spec.cid
        )
        status.submittedAt = WallClock.milliseconds
        status.functionNames = submission.functionNames
        let job = admit(submission, status)
        job.functions = functions
        if configuration.resumesJobs {
            do throws(JobServiceError) {
                try await storage.save(record(of: job))
            } catch {
                drop(job)
                throw error
            }
        }
        queue.put(.plan(job.number))
        return id
    }

    /// Every job that is known, newest first; ended ones up to `JobLimits.maxEndedJobs`.
    public func jobs() async throws(JobServiceError) -> [JobStatus] {
        let kept = try await storage.jobs() + ended
        let waits = await waits()
        let current = active.values.map { snapshot(of: $0, waits) }
        let known = Set(current.map(\.id))
        return (current + kept.map(\.status).filter { !known.contains($0.id) }).sorted { $1.id < $0.id }
    }

    /// The job's state now, or as it ended.
    ///
    /// - Throws: `JobServiceError.unknownJob`.
    public func status(of id: JobID) async throws(JobServiceError) -> JobStatus {
        let waits = await waits()
        if let job = activeJob(id) { return snapshot(of: job, waits) }
        return try await endedJob(id).status
    }

    /// Ends a job without a result; returns when that is recorded.
    ///
    /// A job that a daemon left and that nobody runs now is only marked: the next daemon does not take it up.
    ///
    /// - Throws: `JobServiceError.unknownJob`, `.jobEnded`, `.database`.
    public func cancel(_ id: JobID) async throws(JobServiceError) {
        guard let job = try await unfinishedJob(id), !job.isEnding else { return try await cancelLeft(id) }
        let actions = coordinator.cancel(job.number, now: now)
        if actions.isEmpty { end(job, .cancelled) } else { apply(actions) }
        guard active[job.number] != nil else { return }
        await waitForEnd(of: job)
    }

    /// Marks an unfinished job that this process does not run as cancelled.
    ///
    /// Nobody else runs it: daemons alone write unfinished jobs down, and a daemon has its home to itself.
    private func cancelLeft(_ id: JobID) async throws(JobServiceError) {
        let status = try await status(of: id)
        guard !status.state.isFinal, activeJob(id) == nil, !configuration.resumesJobs else {
            throw JobServiceError(.jobEnded, "job \(id) has ended: \(status.state.rawValue)")
        }
        var record = try await endedJob(id)
        record.status.state = .cancelled
        record.status.result = nil
        record.status.endedAt = WallClock.milliseconds
        record.log.append(JobLogEntry(time: WallClock.milliseconds, message: JobState.cancelled.rawValue))
        try await storage.save(record)
    }

    /// The job's log, oldest line first.
    ///
    /// - Throws: `JobServiceError.unknownJob`.
    public func log(of id: JobID) async throws(JobServiceError) -> [JobLogEntry] {
        if let job = activeJob(id) { return job.log }
        return try await endedJob(id).log
    }

    /// The job's status now and after each change (at most ten times a second); the last one is final.
    ///
    /// A slow reader misses intermediate states, never the last. Dropping the stream ends the watch. When the service
    /// stops first, the stream ends without a final status.
    ///
    /// - Throws: `JobServiceError.unknownJob`, `.tooManyJobs` over `JobLimits.maxWatchers`.
    public func updates(of id: JobID) async throws(JobServiceError) -> AsyncStream<JobStatus> {
        let waits = await waits()
        let (stream, continuation) = AsyncStream.makeStream(
            of: JobStatus.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        guard let job = try await unfinishedJob(id) else {
            continuation.yield(try await endedJob(id).status)
            continuation.finish()
            return stream
        }
        guard job.watchers.count < JobLimits.maxWatchers else {
            throw JobServiceError(.tooManyJobs, "job \(id) has \(job.watchers.count) watchers already")
        }
        let watcher = nextWatcher
        nextWatcher += 1
        job.watchers[watcher] = continuation
        continuation.yield(snapshot(of: job, waits))
        if !isTicking {
            isTicking = true
            queue.put(.tick)
        }
        return stream
    }

    /// Waits for the end of a job.
    ///
    /// - Returns: its final status.
    /// - Throws: `JobServiceError.unknownJob`; `.stopped` when the service stops first.
    public func end(of id: JobID) async throws(JobServiceError) -> JobStatus {
        if let job = try await unfinishedJob(id) {
            await waitForEnd(of: job)
            if job.status.state.isFinal { return job.status }
            throw JobServiceError(.stopped, "the node stopped before job \(id) ended")
        }
        return try await endedJob(id).status
    }
}

// MARK: - Submissions

extension JobService {
    private func check(_ submission: JobSubmission) throws(JobServiceError) {
        let spec = submission.spec
        guard 1...JobSpec.maxReduceCount ~= spec.reduceCount else {
            throw JobServiceError(
                .invalidJob,
                "\(spec.reduceCount) reduces; choose 1 to \(JobSpec.maxReduceCount)"
            )
        }
        guard !spec.inputs.isEmpty else { throw JobServiceError(.invalidJob, "a job needs an input") }
        guard spec.recordByteLimit > 0 else {
            throw JobServiceError(.invalidJob, "the record limit must be positive")
        }
        if let field = spec.fieldOverLimit {
            throw JobServiceError(
                .invalidJob,
                "\(field) of the job is over a limit or names something unsafe"
            )
        }
        guard submission.name.utf8.count <= JobService.maxNameByteCount else {
            throw JobServiceError(.invalidJob, "the name has more than \(JobService.maxNameByteCount) bytes")
        }
        guard spec.userFunctions.isEmpty else { return try checkNames(submission.functionNames) }
        do throws(TaskFault) {
            _ = try engines.make(spec, functions: nil)
        } catch {
            throw JobServiceError(.invalidJob, error.message)
        }
    }

    private func admit(_ submission: JobSubmission, _ status: JobStatus) -> ActiveJob {
        jobCount += 1
        let number = JobNumber(jobCount)
        let job = ActiveJob(number: number, submission: submission, status: status, now: now)
        job.note("submitted: \(status.specCID)", time: WallClock.milliseconds)
        active[number] = job
        numbers[status.id] = number
        return job
    }

    private func resumeJobs() async {
        await storage.removeStrayPins()
        let records: [JobDatabase.Record]
        do throws(JobServiceError) { records = try await storage.unfinishedJobs() } catch { return }
        for record in records { resume(record) }
    }

    /// Takes up a job that another process left unfinished.
    private func resume(_ record: JobDatabase.Record) {
        guard numbers[record.status.id] == nil, active.count < JobLimits.maxActiveJobs else { return }
        let kept = record.status
        var status = JobStatus(id: kept.id, name: kept.name, spec: kept.spec, specCID: kept.specCID)
        status.submittedAt = kept.submittedAt
        let submission = JobSubmission(
            spec: kept.spec,
            name: kept.name,
            usesRememberedOutputs: record.usesRememberedOutputs,
            functionNames: kept.functionNames
        )
        status.functionNames = kept.functionNames
        let job = admit(submission, status)
        job.log = record.log
        job.note("resumed after a restart", time: WallClock.milliseconds)
        queue.put(.plan(job.number))
    }

    /// The job if it has not ended; one that `run()` is about to resume is resumed now.
    private func unfinishedJob(_ id: JobID) async throws(JobServiceError) -> ActiveJob? {
        if let job = activeJob(id) { return job }
        guard configuration.resumesJobs, !isStopping else { return nil }
        if let record = try await storage.job(id), !record.status.state.isFinal { resume(record) }
        return activeJob(id)
    }

    /// Times first, so that ids sort by submission.
    private func makeID() -> JobID {
        lastIDTime = max(lastIDTime + 1, WallClock.milliseconds)
        return JobID(milliseconds: lastIDTime, randomness: UInt32.random(in: 0...UInt32.max))
    }

    private func waitForEnd(of job: ActiveJob) async {
        await withCheckedContinuation { waiter in
            // Looked at again here: the task may have been queued anew on the way.
            if active[job.number] != nil { job.endWaiters.append(waiter) } else { waiter.resume() }
        }
    }

    func activeJob(_ id: JobID) -> ActiveJob? { numbers[id].flatMap { active[$0] } }

    private func endedJob(_ id: JobID) async throws(JobServiceError) -> JobDatabase.Record {
        if let record = ended.first(where: { $0.status.id == id }) { return record }
        if let record = try await storage.job(id) { return record }
        throw JobServiceError(.unknownJob, "there is no job \(id); `peerctl jobs` lists them")
    }

    func record(of job: ActiveJob) -> JobDatabase.Record {
        JobDatabase.Record(
            status: job.status,
            usesRememberedOutputs: job.submission.usesRememberedOutputs,
            log: job.log
        )
    }

    func drop(_ job: ActiveJob) {
        active[job.number] = nil
        numbers[job.status.id] = nil
    }

    /// The service stops before the job has ended.
    private func leave(_ job: ActiveJob) {
        for watcher in job.watchers.values { watcher.finish() }
        for waiter in job.endWaiters { waiter.resume() }
        job.endWaiters = []
        job.functions?.close()
    }
}

// MARK: - Time

extension JobService {
    /// Asks to be woken for the coordinator's next deadline.
    func scheduleWake() {
        guard let deadline = coordinator.nextDeadline(after: now), !isStopping else { return }
        if let wakeTime, wakeTime <= deadline { return }
        wakeTime = deadline
        queue.put(.wake(deadline))
    }

    func wake(at time: Duration) async {
        // A cancelled sleep means that the service stops: nothing is due any more.
        guard (try? await Task.sleep(for: max(.zero, time - now))) != nil, !isStopping else { return }
        // What came earlier has asked for this time again, if it is still one.
        guard wakeTime == time else { return }
        wakeTime = nil
        apply(coordinator.deadlineReached(now: now))
    }

    /// Shows watchers what has changed, ten times a second while there are any.
    func tick() async {
        while !isStopping, active.values.contains(where: { !$0.watchers.isEmpty }) {
            guard (try? await Task.sleep(for: JobService.publishInterval)) != nil else { break }
            let waits = await waits()
            for job in active.values where !job.watchers.isEmpty { publish(job, waits) }
        }
        isTicking = false
    }

    static let publishInterval = Duration.milliseconds(100)

    func publish(_ job: ActiveJob, _ waits: [ObjectIdentifier: FetchWait] = [:]) {
        let status = snapshot(of: job, waits)
        for (number, watcher) in job.watchers {
            if case .terminated = watcher.yield(status) { job.watchers[number] = nil }
        }
    }
}
