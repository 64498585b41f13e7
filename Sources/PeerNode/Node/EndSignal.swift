/// Says once that something is over, to one task that waits for it; any thread may say it.
final class EndSignal: Sendable {
    private let ends: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (ends, continuation) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// It is over; only the first call counts.
    func end() { continuation.finish() }

    /// Runs `body`, and cancels it when the end comes first; returns when `body` has ended.
    func cancelling(_ body: @escaping @Sendable () async -> Void) async {
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await body() }
            // Ends by the signal, or with the task.
            group.addTask { [ends] in for await _ in ends {} }
            await group.next()
            group.cancelAll()
        }
    }
}
