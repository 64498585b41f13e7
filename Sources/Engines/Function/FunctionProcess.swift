package import FunctionProtocol
import Glibc
package import MRProtocol

/// A helper process that has one function and runs attempts of it, one after the other.
///
/// For the thread of a slot: every call blocks until the helper has taken what it was given, while its answers are
/// handed to `onAnswer`. The function's limits are held here, from outside: whatever the helper does, it is killed when
/// it passes one.
///
///     unprepared ─ prepare ─► idle ─ begin ─► attempt ─ send* ─► end ─► idle ─ prepare ─► idle
///         └─────────────────── a fault that leaves no idle helper ────────────► over
package final class FunctionProcess {
    /// Why an attempt ended.
    package enum Fault: Error, Equatable, Sendable {
        /// The function's, or a limit's, or the helper's.
        case function(FunctionFault)
        /// `onAnswer` threw it, or the attempt was cancelled.
        case task(TaskFault)
    }

    private enum State {
        /// It was given no function yet, or is to take the job's word for the one it has.
        case unprepared
        case idle
        case attempt
        /// The helper has said `done` or `failed`; further input would only be passed over.
        case answered(FunctionFault?)
        case over
    }

    /// Longest wait between two looks at limits and cancellation, in milliseconds.
    private static let pollMilliseconds: Int32 = 20

    /// Longest line of status, in bytes.
    private static let maxStatusByteCount = Frame.batchByteCount

    private let helper: HelperProcess
    private let answers = AnswerBuffer()
    private var state = State.unprepared
    private var meter: AttemptMeter
    private var readiness: Readiness?
    /// Asked every 20 ms or so while a call lasts; `true` ends the call with `Fault.task(.cancelled)`, and the helper.
    package var isCancelled: () -> Bool

    /// `false` once a fault has cost the helper its life; make another then.
    package var isUsable: Bool {
        switch state {
        case .over: false
        case .unprepared, .idle, .attempt, .answered: true
        }
    }

    /// The record that the attempt is at, or was at when it ended, as the helper says; `nil`: none, or the engine cannot tell.
    ///
    /// The number of the frame that it came in, from 1, and its offset in its input.
    package var record: (frame: Int, offset: UInt64)? { helper.page.content.record }

    /// Number of the helper in the system's process table.
    package var identifier: Int32 { helper.identifier }

    /// Starts a helper for functions of one kind.
    ///
    /// - Parameters:
    ///   - engine: the kind.
    ///   - executable: the helper's program; else the one that `HelperExecutable` finds.
    ///   - memoryByteLimit: memory that its attempts may use, in bytes, for an engine that can be sparing; 0: no limit.
    ///   - isCancelled: as the property.
    /// - Throws: `sandbox` when the helper's program is missing or does not start.
    package init(
        _ engine: EngineKind,
        executable: String? = nil,
        memoryByteLimit: UInt64 = 0,
        isCancelled: @escaping () -> Bool = { false }
    ) throws(FunctionFault) {
        let path = if let executable { executable } else { try HelperExecutable.path() }
        helper = try HelperProcess(path, for: engine, memoryByteLimit: memoryByteLimit)
        self.isCancelled = isCancelled
        meter = AttemptMeter(FunctionLimits(), of: helper)
    }
}

// MARK: - Calls

extension FunctionProcess {
    /// Hands over the function; a fault ends the helper.
    ///
    /// Between attempts once more, where another preparation of the same function takes the place of the first.
    ///
    /// - Parameters:
    ///   - preparation: the function, and what its attempts may use.
    ///   - onAnswer: gets the log of what the function does while it loads.
    /// - Returns: what the function can do, and what the sandbox lacks here.
    /// - Throws: `Fault.function` when the function is refused; then the helper has ended.
    package func prepare(
        _ preparation: Preparation,
        onAnswer: (FunctionAnswer) throws(TaskFault) -> Void = { _ in }
    ) throws(Fault) -> Readiness {
        switch state {
        case .unprepared, .idle: state = .unprepared
        case .attempt, .answered, .over: preconditionFailure("a helper is not prepared in \(state)")
        }
        let body = preparation.body
        guard body.count <= Frame.maxBodyByteCount else {
            throw .function(
                FunctionFault(
                    .invalid,
                    "the function and its arguments are larger than \(Frame.maxBodyByteCount) bytes"
                )
            )
        }
        meter = AttemptMeter(preparation.limits, of: helper)
        readiness = nil
        try exchange(UnsentFrame(.prepare, body), awaitsAnswer: true, onAnswer)
        guard let readiness else {
            throw .function(
                FunctionFault(.protocolViolation, "the process for functions is done before it is ready")
            )
        }
        return readiness
    }

    /// Begins an attempt.
    package func begin(_ start: TaskStart) throws(Fault) {
        guard case .idle = state else {
            preconditionFailure("an attempt begins in an idle helper, not in \(state)")
        }
        answers.shrink()
        helper.page.clear()
        meter = AttemptMeter(meter.limits, of: helper)
        state = .attempt
        // The helper says nothing before it has read all of this.
        try exchange(UnsentFrame(.begin, start.body), awaitsAnswer: false) { _ in }
    }

    /// Gives the attempt a frame of input: `head`, then `bytes`.
    ///
    /// - Throws: `Fault.function` when the attempt failed; then it has ended, and if `isUsable` the helper can begin
    ///   another.
    package func send(
        _ kind: Frame.Kind,
        head: [UInt8] = [],
        bytes: UnsafeRawBufferPointer,
        onAnswer: (FunctionAnswer) throws(TaskFault) -> Void
    ) throws(Fault) {
        switch state {
        case .attempt: try exchange(UnsentFrame(kind, head, bytes), awaitsAnswer: false, onAnswer)
        case .answered: break
        case .unprepared, .idle, .over: preconditionFailure("input outside an attempt, in \(state)")
        }
        if case .answered(.some) = state { try end(onAnswer: onAnswer) }
    }

    /// Ends the attempt's input and waits for the rest of its output.
    ///
    /// - Throws: as `send`.
    package func end(onAnswer: (FunctionAnswer) throws(TaskFault) -> Void) throws(Fault) {
        switch state {
        case .attempt, .answered: try exchange(UnsentFrame(.end, []), awaitsAnswer: true, onAnswer)
        case .unprepared, .idle, .over:
            preconditionFailure("the end of input outside an attempt, in \(state)")
        }
        guard case .answered(let failure) = state else { preconditionFailure("no answer in \(state)") }
        state = .idle
        if let failure { throw .function(failure) }
    }

    /// Ends the helper; nothing more can be asked of it.
    package func close() {
        state = .over
        helper.end()
    }
}

// MARK: - Sending and receiving

extension FunctionProcess {
    private typealias AnswerHandler = (FunctionAnswer) throws(TaskFault) -> Void

    /// Sends a frame and meanwhile hands out answers; goes on until the helper has answered if asked to.
    private func exchange(
        _ frame: consuming UnsentFrame,
        awaitsAnswer: Bool,
        _ onAnswer: AnswerHandler
    ) throws(Fault) {
        do throws(Fault) {
            meter.progressed()
            while true {
                if frame.send(to: helper.socket) > 0 { meter.progressed() }
                try look()
                if frame.isSent, !(awaitsAnswer && isAnswerOpen) { return }
                wait(forRoom: !frame.isSent)
                try receive(onAnswer)
            }
        } catch {
            throw abandon(after: error)
        }
    }

    private var isAnswerOpen: Bool {
        switch state {
        case .unprepared, .attempt: true
        case .idle, .answered, .over: false
        }
    }

    private func wait(forRoom: Bool) {
        let events = forRoom ? POLLIN | POLLOUT : POLLIN
        var socket = pollfd(fd: helper.socket, events: Int16(events), revents: 0)
        poll(&socket, 1, FunctionProcess.pollMilliseconds)
    }

    private func receive(_ onAnswer: AnswerHandler) throws(Fault) {
        let arrival = answers.receive(from: helper.socket)
        if arrival == .some { meter.progressed() }
        while let (kind, body) = try answers.next() { try take(kind, body, onAnswer) }
        // Whoever takes the answers may have been long about it, such as for a spill.
        if arrival == .some { meter.progressed() }
        if arrival == .closed { throw .function(helper.fault()) }
    }

    private func look() throws(Fault) {
        guard meter.isLookDue else { return }
        if isCancelled() { throw .task(.cancelled) }
        try meter.look(at: helper)
    }

    /// Ends the helper after a fault, and says what the fault is in the end.
    private func abandon(after fault: Fault) -> Fault {
        defer { close() }
        // What the helper said before it died tells more than its death.
        if case .answered(let failure?) = state { return .function(failure) }
        return fault
    }
}

// MARK: - Answers

extension FunctionProcess {
    private func take(
        _ kind: Frame.Kind,
        _ body: UnsafeRawBufferPointer,
        _ onAnswer: AnswerHandler
    ) throws(Fault) {
        switch (kind, state) {
        case (.ready, .unprepared):
            readiness = Readiness(body: Array(body))
            guard readiness != nil else { throw .malformed(kind) }
            // What an engine warned of while it started is not why it may end later.
            helper.dropErrorText()
            state = .idle
        case (.failed, .unprepared):
            guard let fault = FunctionFault(body: Array(body)) else { throw .malformed(kind) }
            throw .function(fault)
        case (.done, .attempt):
            guard body.isEmpty else { throw .malformed(kind) }
            state = .answered(nil)
        case (.failed, .attempt):
            guard let fault = FunctionFault(body: Array(body)) else { throw .malformed(kind) }
            state = .answered(fault)
        case (.output, .attempt), (.counter, .attempt), (.skipped, .attempt), (.log, .attempt),
            (.status, .attempt), (.log, .unprepared), (.status, .unprepared):
            try hand(answer(kind, body), to: onAnswer)
        case (.output, _), (.counter, _), (.log, _), (.status, _), (.skipped, _), (.ready, _), (.done, _),
            (.failed, _), (.prepare, _), (.begin, _), (.records, _), (.input, _), (.end, _):
            throw .violation("an answer of kind \(kind) where there is none")
        }
    }

    private func answer(_ kind: Frame.Kind, _ body: UnsafeRawBufferPointer) throws(Fault) -> FunctionAnswer {
        switch kind {
        case .output:
            guard try meter.countOutput(body) else { throw .malformed(kind) }
            return .output(body)
        case .counter:
            guard let increment = CounterIncrement(body: Array(body)) else { throw .malformed(kind) }
            return .counter(increment)
        case .log:
            try meter.countLog(body.count)
            return .log(body)
        case .status:
            guard body.count <= FunctionProcess.maxStatusByteCount else { throw .malformed(kind) }
            return .status(String(decoding: body, as: UTF8.self))
        case .skipped:
            guard let fault = FunctionFault(body: Array(body)) else { throw .malformed(kind) }
            return .skipped(fault)
        case .prepare, .begin, .records, .input, .end, .ready, .done, .failed:
            preconditionFailure("\(kind) is not an answer to hand on")
        }
    }

    private func hand(_ answer: FunctionAnswer, to onAnswer: AnswerHandler) throws(Fault) {
        do throws(TaskFault) {
            try onAnswer(answer)
        } catch {
            throw .task(error)
        }
    }
}

extension FunctionProcess.Fault {
    static func violation(_ what: String) -> FunctionProcess.Fault {
        .function(FunctionFault(.protocolViolation, "the process for functions sent \(what)"))
    }

    fileprivate static func malformed(_ kind: Frame.Kind) -> FunctionProcess.Fault {
        .violation("a malformed answer of kind \(kind)")
    }
}
