import Engines
import MRProtocol
import Multiformats

// User functions of this node's jobs: loaded and checked before a job starts, and heard while it runs.

extension JobService {
    /// The functions of a job, loaded and checked; `nil`: all are built in.
    ///
    /// - Throws: `JobServiceError.invalidJob` with the function's own fault.
    func functions(of submission: JobSubmission) async throws(JobServiceError) -> JobFunctions? {
        do {
            guard let functions = try await library.load(submission.spec, from: nil) else { return nil }
            // The built-in parts beside them.
            _ = try engines.make(submission.spec, functions: functions)
            return functions
        } catch let refusal as PolicyRefusal {
            throw notAllowed(refusal)
        } catch let fault as TaskFault {
            let isFunction = if case .userFunction = fault { true } else { false }
            let report = fault.report(naming: submission.functionNames)
            throw JobServiceError(isFunction ? .invalidFunction : .invalidJob, report)
        } catch {
            throw JobServiceError(.invalidJob, "\(error)")
        }
    }

    /// Loads the functions of a job of this node.
    func loadFunctions(_ spec: JobSpec) async throws(TaskFault) -> JobFunctions? {
        do {
            return try await library.load(spec, from: nil)
        } catch let fault as TaskFault {
            throw fault
        } catch let refusal as PolicyRefusal {
            throw .argument(name: "function", reason: refusal.reason)
        } catch {
            throw .store("\(error)")
        }
    }

    /// Names of function files are shown in every message.
    func checkNames(_ names: [CID: String]) throws(JobServiceError) {
        guard names.count <= JobLimits.maxFunctionNameCount,
            names.values.allSatisfy({ $0.utf8.count <= JobService.maxNameByteCount })
        else {
            throw JobServiceError(
                .invalidJob,
                "names of functions are at most \(JobLimits.maxFunctionNameCount), of \(JobService.maxNameByteCount) bytes"
            )
        }
    }

    /// The engine that attempts of a job need, as calls name it.
    nonisolated func engineName(for spec: JobSpec) -> String {
        if spec.hasCommands { return commandEngineName }
        return spec.userFunctions.isEmpty ? engineName : functionEngineName
    }

    /// The engines of this program.
    nonisolated var engineNames: [String] { [engineName, functionEngineName, commandEngineName] }

    /// JavaScript and WebAssembly, in any mix with built-ins.
    nonisolated var functionEngineName: String { "functions-\(JobFunctions.version)/\(engines.version)" }
    /// Commands, in any mix with the others.
    nonisolated var commandEngineName: String { "commands-\(JobFunctions.commandVersion)/\(engines.version)" }

    /// The engines that this node runs for `peer`.
    nonisolated func engineNames(for peer: PeerID) async -> [String] {
        let grant = policy.grant(of: peer)
        var names = [engineName]
        let sandboxed = grant.engines.contains(.javascript) || grant.engines.contains(.webassembly)
        guard sandboxed || grant.engines.contains(.command) else { return names }
        let state = await library.sandboxState()
        if case .unavailable = state { return names }
        // A wrong file allows nothing.
        let allowsUnconfined = (try? policy.policy().allowsUnconfined) ?? false
        let isConfined = if case .tried(let missing) = state { missing.isEmpty } else { false }
        guard isConfined || allowsUnconfined else { return names }
        if sandboxed { names.append(functionEngineName) }
        if grant.engines.contains(.command) { names.append(commandEngineName) }
        return names
    }
}

// MARK: - What functions say

extension JobService {
    /// Takes the log and the skipped records of an attempt into the job's log.
    func note(_ report: TaskReport, of attempt: Attempt, in job: ActiveJob) {
        guard !report.isEmpty else { return }
        let time = WallClock.milliseconds
        let task = attempt.item.stage == 0 ? job.firstTask(of: attempt.item) : attempt.item.index
        let place =
            "\(job.phase(ofStage: attempt.item.stage).rawValue) \(task) on \(name(of: attempt.worker))"
        for line in report.lines { job.note("\(place): \(line)", time: time) }
        if report.droppedLogByteCount > 0 {
            job.note("\(place): and \(report.droppedLogByteCount) bytes of log more", time: time)
        }
        // The one that passes the limit too.
        let limit = min(JobLimits.maxSkippedShown, job.status.spec.skipBad + 1)
        for failure in report.skipped where job.skippedShownCount < limit {
            job.skippedShownCount += 1
            let named = failure.naming(job.status.functionNames)
            job.note("\(place): \(JobService.skippedPrefix)\(named.headline) (\(named.place))", time: time)
            job.status.addNote("\(JobService.skippedPrefix)\(named.headline) (\(named.place))")
        }
    }

    /// What notes of skipped records begin with.
    private static let skippedPrefix = "skipped a record: "

    /// Why a job must end now that an output has been taken in; `nil`: it goes on.
    func excess(of job: ActiveJob) -> String? {
        let counters = job.status.counters
        if counters.badRecords > UInt64(clamping: job.status.spec.skipBad) {
            let skipped = job.status.notes.filter { $0.hasPrefix(JobService.skippedPrefix) }
            return
                "\(counters.badRecords) records were skipped, and at most \(job.status.spec.skipBad) may be: "
                + skipped.joined(separator: "; ")
        }
        if counters.user.count > TaskCounters.maxUserCount {
            return "the functions have more than \(TaskCounters.maxUserCount) counters"
        }
        return nil
    }

    /// Notes that a task gave two different outputs.
    func noteDifference(_ item: WorkItem, in job: ActiveJob) {
        let phase = job.phase(ofStage: item.stage)
        guard job.differingItems[phase, default: []].insert(item).inserted else { return }
        let roles: [FunctionReference?]
        switch phase {
        case .map: roles = [job.status.spec.map, job.status.spec.combine]
        case .merge: roles = [job.status.spec.combine]
        default: roles = [job.status.spec.reduce]
        }
        let names = roles.compactMap { $0 }.filter(\.isUserFunction).map { function in
            if case .file(let cid) = function {
                job.status.functionNames[cid] ?? function.label
            } else {
                function.label
            }
        }
        let task = item.stage == 0 ? job.firstTask(of: item) : item.index
        let what =
            " gave two different outputs"
            + (names.isEmpty ? "" : ": \(names.joined(separator: " or ")) is not deterministic")
        job.note("\(phase.rawValue) \(task)\(what)", time: WallClock.milliseconds)
        // One note a phase, with its count.
        let count = job.differingItems[phase]?.count ?? 0
        let note =
            count > 1 ? "\(count) tasks of the \(phase.rawValue)\(what)" : "\(phase.rawValue) \(task)\(what)"
        if let index = job.status.notes.firstIndex(where: {
            $0.hasSuffix(what)
                && ($0.hasPrefix("\(phase.rawValue) ") || $0.contains(" tasks of the \(phase.rawValue) gave"))
        }) {
            job.status.notes[index] = note
        } else {
            job.status.addNote(note)
        }
    }
}

extension JobStatus {
    /// Adds a note unless it is there, or there are too many.
    mutating func addNote(_ note: String) {
        if notes.count < JobLimits.maxNotes, !notes.contains(note) { notes.append(note) }
    }
}

extension TaskReport {
    /// The log as lines, as far as they are shown.
    fileprivate var lines: [String] {
        let all = log.split(separator: 0x0a)
        let shown = all.prefix(JobLimits.maxLogLinesPerAttempt).map { line in
            String(decoding: line.prefix(JobLimits.maxLogLineByteCount), as: UTF8.self)
        }
        let dropped = all.count - shown.count
        return dropped > 0 ? shown + ["and \(dropped) lines more"] : shown
    }

    /// The last lines of the log, for the report of a failure; none when `details` end with them, as a command's do.
    func lastLines(besides details: [String]) -> [String] {
        let lines = log.split(separator: 0x0a).suffix(JobLimits.maxLogLinesPerFailure)
        // Of a long line a command's details have the end.
        if let last = lines.last, let told = details.last?.trimmingPrefix(AttemptFailure.stackMark),
            String(decoding: last, as: UTF8.self).hasSuffix(told)
        {
            return []
        }
        return lines.map { line in
            AttemptFailure.logMark
                + String(decoding: line.prefix(JobLimits.maxLogLineByteCount), as: UTF8.self)
        }
    }
}

extension FunctionFailure {
    /// `input:offset "excerpt"`.
    fileprivate var place: String {
        "\(input) at byte \(offset)"
            + (excerpt.isEmpty ? "" : ", \(String(decoding: excerpt, as: UTF8.self).debugDescription)")
    }
}
