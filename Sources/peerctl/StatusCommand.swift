import MRProtocol
import Multiformats
import PeerNode

/// `status`: the node, or one job.
enum StatusCommand {
    static let verb = Verb(
        name: "status",
        summary: "show this node, or one job",
        operands: "[JOB]",
        options: [.flag("watch", "w", "show a job until it has ended")],
        details: "JOB is the id of a job, or the --name of one if no other has it.",
        example: "peerctl status --json",
        operandCount: 0...1
    ) { call in
        if call.operands.isEmpty, call.arguments.flag("watch") { throw UsageError("--watch needs a job") }
        try await call.withNode { access in
            guard let text = call.operands.first else { return try await showNode(access, call) }
            let job = try await call.job(text, of: access.service)
            let id = job.id
            if !job.state.isFinal, access.local != nil {
                show(job, call)
                guard call.arguments.flag("watch") else { return call.noteWaiting([job], access) }
                throw NodeError(
                    .unreachable,
                    "job \(id) waits for a daemon; start peernode on \(call.home.path) to go on with it"
                )
            }
            guard call.arguments.flag("watch") else { return show(job, call) }
            let display = JobDisplay(call)
            let isJSON = call.wantsJSON
            let status = try await access.service.watchJob(id) {
                isJSON ? call.print($0.json) : display.show($0)
            }
            if isJSON { return }
            display.end(status)
            show(status, call)
        }
    }

    private static func showNode(_ access: NodeAccess, _ call: Invocation) async throws {
        let status = try await access.service.status()
        defer { call.noteWaiting(status.activeJobs, access) }
        if call.wantsJSON { return call.print(status.json) }
        let store = status.repository
        var rows = [
            ["node", status.identity.peerID],
            ["daemon", status.isDaemon ? "running" : "not running (this command works by itself)"],
            ["home", store.path],
            [
                "addresses",
                status.identity.addresses.isEmpty ? "none" : status.identity.addresses.joined(separator: " "),
            ],
            [
                "peers",
                "\(status.peers.count), \(status.peers.count { $0.state == "connected" }) connected, "
                    + "\(status.peers.reduce(0) { $0 + ($1.slotCount ?? 0) }) slots",
            ],
            ["slots", "\(status.slotCount)"],
            [
                "store",
                "\(store.blockCount) blocks, \(ByteSize.format(store.byteCount))"
                    + (store.byteLimit.map { " of \(ByteSize.format($0))" } ?? "")
                    + ", \(store.pinCount) pins",
            ],
            ["jobs", "\(status.activeJobs.count) unfinished"],
        ]
        if store.quarantinedCount > 0 {
            rows.append(["damaged", "\(store.quarantinedCount) blocks in quarantine"])
        }
        for bootstrap in status.bootstrap where !bootstrap.isConnected {
            let reason = bootstrap.lastFailure.isEmpty ? "dialing" : bootstrap.lastFailure
            rows.append(["bootstrap", "\(bootstrap.address): \(reason) (\(bootstrap.failureCount) attempts)"])
        }
        if let warning = status.sandbox.warning(allowsUnconfined: status.allowsUnconfined) {
            rows.append(["sandbox", warning])
        }
        for wait in status.waits { rows.append(["waiting for", wait]) }
        for job in status.activeJobs { rows.append(["  \(job.id)", JobText.progress(job)]) }
        for row in Table.aligned(rows) { call.streams.line(row) }
    }

    static func show(_ status: JobStatus, _ call: Invocation) {
        if call.wantsJSON { return call.print(status.json) }
        var rows = [
            ["job", status.id.description], ["name", status.name.isEmpty ? "-" : status.name],
            ["state", status.state.rawValue], ["progress", JobText.progress(status)],
            ["result", status.result?.description ?? "-"], ["spec", status.specCID.description],
            ["attempts", "\(status.attemptCount), \(status.failedAttemptCount) failed"],
            [
                "remembered",
                "\(status.map.remembered) of \(status.map.total) map, \(status.reduce.remembered) of \(status.reduce.total) reduce",
            ],
        ]
        rows += status.workers.map { workerRow($0, of: status) }
        for timing in status.timings {
            rows.append(["time \(timing.phase.rawValue)", JobText.seconds(timing.seconds)])
        }
        rows += JobText.counters(status.counters) + JobText.userCounters(status.counters)
        if let left = status.secondsLeft { rows.append(["time left", "about \(JobText.seconds(left))"]) }
        for failure in status.failures {
            rows.append([
                "failure",
                "\(failure.phase.rawValue) task \(failure.task), attempt \(failure.attempt) on \(failure.worker): \(failure.message)",
            ])
        }
        for note in status.notes { rows.append(["note", note]) }
        for row in Table.aligned(rows) { call.streams.line(row) }
    }

    /// What one worker did: tasks, where their blocks were, and how fast it mapped.
    private static func workerRow(_ worker: WorkerShare, of status: JobStatus) -> [String] {
        var parts = ["\(worker.tasksDone) tasks", "\(worker.localTasks) where their block was"]
        if worker.fetchedBlocks > 0 {
            parts.append("\(worker.fetchedBlocks) blocks fetched (\(ByteSize.format(worker.fetchedBytes)))")
        }
        let seconds = status.timings.first { $0.phase == .map }?.seconds ?? 0
        if worker.mappedBytes > 0, seconds > 0 {
            parts.append("\(ByteSize.format(UInt64(Double(worker.mappedBytes) / seconds)))/s")
        }
        if worker.attemptsRunning > 0 { parts.append("\(worker.attemptsRunning) running") }
        if worker.attemptsFailed > 0 { parts.append("\(worker.attemptsFailed) failed") }
        if worker.isExcluded { parts.append("excluded") }
        return ["worker \(worker.worker)", parts.joined(separator: ", ")]
    }
}
