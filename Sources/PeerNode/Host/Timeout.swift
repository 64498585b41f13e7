import Synchronization

/// Something took longer than it may.
package struct TimeoutError: Error, Equatable, Sendable, CustomStringConvertible {
    /// How long it was allowed to take.
    package var limit: Duration

    /// One line for a log.
    package var description: String { "no answer within \(limit)" }
}

/// Runs `body`, which must end soon when its task is cancelled, for at most `limit`.
///
/// - Parameters:
///   - limit: the longest time.
///   - late: called when the time is over and before `body` is cancelled, to free it from what it waits for; what `body`
///     throws then is for that.
///   - body: what is to be done.
/// - Returns: what `body` returns.
/// - Throws: `TimeoutError`, and what `body` throws.
package func withTimeout<Value: Sendable>(
    _ limit: Duration,
    late: @escaping @Sendable () async -> Void = {},
    _ body: @escaping @Sendable () async throws -> Value
) async throws -> Value {
    let end = TimeLimit()
    return try await withThrowingTaskGroup(of: Value.self) { group in
        group.addTask {
            do { return try await body() } catch {
                throw end.isOver ? TimeoutError(limit: limit) : error
            }
        }
        group.addTask {
            try await Task.sleep(for: limit)
            end.pass()
            await late()
            throw TimeoutError(limit: limit)
        }
        defer { group.cancelAll() }
        guard let value = try await group.next() else { throw CancellationError() }
        return value
    }
}

/// Whether the time is over.
private final class TimeLimit: Sendable {
    private let over = Atomic<Bool>(false)
    var isOver: Bool { over.load(ordering: .acquiring) }
    func pass() { over.store(true, ordering: .releasing) }
}
