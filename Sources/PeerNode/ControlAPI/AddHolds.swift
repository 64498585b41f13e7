internal import Glibc
internal import Synchronization

/// The adds that a `RemoteNode` holds, each by a connection of its own.
final class AddHolds: Sendable {
    private let holds = Mutex<[String: AddHold]>([:])

    func add(_ hold: AddHold, for session: AddSession) { holds.withLock { $0[session.id] = hold } }

    /// Lets an add's connection go.
    func end(_ session: AddSession) { holds.withLock { $0.removeValue(forKey: session.id) }?.end() }

    deinit { for hold in holds.withLock({ Array($0.values) }) { hold.end() } }
}

/// One connection that lasts as long as an add, on a thread of its own: it waits most of the time.
final class AddHold: Sendable {
    private let ended = Mutex(false)

    /// The add is over.
    var hasEnded: Bool { ended.withLock { $0 } }

    func end() { ended.withLock { $0 = true } }

    /// Runs `body` on a new thread; without one the add goes on, and ends by its idle limit.
    func start(_ body: @escaping @Sendable () -> Void) {
        var thread = pthread_t()
        let context = Unmanaged.passRetained(HoldBody(run: body))
        guard pthread_create(&thread, nil, runHold, context.toOpaque()) == 0 else { return context.release() }
        pthread_detach(thread)
    }
}

private final class HoldBody: Sendable {
    let run: @Sendable () -> Void
    init(run: @escaping @Sendable () -> Void) { self.run = run }
}

private func runHold(_ context: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let context else { return nil }
    Unmanaged<HoldBody>.fromOpaque(context).takeRetainedValue().run()
    return nil
}
