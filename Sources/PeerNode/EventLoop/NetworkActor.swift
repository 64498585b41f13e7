/// Isolates everything between sockets and streams to the event loop's thread.
///
/// One actor for all connections, so that a session, its streams and its socket call each other without suspending:
/// nothing can happen between a machine's transition and its effects.
@globalActor
package actor NetworkActor {
    package static let shared = NetworkActor()

    package nonisolated var unownedExecutor: UnownedSerialExecutor {
        EventLoop.shared.asUnownedSerialExecutor()
    }

    /// Calls `body` at a time, unless the timer is cancelled before.
    @NetworkActor
    static func schedule(
        after delay: Duration,
        _ body: @escaping @NetworkActor () -> Void
    ) -> TimerID {
        EventLoop.shared.schedule(at: .now + delay) { assumeIsolated(body) }
    }

    /// Cancels a timer, which may have fired already.
    @NetworkActor
    static func cancel(_ timer: TimerID?) {
        if let timer { EventLoop.shared.cancel(timer) }
    }

    /// Waits; a cancelled task waits on, so this is for short delays only.
    @NetworkActor
    static func sleep(_ delay: Duration) async {
        await withUnsafeContinuation { continuation in
            _ = schedule(after: delay) { continuation.resume() }
        }
    }

    /// Runs isolated code from a call that the event loop made on its thread.
    nonisolated static func assumeIsolated(_ body: @NetworkActor () -> Void) {
        EventLoop.shared.checkIsolated()
        withoutActuallyEscaping(body) { escaping in
            // The isolation is part of the type alone, and the thread was checked: as MainActor.assumeIsolated does it.
            unsafeBitCast(escaping, to: (() -> Void).self)()
        }
    }

    /// Runs isolated code soon, from any thread.
    nonisolated static func post(_ body: @escaping @Sendable @NetworkActor () -> Void) {
        EventLoop.shared.execute { assumeIsolated(body) }
    }
}
