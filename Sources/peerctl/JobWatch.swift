import Engines
import Glibc
import MRProtocol
import Multiformats
import PeerNode
import Synchronization

/// Waits for a job, shows how far it is, and ends with its result.
struct JobWatch: Sendable {
    let call: Invocation
    let node: any NodeService
    let id: JobID
    /// Where the merged result goes as well.
    let output: OutputFile?

    /// Waits for the job's end and prints its result.
    ///
    /// - Throws: `NodeError` with code `jobFailed` or `cancelled` when it has none.
    func untilResult() async throws {
        let (call, node, id) = (call, node, id)
        call.session.onInterrupt { await JobWatch.interrupted($0, call, node, id) }
        defer { call.session.onInterrupt(nil) }
        let display = JobDisplay(call)
        let status = try await node.watchJob(id) { display.show($0) }
        display.end(status)
        try await finish(status)
    }

    private func finish(_ status: JobStatus) async throws {
        if call.wantsJSON { call.print(status.json) }
        switch status.state {
        case .succeeded:
            guard let result = status.result else {
                throw NodeError(.internal, "job \(id) succeeded without a result")
            }
            let isPrinted = call.arguments.value("output") == "-"
            if isPrinted { call.streams.note(result.description) }
            if !call.wantsJSON, !isPrinted { call.streams.line(result.description) }
            // A result that cannot be saved is there all the same.
            call.streams.flush()
            if let output { try await ResultCommand.save(result, of: node, to: output) }
        case .cancelled: throw NodeError(.cancelled, "job \(id) was cancelled")
        case .failed, .queued, .running:
            throw NodeError(.jobFailed, JobText.failure(status))
        }
    }

    /// Cancels the job, unless a daemon has it and the user wants it left running, or has only gone.
    private static func interrupted(
        _ interruption: Session.Interruption,
        _ call: Invocation,
        _ node: any NodeService,
        _ id: JobID
    ) async {
        let canLeave = node is RemoteNode
        if canLeave, interruption == .signal(SIGHUP) { return }
        if canLeave, interruption == .signal(SIGINT), isatty(STDIN_FILENO) == 1, call.streams.hasTerminal {
            let answer = call.session.ask("\npeerctl: leave job \(id) running? [y/N] ")
            if let answer, answer.lowercased().hasPrefix("y") {
                return call.streams.note("job \(id) goes on; `peerctl status \(id) --watch` shows it")
            }
        }
        try? await node.cancelJob(id)  // it may have ended meanwhile
        call.streams.note("job \(id) cancelled")
    }
}

/// Shows a running job on stderr: one line that changes on a terminal, a plain line now and then otherwise.
final class JobDisplay: Sendable {
    /// Milliseconds between plain lines.
    private static let plainInterval: Int64 = 2_000

    private let call: Invocation
    private let isShown: Bool
    private let lastShown: Mutex<Int64>

    init(_ call: Invocation) {
        self.call = call
        isShown = !call.isQuiet
        // The first plain line waits, so that a short job prints nothing.
        lastShown = Mutex(Clock.milliseconds())
    }

    func show(_ status: JobStatus) {
        // Behind Ctrl-C stands a question, which the line would cover.
        guard isShown, !status.state.isFinal, !call.session.isInterrupted else { return }
        if call.streams.hasTerminal {
            return ProgressLine.show(
                "\(ProgressLine.bar(status.fractionDone)) \(JobText.progress(status))",
                call.streams
            )
        }
        let now = Clock.milliseconds()
        let isDue = lastShown.withLock { last in
            guard now - last >= JobDisplay.plainInterval else { return false }
            last = now
            return true
        }
        if isDue { call.streams.note("\(status.id): \(JobText.progress(status))") }
    }

    /// Takes the line off the screen and says how it went.
    func end(_ status: JobStatus) {
        guard isShown else { return }
        if call.streams.hasTerminal { call.streams.error("\r\u{1b}[K") }
        for note in status.notes { call.streams.note("note: \(note)") }
        if status.state == .succeeded { call.streams.note(JobText.summary(status)) }
    }
}

/// Jobs in words.
enum JobText {
    /// `24%, map 12/40, reduce 0/4, 31 MiB of 100 MiB, 3 s left`; while reduces run, the bytes are those that they read.
    static func progress(_ status: JobStatus) -> String {
        var parts = ["\(Int(status.fractionDone * 100))%"]
        if status.state == .queued { parts.append("queued") }
        // In front: a terminal shows as much of the line as fits.
        if let wait = status.wait { parts.append("\(wait)") }
        if status.map.total > 0 { parts.append("map \(status.map.done)/\(status.map.total)") }
        if status.reduce.total > 0 { parts.append("reduce \(status.reduce.done)/\(status.reduce.total)") }
        if status.state == .running, status.phase == .reduce, status.reduceInputByteCount > 0 {
            parts.append("\(share(status.reducedByteCount, of: status.reduceInputByteCount)) reduced")
        } else if status.inputByteCount > 0 {
            parts.append(share(status.mappedByteCount, of: status.inputByteCount))
        }
        if let left = status.secondsLeft { parts.append("\(Int(left.rounded(.up))) s left") }
        return parts.joined(separator: ", ")
    }

    private static func share(_ part: UInt64, of whole: UInt64) -> String {
        "\(ByteSize.format(part)) of \(ByteSize.format(whole))"
    }

    /// One line on how a job ended well.
    static func summary(_ status: JobStatus) -> String {
        let remembered = status.map.remembered > 0 ? " (\(status.map.remembered) remembered)" : ""
        return
            "job \(status.id): \(status.map.total) map tasks\(remembered), \(status.reduce.total) reduces, "
            + "\(ByteSize.format(status.inputByteCount)), \(status.counters.outputRecords) records out, "
            + seconds(
                status.endedAt.map { Double($0 - (status.startedAt ?? status.submittedAt)) / 1000 } ?? 0
            )
    }

    /// Why a job failed, with the attempt that made it fail.
    static func failure(_ status: JobStatus) -> String {
        guard let failure = status.failure else { return "job \(status.id) \(status.state.rawValue)" }
        let line =
            "job \(status.id) failed: \(failure.message) (\(failure.phase.rawValue) task \(failure.task), "
            + "attempt \(failure.attempt) on \(failure.worker)); `peerctl logs \(status.id)` tells more"
        return ([line] + failure.details).joined(separator: "\n")
    }

    /// `1.25 s`.
    static func seconds(_ value: Double) -> String {
        let hundredths = Int((value * 100).rounded())
        let rest = hundredths % 100
        return "\(hundredths / 100).\(rest < 10 ? "0" : "")\(rest) s"
    }
}
