import Glibc
import Synchronization

/// Lets a thread wait until a task has done something for it.
///
/// `@unchecked Sendable`: `state` is touched only with `mutex` held. A POSIX mutex because the thread waits on a
/// condition.
final class ThreadLatch: @unchecked Sendable {
    private enum State {
        case open
        case complete(ExchangeError?)
    }

    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let done = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private var state = State.open
    /// `complete` was called: the thread waits no more.
    let released = EndSignal()

    init() {
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(done, nil)
    }

    deinit {
        pthread_cond_destroy(done)
        pthread_mutex_destroy(mutex)
        done.deallocate()
        mutex.deallocate()
    }

    /// Lets the waiting thread go on, with an error or without; only the first call counts.
    func complete(_ error: ExchangeError?) {
        pthread_mutex_lock(mutex)
        if case .open = state { state = .complete(error) }
        pthread_cond_broadcast(done)
        pthread_mutex_unlock(mutex)
        released.end()
    }

    /// Blocks the thread until `complete` is called.
    func wait() throws(ExchangeError) {
        pthread_mutex_lock(mutex)
        var outcome = state
        while case .open = outcome {
            pthread_cond_wait(done, mutex)
            outcome = state
        }
        pthread_mutex_unlock(mutex)
        if case .complete(let error?) = outcome { throw error }
    }
}

/// Latches that threads wait at now, so that all of them can be freed when what they wait for will not come.
final class ThreadLatches: Sendable {
    private struct State {
        var open: [ObjectIdentifier: ThreadLatch] = [:]
        var end: ExchangeError?
    }

    private let state = Mutex(State())

    /// Adds a latch; after `end` it is complete at once.
    func add(_ latch: ThreadLatch) {
        let end = state.withLock { state in
            if state.end == nil { state.open[ObjectIdentifier(latch)] = latch }
            return state.end
        }
        if let end { latch.complete(end) }
    }

    func remove(_ latch: ThreadLatch) {
        state.withLock { _ = $0.open.removeValue(forKey: ObjectIdentifier(latch)) }
    }

    /// Frees every waiting thread, and those that come later, with `error`.
    func end(_ error: ExchangeError) {
        let waiting = state.withLock { state in
            defer { state.open = [:] }
            state.end = state.end ?? error
            return Array(state.open.values)
        }
        for latch in waiting { latch.complete(error) }
    }
}
