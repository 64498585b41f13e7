/// Runs work that comes up while its owner lives, as child tasks of the owner's `run()`.
///
/// What keeps the number of tasks bounded is the limit of what they serve: connections of a host, streams of a session.
@NetworkActor
final class TaskNursery {
    private var waiting: [@Sendable @NetworkActor () async -> Void] = []
    private let arrived = Gate()
    private var isClosed = false

    nonisolated init() {}

    /// Starts `work` as soon as `run()` gets to it; dropped after `close()`.
    func add(_ work: @escaping @Sendable @NetworkActor () async -> Void) {
        guard !isClosed else { return }
        waiting.append(work)
        arrived.open()
    }

    /// Takes no more work, and lets `run()` end once what it runs has ended.
    func close() {
        isClosed = true
        waiting = []
        arrived.open()
    }

    /// Owns the tasks until `close()`, which cancels them, and returns when all have ended.
    func run() async {
        await withDiscardingTaskGroup { group in
            while !isClosed {
                for work in take() { group.addTask(executorPreference: EventLoop.shared, operation: work) }
                if !isClosed { await arrived.wait() }
            }
            group.cancelAll()
        }
    }

    private func take() -> [@Sendable @NetworkActor () async -> Void] {
        defer { waiting = [] }
        return waiting
    }
}
