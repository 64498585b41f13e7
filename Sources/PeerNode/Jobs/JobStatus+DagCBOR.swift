import MRProtocol
package import Multiformats

extension JobStatus {
    /// What is kept of a job in `jobs.db`.
    package var dagCBOR: DagCBOR {
        var fields: [String: DagCBOR] = [
            "id": .string(id.description), "name": .string(name), "spec": spec.dagCBOR,
            "state": .string(state.rawValue), "phase": .string(phase.rawValue),
            "submitted": .integer(submittedAt),
            "map": map.dagCBOR, "merge": merge.dagCBOR, "reduce": reduce.dagCBOR,
            "inputBytes": .unsigned(inputByteCount), "mappedBytes": .unsigned(mappedByteCount),
            "reduceInputBytes": .unsigned(reduceInputByteCount), "reducedBytes": .unsigned(reducedByteCount),
            "counters": counters.dagCBOR,
            "attempts": .integer(Int64(attemptCount)), "failed": .integer(Int64(failedAttemptCount)),
            "timings": .array(timings.map { .array([.string($0.phase.rawValue), .float($0.seconds)]) }),
            "workers": .array(workers.map(\.dagCBOR)),
            "failures": .array(failures.map(\.dagCBOR)),
            "notes": .array(notes.map { .string($0) }),
        ]
        if !functionNames.isEmpty {
            fields["functionNames"] = .array(
                functionNames.sorted { $0.value < $1.value }.map {
                    .array([.link($0.key), .string($0.value)])
                }
            )
        }
        fields["started"] = startedAt.map { .integer($0) }
        fields["ended"] = endedAt.map { .integer($0) }
        fields["result"] = result.map { .link($0) }
        fields["failure"] = failure?.dagCBOR
        return .map(fields)
    }

    /// Reads what `dagCBOR` wrote; `nil` when it is something else.
    package init?(_ value: DagCBOR) {
        guard let fields = value.entries, let id = fields["id"]?.text, let name = fields["name"]?.text else {
            return nil
        }
        guard let specValue = fields["spec"], let spec = try? JobSpec(specValue) else { return nil }
        self.init(id: JobID(id), name: name, spec: spec, specCID: spec.cid)
        state = fields["state"]?.text.flatMap(JobState.init) ?? .failed
        phase = fields["phase"]?.text.flatMap(JobPhase.init) ?? .plan
        submittedAt = fields["submitted"]?.time ?? 0
        startedAt = fields["started"]?.time
        endedAt = fields["ended"]?.time
        map = PhaseProgress(fields["map"])
        merge = PhaseProgress(fields["merge"])
        reduce = PhaseProgress(fields["reduce"])
        inputByteCount = UInt64(fields["inputBytes"]?.number ?? 0)
        mappedByteCount = UInt64(fields["mappedBytes"]?.number ?? 0)
        // Jobs of before these were kept have neither.
        reduceInputByteCount = UInt64(fields["reduceInputBytes"]?.number ?? 0)
        reducedByteCount = UInt64(fields["reducedBytes"]?.number ?? 0)
        counters = TaskCounters(fields["counters"] ?? .null)
        attemptCount = fields["attempts"]?.number ?? 0
        failedAttemptCount = fields["failed"]?.number ?? 0
        timings = fields["timings"]?.elements?.compactMap(PhaseTiming.init) ?? []
        workers = fields["workers"]?.elements?.compactMap(WorkerShare.init) ?? []
        failures = fields["failures"]?.elements?.compactMap(AttemptFailure.init) ?? []
        notes = fields["notes"]?.elements?.compactMap(\.text) ?? []
        if case .link(let root)? = fields["result"] { result = root }
        for entry in fields["functionNames"]?.elements ?? [] {
            guard let parts = entry.elements, parts.count == 2, case .link(let cid) = parts[0] else {
                continue
            }
            functionNames[cid] = parts[1].text
        }
        failure = fields["failure"].flatMap(AttemptFailure.init)
    }
}

extension DagCBOR {
    /// Milliseconds since 1970.
    fileprivate var time: Int64? { number.map { Int64($0) } }
}

extension PhaseProgress {
    fileprivate var dagCBOR: DagCBOR {
        .array([total, done, remembered].map { .integer(Int64($0)) })
    }

    fileprivate init(_ value: DagCBOR?) {
        self.init()
        guard let counts = value?.elements?.compactMap(\.number), counts.count == 3 else { return }
        (total, done, remembered) = (counts[0], counts[1], counts[2])
    }
}

extension PhaseTiming {
    fileprivate init?(_ value: DagCBOR) {
        guard let parts = value.elements, parts.count == 2, case .float(let seconds) = parts[1] else {
            return nil
        }
        guard let phase = parts[0].text.flatMap(JobPhase.init) else { return nil }
        self.init(phase: phase, seconds: seconds)
    }
}

extension WorkerShare {
    fileprivate var dagCBOR: DagCBOR {
        .map([
            "worker": .string(worker), "done": .integer(Int64(tasksDone)),
            "failed": .integer(Int64(attemptsFailed)), "local": .integer(Int64(localTasks)),
            "fetched": .integer(Int64(fetchedBlocks)), "fetchedBytes": .unsigned(fetchedBytes),
            "mapped": .unsigned(mappedBytes),
            "excluded": .bool(isExcluded),
        ])
    }

    fileprivate init?(_ value: DagCBOR) {
        guard let fields = value.entries, let worker = fields["worker"]?.text else { return nil }
        self.init(worker: worker)
        tasksDone = fields["done"]?.number ?? 0
        attemptsFailed = fields["failed"]?.number ?? 0
        localTasks = fields["local"]?.number ?? 0
        fetchedBlocks = fields["fetched"]?.number ?? 0
        fetchedBytes = UInt64(fields["fetchedBytes"]?.number ?? 0)
        mappedBytes = UInt64(fields["mapped"]?.number ?? 0)
        isExcluded = fields["excluded"]?.flag ?? false
    }
}

extension AttemptFailure {
    fileprivate var dagCBOR: DagCBOR {
        .map([
            "worker": .string(worker), "phase": .string(phase.rawValue), "task": .integer(Int64(task)),
            "attempt": .integer(Int64(attempt)), "code": .string(code), "message": .string(message),
            "details": .array(details.map { .string($0) }),
        ])
    }

    fileprivate init?(_ value: DagCBOR) {
        guard let fields = value.entries, let phase = fields["phase"]?.text.flatMap(JobPhase.init) else {
            return nil
        }
        self.init(
            worker: fields["worker"]?.text ?? "",
            phase: phase,
            task: fields["task"]?.number ?? 0,
            attempt: fields["attempt"]?.number ?? 0,
            code: fields["code"]?.text ?? "",
            message: fields["message"]?.text ?? "",
            details: fields["details"]?.elements?.compactMap(\.text) ?? []
        )
    }
}
