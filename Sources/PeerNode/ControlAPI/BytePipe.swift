internal import Glibc

/// A bounded pipe of bytes between two threads: what one side writes, the other reads, and a full pipe makes the
/// writer wait.
///
/// One side may be an event loop that must not block: it uses `offer` or `poll`, which never wait, and is woken
/// through `onSpace` or `onBytes`. The other side uses `write` or `read`, which do.
package final class BytePipe: @unchecked Sendable {
    // Unchecked: `state` is touched only while `mutex` is held; the callbacks are set before the pipe is shared.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    private let changed = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 1)
    private let state = State()
    private let onSpace: @Sendable () -> Void
    private let onBytes: @Sendable () -> Void

    /// Bytes above which a writer waits.
    package static let capacity = 1 << 20
    /// Longest wait for the other side, in seconds; after it the pipe breaks.
    package static let stallLimitSeconds = 60

    /// A class, so that no access to it spans a wait: another thread changes it meanwhile.
    private final class State {
        var chunks: [[UInt8]] = []
        var head = 0
        /// Bytes of the first chunk already read.
        var consumed = 0
        var byteCount = 0
        var end: End?
    }

    /// How a pipe ended.
    package enum End: Error, Equatable, Sendable {
        /// The writer wrote all it had.
        case finished
        /// One side gave up, and why.
        case broken(String)
    }

    /// An empty pipe; the callbacks run on the thread that made room or brought bytes.
    package init(
        onSpace: @escaping @Sendable () -> Void = {},
        onBytes: @escaping @Sendable () -> Void = {}
    ) {
        self.onSpace = onSpace
        self.onBytes = onBytes
        pthread_mutex_init(mutex, nil)
        var attributes = pthread_condattr_t()
        pthread_condattr_init(&attributes)
        pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC)
        pthread_cond_init(changed, &attributes)
        pthread_condattr_destroy(&attributes)
    }

    deinit {
        pthread_mutex_destroy(mutex)
        pthread_cond_destroy(changed)
        mutex.deallocate()
        changed.deallocate()
    }

    private func locked<Result>(_ body: (State) throws -> Result) rethrows -> Result {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        return try body(state)
    }

    // MARK: Writing

    /// Appends bytes without waiting; `false` says that the pipe is full now and the writer should pause.
    package func offer(_ bytes: [UInt8]) -> Bool {
        let room = locked { state in
            guard state.end == nil, !bytes.isEmpty else { return true }
            state.chunks.append(bytes)
            state.byteCount += bytes.count
            pthread_cond_broadcast(changed)
            return state.byteCount < BytePipe.capacity
        }
        onBytes()
        return room
    }

    /// Appends bytes, waiting while the pipe is full.
    ///
    /// - Throws: `End` when the reader gave up or read nothing for `stallLimitSeconds`.
    package func write(_ bytes: [UInt8]) throws {
        guard !bytes.isEmpty else { return }
        try locked { state in
            while state.end == nil, state.byteCount >= BytePipe.capacity {
                try wait(state, for: "the reader")
            }
            if let end = state.end { throw end }
            state.chunks.append(bytes)
            state.byteCount += bytes.count
            pthread_cond_broadcast(changed)
        }
        onBytes()
    }

    /// Whether a writer that paused may go on.
    package var hasRoom: Bool { locked { $0.byteCount < BytePipe.capacity } }

    /// Says that no more bytes follow.
    package func finish() { close(.finished) }

    /// Gives up; both sides see `reason`, bytes not read yet are dropped.
    package func fail(_ reason: String) { close(.broken(reason)) }

    private func close(_ end: End) {
        locked { state in
            guard state.end == nil else { return }
            state.end = end
            if end != .finished { state.chunks = []; state.head = 0; state.byteCount = 0 }
            pthread_cond_broadcast(changed)
        }
        onBytes()
        onSpace()
    }

    // MARK: Reading

    /// What a reader that does not wait gets.
    package enum Poll: Equatable {
        case bytes([UInt8])
        case nothingYet
        case ended(End)
    }

    /// Takes up to `limit` bytes without waiting.
    package func poll(upTo limit: Int) -> Poll {
        let (result, madeRoom) = locked { state -> (Poll, Bool) in
            if state.byteCount == 0 { return (state.end.map(Poll.ended) ?? .nothingYet, false) }
            let wasFull = state.byteCount >= BytePipe.capacity
            return (.bytes(take(state, upTo: limit)), wasFull && state.byteCount < BytePipe.capacity)
        }
        if madeRoom { onSpace() }
        return result
    }

    /// Takes up to `limit` bytes, waiting for the first.
    ///
    /// - Returns: an empty array at the end.
    /// - Throws: `End.broken` when the writer gave up or wrote nothing for `stallLimitSeconds`.
    package func read(upTo limit: Int, stallLimitSeconds: Int = BytePipe.stallLimitSeconds) throws -> [UInt8]
    {
        let (bytes, madeRoom) = try locked { state -> ([UInt8], Bool) in
            while state.byteCount == 0, state.end == nil {
                try wait(state, for: "the sender", seconds: stallLimitSeconds)
            }
            if state.byteCount == 0 {
                if let end = state.end, end != .finished { throw end }
                return ([], false)
            }
            let wasFull = state.byteCount >= BytePipe.capacity
            return (take(state, upTo: limit), wasFull && state.byteCount < BytePipe.capacity)
        }
        if madeRoom { onSpace() }
        return bytes
    }

    private func take(_ state: State, upTo limit: Int) -> [UInt8] {
        let chunk = state.chunks[state.head]
        let available = chunk.count - state.consumed
        let bytes =
            state.consumed == 0 && available <= limit
            ? chunk : Array(chunk[state.consumed..<(state.consumed + min(limit, available))])
        state.consumed += bytes.count
        state.byteCount -= bytes.count
        if state.consumed == chunk.count {
            state.chunks[state.head] = []
            state.head += 1
            state.consumed = 0
        }
        if state.head == state.chunks.count || state.head > 64 {
            state.chunks.removeFirst(state.head)
            state.head = 0
        }
        pthread_cond_broadcast(changed)
        return bytes
    }

    private func wait(
        _ state: State,
        for side: String,
        seconds: Int = BytePipe.stallLimitSeconds
    ) throws {
        var deadline = timespec()
        clock_gettime(CLOCK_MONOTONIC, &deadline)
        deadline.tv_sec += seconds
        guard pthread_cond_timedwait(changed, mutex, &deadline) == ETIMEDOUT else { return }
        let end = End.broken("\(side) did nothing for \(seconds) s")
        state.end = end
        throw end
    }
}
