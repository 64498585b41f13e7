internal import Synchronization

/// Threads for calls that block: SQLite, files, pipes.
///
/// They are kept when idle and bounded in number.
package final class WorkerThreads: Sendable {
    /// Most blocking calls at a time.
    package static let limit = 64

    private struct State {
        var idle: [ThreadExecutor] = []
        var count = 0
    }

    private let state = Mutex(State())

    /// No threads yet.
    package init() {}

    /// Runs `body` on a thread of its own and gives what it gives.
    ///
    /// - Throws: what `body` throws; `NodeError` with code `tooMuch` when all threads are taken.
    package func run<Value: Sendable>(_ body: @escaping @Sendable () throws -> Value) async throws -> Value {
        guard let executor = take() else {
            throw NodeError(
                .tooMuch,
                "this node is busy with \(WorkerThreads.limit) other requests; try again"
            )
        }
        defer { state.withLock { $0.idle.append(executor) } }
        return try await withTaskExecutorPreference(executor) { try await WorkerThreads.call(body) }
    }

    /// Not isolated, so that it runs on the preferred executor.
    private nonisolated static func call<Value: Sendable>(_ body: @Sendable () throws -> Value) async throws
        -> Value
    {
        try body()
    }

    private func take() -> ThreadExecutor? {
        state.withLock { state in
            if let executor = state.idle.popLast() { return executor }
            guard state.count < WorkerThreads.limit else { return nil }
            state.count += 1
            return ThreadExecutor()
        }
    }
}
