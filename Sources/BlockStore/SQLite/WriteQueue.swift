import Database
import Glibc

/// The one writer: a thread that runs queued jobs, several to a transaction.
///
/// Jobs keep their order. Those that wait together share one `BEGIN IMMEDIATE … COMMIT` (and its sync), each in a
/// savepoint of its own, so that the failure of one leaves the others. The thread starts with the first job.
final class WriteQueue: Sendable {
    /// Bytes of blocks that may wait; a producer that is faster than the disk waits then.
    static let maxQueuedByteCount = 16 << 20
    /// Bytes after which a transaction takes no further job.
    static let transactionByteCount = 16 << 20

    /// One unit of work, and its outcome.
    final class Job: @unchecked Sendable {
        let byteCount: Int
        let isDurable: Bool
        /// Runs by itself and outside of a transaction.
        let isMaintenance: Bool
        /// Runs on the writer's thread only, once.
        let perform: (Connection) throws -> Void
        // Guarded by the queue's monitor.
        fileprivate(set) var outcome: Result<Void, BlockStoreError>?

        init(
            byteCount: Int = 0,
            isDurable: Bool = false,
            isMaintenance: Bool = false,
            perform: @escaping (Connection) throws -> Void
        ) {
            self.byteCount = byteCount
            self.isDurable = isDurable
            self.isMaintenance = isMaintenance
            self.perform = perform
        }
    }

    private struct State {
        var jobs: [Job] = []
        var byteCount = 0
        var isClosing = false
        var thread: pthread_t?
        /// The connection that made or checked the tables, until the thread takes it over.
        ///
        /// Another would read the schema again, and closing this one would empty the log and remove it.
        var prepared: Connection?
    }

    private let path: String
    private let open: @Sendable (Connection?) throws -> Connection
    private let state: Monitor<State>

    /// - Parameters:
    ///   - path: the file, for messages.
    ///   - prepared: a connection that the first opening is given.
    ///   - open: makes the thread's connection, of `prepared` while that was given to none.
    init(
        path: String,
        prepared: Connection,
        open: @escaping @Sendable (Connection?) throws -> Connection
    ) {
        self.path = path
        self.open = open
        state = Monitor(State(prepared: prepared))
    }

    /// Bytes of blocks that wait or are being written.
    var queuedByteCount: Int { state.withLock { $0.byteCount } }

    /// Queues a job; waits while too many bytes are queued.
    func submit(_ job: Job) throws(BlockStoreError) {
        let accepted: Bool = state.wait { state in
            if state.isClosing { return false }
            if state.byteCount > Self.maxQueuedByteCount { return nil }
            state.jobs.append(job)
            state.byteCount += job.byteCount
            if state.thread == nil { state.thread = self.start() }
            return true
        }
        if !accepted { throw BlockStoreError(.closed, "the block store was closed before") }
    }

    /// Waits for a job that was queued.
    func wait(for job: Job) throws(BlockStoreError) { try result(of: job).get() }

    /// Waits for a job that was queued, and gives its outcome.
    func result(of job: Job) -> Result<Void, BlockStoreError> { state.wait { _ in job.outcome } }

    /// The outcome of a queued job if it is there already.
    func outcome(of job: Job) -> Result<Void, BlockStoreError>? { state.withLock { _ in job.outcome } }

    /// Runs `body` in a transaction and gives back what it returns.
    func run<T>(isDurable: Bool = false, _ body: @escaping (Connection) throws -> T) throws(BlockStoreError)
        -> T
    {
        var result: T?
        let job = Job(isDurable: isDurable) { result = try body($0) }
        try submit(job)
        try wait(for: job)
        guard let result else { throw BlockStoreError(.io, "a write ended without a result") }
        return result
    }

    /// Runs `body` outside of a transaction.
    func maintain(_ body: @escaping (Connection) throws -> Void) throws(BlockStoreError) {
        let job = Job(isMaintenance: true, perform: body)
        try submit(job)
        try wait(for: job)
    }

    /// Finishes what is queued and ends the thread.
    func close() {
        let thread: pthread_t? = state.withLock { state in
            state.isClosing = true
            defer { state.thread = nil }
            return state.thread
        }
        if let thread { pthread_join(thread, nil) }
        _ = takePrepared()
    }

    private func takePrepared() -> Connection? {
        state.withLock { state in
            defer { state.prepared = nil }
            return state.prepared
        }
    }

    private func start() -> pthread_t {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(self)
        let code = pthread_create(&thread, nil, writeQueueThread, context.toOpaque())
        precondition(code == 0, "no thread for the block store's writer: error \(code)")
        return thread
    }

    fileprivate func work() {
        var connection: Connection?
        while let group = nextGroup() {
            do {
                let open = try connection ?? self.open(takePrepared())
                connection = open
                try commit(group, open)
            } catch {
                connection?.rollback()
                let fault = BlockStoreError.from(error, path: path)
                settle(group, .failure(fault))
            }
        }
    }

    private func nextGroup() -> [Job]? {
        state.wait { state -> [Job]?? in
            guard let first = state.jobs.first else { return state.isClosing ? .some(nil) : nil }
            var byteCount = 0
            let end =
                state.jobs.dropFirst(first.isMaintenance ? 1 : 0).firstIndex { job in
                    if first.isMaintenance || job.isMaintenance { return true }
                    defer { byteCount += job.byteCount }
                    return byteCount > 0 && byteCount + job.byteCount > Self.transactionByteCount
                } ?? state.jobs.endIndex
            let group = Array(state.jobs[..<end])
            state.jobs.removeFirst(end)
            return .some(group)
        }
    }

    private func commit(_ group: [Job], _ connection: Connection) throws {
        if let job = group.first, job.isMaintenance {
            try job.perform(connection)
            return settle(group, .success(()))
        }
        let isDurable = group.contains { $0.isDurable }
        if isDurable { try connection.execute("PRAGMA synchronous = FULL") }
        try connection.run("BEGIN IMMEDIATE")
        var failures: [Int: BlockStoreError] = [:]
        for (index, job) in group.enumerated() {
            do {
                try perform(job, connection, alone: group.count == 1)
            } catch {
                // SQLite itself ends the transaction when the disk is full: then nothing of the group is in.
                guard connection.isInTransaction, group.count > 1 else { throw error }
                failures[index] = .from(error, path: path)
            }
        }
        try connection.run("COMMIT")
        if isDurable { try connection.execute("PRAGMA synchronous = NORMAL") }
        for (index, job) in group.enumerated() {
            settle([job], failures[index].map { .failure($0) } ?? .success(()))
        }
    }

    private func perform(_ job: Job, _ connection: Connection, alone: Bool) throws {
        guard !alone else { return try job.perform(connection) }
        try connection.run("SAVEPOINT job")
        do {
            try job.perform(connection)
            try connection.run("RELEASE job")
        } catch {
            if connection.isInTransaction { try connection.execute("ROLLBACK TO job; RELEASE job") }
            throw error
        }
    }

    private func settle(_ jobs: [Job], _ outcome: Result<Void, BlockStoreError>) {
        state.withLock { state in
            for job in jobs where job.outcome == nil {
                job.outcome = outcome
                state.byteCount -= job.byteCount
            }
        }
    }
}

/// Entry of the writer's thread: takes over the reference that `start` retained.
private func writeQueueThread(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    Unmanaged<WriteQueue>.fromOpaque(context).takeRetainedValue().work()
    return nil
}
