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

    /// What ends a command early.
    enum Interruption: Sendable, Equatable {
        case signal(Int32)
        case timeout
    }

    /// What a command does before it ends early.
    typealias InterruptHandler = @Sendable (Interruption) async -> Void

    private struct State: Sendable {
        var waitsFor: String?
        var waitsSince: Int64 = 0
        var deadline: Int64?
        var timeout = ""
        var exitCode: Int32 = 0
        var onInterrupt: InterruptHandler?
        var interruption: Interruption?
        /// Tidies up, then ends the process.
        var handling: Task<Void, Never>?
        /// When tidying up has to be done.
        var graceEnd: Int64?
        var isAsking = false
        /// Ctrl-C was pressed instead of an answer.
        var isDenied = false
    }

    private let state = Mutex(State())

    // MARK: What commands say

    /// Whether the user asked to stop.
    var isInterrupted: Bool { state.withLock { $0.interruption != nil } }

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

    /// Says what is done from now on before Ctrl-C, another signal or `--timeout` ends the command.
    func onInterrupt(_ handler: InterruptHandler?) {
        state.withLock { $0.onInterrupt = handler }
    }

    /// Returns at once, unless something ends the command early: then the process ends here.
    func interruptionEnded() async { await state.withLock { $0.handling }?.value }

    /// Asks on the terminal, while a command is being interrupted.
    ///
    /// - Returns: the answer; `nil` for another Ctrl-C, or when there is no more input.
    func ask(_ question: String) -> String? {
        state.withLock { state in
            state.isAsking = true
            state.graceEnd = nil
        }
        defer {
            state.withLock { state in
                state.isAsking = false
                state.graceEnd = Session.graceEnd()
            }
        }
        streams.error(question)
        while !state.withLock({ $0.isDenied }) {
            var input = pollfd(fd: STDIN_FILENO, events: Int16(POLLIN), revents: 0)
            if poll(&input, 1, Int32(Session.tickMilliseconds)) > 0 { return readLine() }
        }
        return nil
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
            if received > 0, received != SIGALRM { interrupt(.signal(received)) }
            tick()
        }
    }

    private static var watched: sigset_t {
        var signals = sigset_t()
        sigemptyset(&signals)
        for signal in [SIGINT, SIGTERM, SIGHUP, SIGALRM] { sigaddset(&signals, signal) }
        return signals
    }

    private func interrupt(_ interruption: Interruption) {
        let isHandled = state.withLock { state -> Bool in
            if state.interruption != nil {
                // At a question Ctrl-C is an answer; anywhere else the second one ends the process.
                state.isDenied = true
                return state.isAsking
            }
            state.interruption = interruption
            guard let handler = state.onInterrupt else { return false }
            state.graceEnd = Session.graceEnd()
            state.handling = Task {
                await handler(interruption)
                leave(after: interruption)
            }
            return true
        }
        if !isHandled { leave(after: interruption) }
    }

    private func leave(after interruption: Interruption) -> Never {
        switch interruption {
        case .signal(let number): streams.leave(128 + number)
        case .timeout:
            fail("not done after \(state.withLock { $0.timeout }); give it longer with --timeout")
            streams.leave(1)
        }
    }

    private func tick() {
        let now = Session.monotonic()
        let (notice, interruption, isLate) = state.withLock { state -> (String?, Interruption?, Bool) in
            var notice: String?
            if let waitsFor = state.waitsFor, now - state.waitsSince >= Int64(Session.noticeSeconds) * 1000 {
                notice = waitsFor
                state.waitsFor = nil
            }
            let end = state.interruption == nil ? state.deadline : state.graceEnd
            return (notice, state.interruption, end.map { now >= $0 } ?? false)
        }
        if let notice { streams.note("peerctl: waiting for \(notice)") }
        guard isLate else { return }
        if let interruption { leave(after: interruption) }
        interrupt(.timeout)
    }

    private static func graceEnd() -> Int64 { monotonic() + Int64(graceSeconds) * 1000 }

    private static func monotonic() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
