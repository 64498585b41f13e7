import Synchronization

/// How much memory the finished runs of a job may hold; what is over it goes to the store.
final class RunMemory: Sendable {
    private let used = Atomic<Int>(0)
    private let limit: Int

    init(limit: Int) { self.limit = limit }

    /// Takes `byteCount` bytes of the budget; `false` when there is no room for them.
    func reserve(_ byteCount: Int) -> Bool {
        let total = used.add(byteCount, ordering: .relaxed).newValue
        if total <= limit { return true }
        release(byteCount)
        return false
    }

    func release(_ byteCount: Int) { used.subtract(byteCount, ordering: .relaxed) }
}
