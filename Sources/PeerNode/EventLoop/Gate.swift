/// Lets one task wait until another says that something changed.
///
/// A change that nobody waits for is remembered.
@NetworkActor
final class Gate {
    private var waiter: UnsafeContinuation<Void, Never>?
    private var isOpen = false

    nonisolated init() {}

    /// Wakes the waiter, or the next one to come.
    func open() {
        guard let waiter else {
            isOpen = true
            return
        }
        self.waiter = nil
        waiter.resume()
    }

    /// Waits for `open()`.
    func wait() async {
        await withUnsafeContinuation { continuation in
            guard !isOpen else { return continuation.resume() }
            precondition(waiter == nil, "one task waits at a gate")
            waiter = continuation
        }
        isOpen = false
    }
}
