import CLinux
import Glibc

/// Runs Swift jobs one after another on one POSIX thread of its own.
///
/// Blocking work (SQLite, hashing, map, reduce) belongs here and never on the default pool, whose few threads it
/// would stop (FACTS, Concurrency). As a `SerialExecutor` it isolates an actor; as a `TaskExecutor` it is where child
/// tasks with `executorPreference` run. The thread starts with the first job, so an executor that is never used costs
/// nothing; it ends after the last job when the executor is released.
///
/// The executor must outlive every task that prefers it.
public final class ThreadExecutor: SerialExecutor, TaskExecutor {
    private let queue: JobQueue

    /// Makes an executor; its thread is not started yet.
    public init() { queue = JobQueue() }

    deinit { queue.close() }

    /// Queues `job` for the thread, in order of arrival.
    public func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        if queue.append(unowned) { startThread() }
    }

    /// The reference that actors hand to the runtime.
    public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    private func startThread() {
        let body = ThreadBody(
            queue: queue,
            serial: asUnownedSerialExecutor(),
            task: asUnownedTaskExecutor()
        )
        let context = Unmanaged.passRetained(body).toOpaque()
        var thread = pthread_t()
        let code = pthread_create(&thread, nil, threadMain, context)
        precondition(code == 0, "the system gives no more threads (error \(code))")
        pthread_detach(thread)
    }
}

/// What the thread needs, apart from the executor itself, so that the executor can be released.
private final class ThreadBody {
    let queue: JobQueue
    let serial: UnownedSerialExecutor
    let task: UnownedTaskExecutor

    init(queue: JobQueue, serial: UnownedSerialExecutor, task: UnownedTaskExecutor) {
        self.queue = queue
        self.serial = serial
        self.task = task
    }

    func run() {
        while let job = queue.next() {
            job.runSynchronously(isolatedTo: serial, taskExecutor: task)
        }
    }
}

/// Signals stay with the main thread: a handler must not interrupt a map function.
private func threadMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    var signals = sigset_t()
    sigfillset(&signals)
    pthread_sigmask(SIG_SETMASK, &signals, nil)
    if let context { Unmanaged<ThreadBody>.fromOpaque(context).takeRetainedValue().run() }
    return nil
}

/// Jobs waiting for the thread.
///
/// `@unchecked Sendable`: `jobs`, `head`, `isStarted` and `isClosed` are touched only with `mutex` held. A POSIX mutex because the
/// thread waits on a condition, which `Synchronization.Mutex` does not offer.
private final class JobQueue: @unchecked Sendable {
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let arrived = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var jobs: [UnownedJob] = []
    private var head = 0
    private var isStarted = false
    private var isClosed = false

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(arrived, nil)
    }

    deinit {
        pthread_cond_destroy(arrived)
        pthread_mutex_destroy(mutex)
        arrived.deallocate()
        mutex.deallocate()
    }

    /// Adds a job; `true` for the first one ever, which starts the thread.
    func append(_ job: UnownedJob) -> Bool {
        pthread_mutex_lock(mutex)
        jobs.append(job)
        let isFirst = !isStarted
        isStarted = true
        pthread_cond_signal(arrived)
        pthread_mutex_unlock(mutex)
        return isFirst
    }

    /// Waits for a job; `nil` when the queue is closed and empty.
    func next() -> UnownedJob? {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        while head == jobs.count {
            if isClosed { return nil }
            pthread_cond_wait(arrived, mutex)
        }
        let job = jobs[head]
        head += 1
        if head == jobs.count {
            jobs.removeAll(keepingCapacity: true)
            head = 0
        }
        return job
    }

    func close() {
        pthread_mutex_lock(mutex)
        isClosed = true
        pthread_cond_signal(arrived)
        pthread_mutex_unlock(mutex)
    }
}
