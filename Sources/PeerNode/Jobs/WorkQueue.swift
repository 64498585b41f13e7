import Synchronization

/// Work that the service hands to its child tasks, from the actor to the loop in `run()`.
///
/// Bounded by what makes it: one entry a slot, and a few for each of at most `JobLimits.maxActiveJobs` jobs.
final class WorkQueue<Work: Sendable>: Sendable {
    private struct State {
        var waiting: [Work] = []
        var isClosed = false
        var reader: CheckedContinuation<Work?, Never>?
    }

    private let state = Mutex(State())

    /// Adds work.
    ///
    /// - Returns: `false` when the queue is closed and the work dropped.
    @discardableResult
    func put(_ work: Work) -> Bool {
        let (isTaken, reader) = state.withLock { state -> (Bool, CheckedContinuation<Work?, Never>?) in
            guard !state.isClosed else { return (false, nil) }
            guard let reader = state.reader else {
                state.waiting.append(work)
                return (true, nil)
            }
            state.reader = nil
            return (true, reader)
        }
        reader?.resume(returning: work)
        return isTaken
    }

    /// Waits for the next work, or for the end (`nil`: closed and empty); one reader at a time.
    func next() async -> Work? {
        await withCheckedContinuation { continuation in
            let ready: Work?? = state.withLock { state in
                if !state.waiting.isEmpty { return .some(state.waiting.removeFirst()) }
                if state.isClosed { return .some(nil) }
                state.reader = continuation
                return nil
            }
            if let ready { continuation.resume(returning: ready) }
        }
    }

    /// Lets `next` return `nil` once the work at hand is taken.
    func close() {
        let reader = state.withLock { state in
            state.isClosed = true
            defer { state.reader = nil }
            return state.reader
        }
        reader?.resume(returning: nil)
    }
}
