/// Runs MapReduce jobs of this node: takes submissions, plans, schedules, executes and records them.
///
/// Made with the node's block store: `JobService(store: any BlockStore, configuration: JobConfiguration)`.
/// `run()` owns every task and thread; the other calls may be made from any task, before or while it runs.
/// The same service serves the daemon and an embedded `peerctl`, which wraps its one job in
///
///     await withTaskGroup(of: Void.self) { group in
///         group.addTask { await service.run() }
///         let id = try await service.submit(submission)
///         for await status in try await service.updates(of: id) { show(status) }   // ends with the final status
///         await service.stop()
///     }
public actor JobService {
    private let executor = ThreadExecutor()

    /// Runs on a thread of its own: the coordinator answers at once, however busy the slots are.
    public nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// Executes jobs until `stop()` is called or the task is cancelled; resumes unfinished ones first when configured.
    public func run() async {}

    /// Lets running attempts end early and `run()` return; unfinished jobs can be resumed by the next process.
    public func stop() {}

    /// Accepts a job: checks functions and arguments, persists it, and queues it.
    ///
    /// - Throws: `JobServiceError.invalidJob`, `.tooManyJobs`, `.database`, `.stopped`.
    public func submit(_ submission: JobSubmission) async throws(JobServiceError) -> JobID {
        throw JobServiceError(.stopped, "not built yet")
    }

    /// Every job that is known, newest first; ended ones up to `JobLimits.maxEndedJobs`.
    public func jobs() async throws(JobServiceError) -> [JobStatus] { [] }

    /// The job's state now, or as it ended.
    ///
    /// - Throws: `JobServiceError.unknownJob`.
    public func status(of id: JobID) async throws(JobServiceError) -> JobStatus {
        throw JobServiceError(.unknownJob, "no job \(id)")
    }

    /// Ends a job without a result; returns when that is recorded.
    ///
    /// - Throws: `JobServiceError.unknownJob`, `.jobEnded`.
    public func cancel(_ id: JobID) async throws(JobServiceError) {}

    /// The job's log, oldest line first.
    ///
    /// - Throws: `JobServiceError.unknownJob`.
    public func log(of id: JobID) async throws(JobServiceError) -> [JobLogEntry] { [] }

    /// The job's status now and after each change (at most ten times a second); the last one is final.
    ///
    /// A slow reader misses intermediate states, never the last. Dropping the stream ends the watch.
    ///
    /// - Throws: `JobServiceError.unknownJob`, `.tooManyJobs` over `JobLimits.maxWatchers`.
    public func updates(of id: JobID) async throws(JobServiceError) -> AsyncStream<JobStatus> {
        AsyncStream { $0.finish() }
    }

    /// Waits for the end of a job.
    ///
    /// - Returns: its final status.
    /// - Throws: `JobServiceError.unknownJob`; `.stopped` when the service stops first.
    public func end(of id: JobID) async throws(JobServiceError) -> JobStatus {
        throw JobServiceError(.unknownJob, "no job \(id)")
    }
}
