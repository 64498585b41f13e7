import CLinux
import Glibc
import Synchronization

/// Turns SIGTERM and SIGINT into one event; the main thread waits for them, no handler runs anywhere.
final class DaemonSignals: Sendable {
    private let stream: AsyncStream<Void>
    private let arrived: AsyncStream<Void>.Continuation

    /// Keeps the signals for `watch`; made before any thread is started.
    init() {
        (stream, arrived) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        var signals = DaemonSignals.watched
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Waits on the main thread until another thread ends the process; a third signal ends it at once.
    func watch() -> Never {
        var signals = DaemonSignals.watched
        var count = 0
        while true {
            var received: Int32 = 0
            guard sigwait(&signals, &received) == 0 else { continue }
            if received == SIGALRM { _exit(0) }
            count += 1
            if count > 2 { _exit(128 + received) }
            arrived.yield()
        }
    }

    /// Returns when a signal has come, or the task is cancelled.
    func wait() async {
        for await _ in stream { return }
    }

    private static var watched: sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGALRM] { sigaddset(&signals, signal) }
        return signals
    }
}
