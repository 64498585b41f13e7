import CLinux
import Glibc
import PeerNode
import Synchronization

/// What one run of the command shares: its streams, its signals, what it waits for and when it must be done.
final class Session: Sendable {
    /// Seconds of waiting after which it is said what for.
    static let noticeSeconds = 2
    /// Milliseconds between looks at what is waited for.
    static let tickMilliseconds = 200
    /// Longest wait for tidying up after Ctrl-C, in seconds.
    static let graceSeconds = 5

    let streams = StandardStreams()

    private struct State: Sendable {
        var waitsFor: String?
        var waitsSince: Int64 = 0
        var deadline: Int64?
        var timeout = ""
        var isInterrupted = false
        var exitCode: Int32 = 0
        var onInterrupt: (@Sendable () async -> InterruptReply)?
    }

    /// What Ctrl-C comes to.
    enum InterruptReply: Sendable {
        case leave(Int32)
        case goOn
    }

    private let state = Mutex(State())

    // MARK: What commands say

    /// Whether the user asked to stop.
    var isInterrupted: Bool { state.withLock { $0.isInterrupted } }

    /// The exit code of a command that did what it could.
    var exitCode: Int32 {
        get { state.withLock { $0.exitCode } }
        set { state.withLock { $0.exitCode = newValue } }
    }

    /// Says on stderr what went wrong: in one line, with details such as a function's stack below it.
    func fail(_ message: String) {
        streams.flush()
        streams.note("peerctl: \(message)")
    }

    /// Names what `body` may wait for, to be told to the user when it takes long.
    func waiting<Value>(for what: String, _ body: () async throws -> Value) async throws -> Value {
        state.withLock {
            $0.waitsFor = what; $0.waitsSince = Session.monotonic()
        }
        defer { state.withLock { $0.waitsFor = nil } }
        return try await body()
    }

    /// Says what Ctrl-C does from now on.
    func onInterrupt(_ reply: (@Sendable () async -> InterruptReply)?) {
        state.withLock { $0.onInterrupt = reply }
    }

    /// Starts the clock of `--timeout`.
    func setTimeout(_ call: Invocation) throws(UsageError) {
        guard let text = call.arguments.value("timeout") else { return }
        guard let duration = DurationText.parse(text) else {
            throw UsageError("--timeout is a duration such as 30s or 5m, not «\(text)»")
        }
        let milliseconds =
            duration.components.seconds * 1000 + duration.components.attoseconds / 1_000_000_000_000_000
        state.withLock {
            $0.deadline = Session.monotonic() + milliseconds; $0.timeout = text
        }
        wake(inMilliseconds: max(milliseconds, 1))
    }

    /// Has the kernel end the wait of `watch` when the deadline is there.
    private func wake(inMilliseconds milliseconds: Int64) {
        var timer = itimerval()
        timer.it_value.tv_sec = Int(milliseconds / 1000)
        timer.it_value.tv_usec = Int(milliseconds % 1000) * 1000
        setitimer(Int32(bitPattern: ITIMER_REAL.rawValue), &timer, nil)
    }

    // MARK: The main thread

    /// Keeps signals for `watch`; called before any thread is started.
    func blockSignals() {
        var signals = Session.watched
        pthread_sigmask(SIG_BLOCK, &signals, nil)
        signal(SIGPIPE, SIG_IGN)
    }

    /// Waits for signals and time until another thread ends the process.
    func watch() -> Never {
        var signals = Session.watched
        while true {
            var pause = timespec(tv_sec: 0, tv_nsec: Session.tickMilliseconds * 1_000_000)
            let received = sigtimedwait(&signals, nil, &pause)
            if received == SIGINT || received == SIGTERM { interrupt(received) }
            tick()
        }
    }

    private static var watched: sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGINT)
        sigaddset(&signals, SIGTERM)
        sigaddset(&signals, SIGALRM)
        return signals
    }

    private func interrupt(_ signal: Int32) {
        let code: Int32 = 128 + signal
        let (reply, isSecond) = state.withLock { state in
            defer { state.isInterrupted = true }
            return (state.onInterrupt, state.isInterrupted)
        }
        guard let reply, !isSecond else { streams.leave(code) }
        state.withLock { $0.deadline = Session.monotonic() + Int64(Session.graceSeconds) * 1000 }
        Task {
            switch await reply() {
            case .leave(let code): streams.leave(code)
            case .goOn:
                state.withLock {
                    $0.isInterrupted = false; $0.deadline = nil
                }
            }
        }
    }

    private func tick() {
        let now = Session.monotonic()
        let (notice, isLate, isInterrupted, timeout) = state.withLock {
            state -> (String?, Bool, Bool, String) in
            var notice: String?
            if let waitsFor = state.waitsFor, now - state.waitsSince >= Int64(Session.noticeSeconds) * 1000 {
                notice = waitsFor
                state.waitsFor = nil
            }
            return (notice, state.deadline.map { now >= $0 } ?? false, state.isInterrupted, state.timeout)
        }
        if let notice { streams.note("peerctl: waiting for \(notice)") }
        guard isLate else { return }
        if isInterrupted { streams.leave(130) }
        fail("not done after \(timeout); give it longer with --timeout")
        streams.leave(1)
    }

    private static func monotonic() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
