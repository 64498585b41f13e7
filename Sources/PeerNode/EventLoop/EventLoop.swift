import CLinux
import Glibc
import Synchronization

/// One thread that waits for sockets and timers by epoll and runs Swift jobs between.
///
/// As a `SerialExecutor` it isolates `NetworkActor`. As a `TaskExecutor` it is preferred by every task of the network:
/// a continuation resumes on the generic executor first, which without a preference is the default pool, two threads
/// away. A task without that preference may call isolated code, but is queued anew at each call, so no wait may rely on
/// a check made before it. Work that takes long belongs on a `ThreadExecutor`: while it runs here, no connection moves.
///
///     rounds: jobs ─► turns asked for ─► epoll (waits when neither is left) ─► turns of what is ready;
///             waiters and timers resume as jobs
package final class EventLoop: SerialExecutor, TaskExecutor {
    /// The loop of this process.
    package static let shared = EventLoop()

    /// Generations of jobs between two looks at the sockets.
    private static let maxGenerationCount = 8

    private let inbox = Mutex(Inbox())
    private let epoll: Int32
    private let wakeUp: Int32
    /// Touched on the loop's thread only.
    private let local: LoopState

    /// Jobs and calls from other threads.
    private struct Inbox {
        var jobs: [UnownedJob] = []
        var calls: [@Sendable () -> Void] = []
        var isSleeping = false
    }

    private init() {
        epoll = epoll_create1(Int32(EPOLL_CLOEXEC))
        wakeUp = eventfd(0, Int32(EFD_CLOEXEC) | Int32(EFD_NONBLOCK))
        precondition(epoll >= 0 && wakeUp >= 0, "the system gives no epoll or eventfd descriptor")
        local = LoopState()
        watch(wakeUp, token: 0, events: EPOLLIN.rawValue)
        startThread()
    }

    package func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        if local.isOnThread {
            local.jobs.append(job)
        } else {
            post { $0.jobs.append(job) }
        }
    }

    package func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    package func checkIsolated() {
        precondition(local.isOnThread, "this must run on the event loop's thread")
    }

    /// Runs a call on the loop's thread, from any thread; it must be short.
    package func execute(_ call: @escaping @Sendable () -> Void) {
        post { $0.calls.append(call) }
    }

    private func post(_ change: (inout Inbox) -> Void) {
        let mustWake = inbox.withLock { inbox in
            change(&inbox)
            defer { inbox.isSleeping = false }
            return inbox.isSleeping
        }
        if mustWake { _ = eventfd_write(wakeUp, 1) }
    }

    // MARK: For code on the loop's thread

    /// Calls `body` at a time, unless the timer is cancelled before; only on the loop's thread.
    func schedule(at deadline: ContinuousClock.Instant, _ body: @escaping () -> Void) -> TimerID {
        local.assertOnThread()
        return local.timers.add(deadline, body)
    }

    /// Cancels a timer that may have fired already; only on the loop's thread.
    func cancel(_ timer: TimerID) {
        local.assertOnThread()
        local.timers.cancel(timer)
    }

    /// Gives a client a turn when the round's jobs have run; only on the loop's thread.
    func giveTurn(to client: any LoopClient) {
        local.assertOnThread()
        local.clients.append(client)
    }

    /// Starts to report the readiness of a descriptor; only on the loop's thread.
    func register(_ readiness: Readiness, descriptor: Int32) {
        local.assertOnThread()
        local.lastToken += 1
        readiness.token = local.lastToken
        local.sources[readiness.token] = readiness
        let edges = EPOLLIN.rawValue | EPOLLOUT.rawValue | EPOLLRDHUP.rawValue | EPOLLET.rawValue
        watch(descriptor, token: readiness.token, events: edges)
    }

    /// Forgets a descriptor, which its owner closes then; only on the loop's thread.
    func unregister(_ readiness: Readiness) {
        local.assertOnThread()
        local.sources[readiness.token] = nil
    }

    private func watch(_ descriptor: Int32, token: UInt64, events: UInt32) {
        var event = epoll_event()
        event.events = events
        event.data.u64 = token
        let code = epoll_ctl(epoll, EPOLL_CTL_ADD, descriptor, &event)
        precondition(code == 0, "epoll refuses descriptor \(descriptor)")
    }

    // MARK: The thread

    private func startThread() {
        let context = Unmanaged.passRetained(self).toOpaque()
        var thread = pthread_t()
        let code = pthread_create(&thread, nil, eventLoopMain, context)
        precondition(code == 0, "the system gives no more threads (error \(code))")
        pthread_detach(thread)
    }

    fileprivate func run() -> Never {
        local.enterThread()
        let events = UnsafeMutableBufferPointer<epoll_event>.allocate(capacity: 256)
        while true {
            takeInbox()
            runJobs()
            giveTurns()
            let isIdle =
                local.jobs.isEmpty && local.clients.isEmpty
                && inbox.withLock { inbox in
                    inbox.isSleeping = inbox.jobs.isEmpty && inbox.calls.isEmpty
                    return inbox.isSleeping
                }
            let timeout = isIdle ? local.timers.millisecondsToNext(now: .now) : 0
            let count = epoll_wait(epoll, events.baseAddress, Int32(events.count), timeout)
            if isIdle { inbox.withLock { $0.isSleeping = false } }
            for event in events.prefix(Int(max(0, count))) { report(event) }
            for call in local.timers.takeDue(now: .now) { call() }
        }
    }

    private func takeInbox() {
        let (jobs, calls) = inbox.withLock { inbox -> ([UnownedJob], [@Sendable () -> Void]) in
            guard !inbox.jobs.isEmpty || !inbox.calls.isEmpty else { return ([], []) }
            defer {
                inbox.jobs.removeAll(keepingCapacity: true)
                inbox.calls.removeAll(keepingCapacity: true)
            }
            return (inbox.jobs, inbox.calls)
        }
        for call in calls { call() }
        local.jobs += jobs
    }

    /// Runs the jobs queued now, and those that they queue in turn, for some generations before the sockets are asked.
    private func runJobs() {
        let serial = asUnownedSerialExecutor()
        let task = asUnownedTaskExecutor()
        for _ in 0..<Self.maxGenerationCount where !local.jobs.isEmpty {
            swap(&local.jobs, &local.running)
            for job in local.running { job.runSynchronously(isolatedTo: serial, taskExecutor: task) }
            local.running.removeAll(keepingCapacity: true)
        }
    }

    /// A client that asks again in its turn gets the next one after a look at the sockets.
    private func giveTurns() {
        guard !local.clients.isEmpty else { return }
        swap(&local.clients, &local.served)
        NetworkActor.assumeIsolated {
            for client in local.served { client.takeTurn() }
        }
        local.served.removeAll(keepingCapacity: true)
    }

    private func report(_ event: epoll_event) {
        guard event.data.u64 != 0 else {
            var value: eventfd_t = 0
            _ = eventfd_read(wakeUp, &value)
            return
        }
        local.sources[event.data.u64]?.report(
            isReadable: event.events & (EPOLLIN.rawValue | EPOLLRDHUP.rawValue) != 0,
            isWritable: event.events & EPOLLOUT.rawValue != 0,
            hasEnded: event.events & (EPOLLRDHUP.rawValue | EPOLLHUP.rawValue | EPOLLERR.rawValue) != 0
        )
    }
}

/// What only the loop's thread touches.
///
/// `@unchecked Sendable`: every member but `isOnThread` is used on that thread alone, which the loop asserts.
private final class LoopState: @unchecked Sendable {
    var jobs: [UnownedJob] = []
    var running: [UnownedJob] = []
    /// Who asked for a turn, and who is being given one.
    var clients: [any LoopClient] = []
    var served: [any LoopClient] = []
    var timers = TimerQueue()
    var sources: [UInt64: Readiness] = [:]
    var lastToken: UInt64 = 0
    private let thread = Atomic<UInt>(0)

    func enterThread() {
        thread.store(UInt(pthread_self()), ordering: .relaxed)
    }

    /// Not inlined: `pthread_self` is declared constant, and a task may change threads between two calls.
    @inline(never)
    var isOnThread: Bool { thread.load(ordering: .relaxed) == UInt(pthread_self()) }

    func assertOnThread() {
        assert(isOnThread, "only the loop's own thread may do this")
    }
}

/// Signals stay with the main thread.
private func eventLoopMain(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    var signals = sigset_t()
    sigfillset(&signals)
    pthread_sigmask(SIG_SETMASK, &signals, nil)
    guard let context else { return nil }
    Unmanaged<EventLoop>.fromOpaque(context).takeRetainedValue().run()
}
