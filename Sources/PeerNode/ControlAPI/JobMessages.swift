internal import MRProtocol
internal import Multiformats

// MARK: - What is asked for

extension JobSubmission: JSONMessage {
    package var json: JSON {
        [
            "spec": spec.json, "name": .string(name), "remember": .bool(usesRememberedOutputs),
            "functionNames": FunctionNames(functionNames).json,
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "job")
        self.init(
            spec: try fields.message("spec"),
            name: fields.optional("name")?.text ?? "",
            usesRememberedOutputs: fields.optional("remember")?.flag ?? true
        )
        functionNames = try FunctionNames(json: fields.optional("functionNames") ?? .object([])).names
    }
}

/// Names of files by their CIDs.
private struct FunctionNames: JSONMessage {
    var names: [CID: String] = [:]

    init(_ names: [CID: String]) { self.names = names }

    var json: JSON {
        .object(
            names.map { JSON.Member($0.key.description, .string($0.value)) }.sorted { $0.name < $1.name }
        )
    }

    init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "functionNames")
        for member in json.members ?? [] {
            guard let cid = CID(member.name), let name = member.value.text else {
                throw fields.fault(member.name, "a name by its CID")
            }
            names[cid] = name
        }
    }
}

extension JobSpec: JSONMessage {
    package var json: JSON {
        [
            "map": map.json, "combine": combine?.json ?? .null, "reduce": reduce.json,
            "reduces": .count(reduceCount), "format": .string(recordFormat.rawValue),
            "outputFormat": .string(outputFormat.rawValue),
            "arguments": .object(
                arguments.sorted { $0.key < $1.key }.map { .init($0.key, .string($0.value)) }
            ),
            "inputs": .array(of: inputs), "recordLimit": .count(recordByteLimit),
            "skipLong": .bool(skipsLongRecords), "files": .array(of: files), "skipBad": .count(skipBad),
            "limits": limits.json,
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "job specification")
        var arguments: [String: String] = [:]
        for member in fields.optional("arguments")?.members ?? [] {
            guard let text = member.value.text else {
                throw fields.fault("arguments", "an object of strings")
            }
            arguments[member.name] = text
        }
        self.init(
            map: try fields.message("map"),
            combine: fields.optional("combine") == nil ? nil : try fields.message("combine"),
            reduce: try fields.message("reduce"),
            reduceCount: fields.optional("reduces") == nil ? 1 : try fields.int("reduces"),
            recordFormat: fields.optional("format") == nil ? .lines : try fields.value("format"),
            outputFormat: fields.optional("outputFormat") == nil ? .text : try fields.value("outputFormat"),
            arguments: arguments,
            inputs: try fields.messages("inputs")
        )
        if fields.optional("recordLimit") != nil { recordByteLimit = try fields.int("recordLimit") }
        if fields.optional("skipLong") != nil { skipsLongRecords = try fields.flag("skipLong") }
        if fields.optional("files") != nil {
            files = try fields.messages("files").sorted { (left: JobFile, right: JobFile) in
                left.name < right.name
            }
        }
        if fields.optional("skipBad") != nil { skipBad = try fields.int("skipBad") }
        if fields.optional("limits") != nil { limits = try fields.message("limits") }
    }
}

extension JobFile: JSONMessage {
    package var json: JSON { ["name": .string(name), "cid": .cid(root)] }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "file")
        self.init(name: try fields.text("name"), root: try fields.cid("cid"))
    }
}

extension TaskLimits: JSONMessage {
    /// Only the limits that are set.
    package var json: JSON {
        .object(
            TaskLimits.fields.compactMap { field in
                self[keyPath: field.path].map { JSON.Member(field.name, .count($0)) }
            }
        )
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "limits")
        self.init()
        for field in TaskLimits.fields where fields.optional(field.name) != nil {
            self[keyPath: field.path] = try fields.unsigned(field.name)
        }
    }
}

extension JobInput: JSONMessage {
    package var json: JSON { ["name": .string(name), "cid": .cid(root)] }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "input")
        let root = try fields.cid("cid")
        self.init(name: fields.optional("name")?.text ?? root.description, root: root)
    }
}

extension FunctionReference: JSONMessage {
    package var json: JSON {
        switch self {
        case .builtIn(let name): .string(name)
        case .file(let cid): ["file": .cid(cid)]
        case .command(let line): ["command": .string(line)]
        }
    }

    package init(json: JSON) throws(NodeError) {
        if let name = json.text {
            self = .builtIn(name)
            return
        }
        let fields = try JSONFields(json, of: "function")
        self =
            fields.optional("command") == nil
            ? .file(try fields.cid("file")) : .command(try fields.text("command"))
    }
}

// MARK: - What is shown

extension JobStatus: JSONMessage {
    package var json: JSON {
        [
            "id": .string(id.description), "name": .string(name), "state": .string(state.rawValue),
            "phase": .string(phase.rawValue), "fractionDone": .number(fractionDone),
            "result": .cid(orNull: result), "failure": failure?.json ?? .null,
            "submittedAt": .count(submittedAt), "startedAt": startedAt.map(JSON.count) ?? .null,
            "endedAt": endedAt.map(JSON.count) ?? .null, "secondsLeft": secondsLeft.map(JSON.number) ?? .null,
            "map": map.json, "merge": merge.json, "reduce": reduce.json,
            "inputBytes": .count(inputByteCount), "mappedBytes": .count(mappedByteCount),
            "reduceInputBytes": .count(reduceInputByteCount), "reducedBytes": .count(reducedByteCount),
            "counters": counters.json, "attempts": .count(attemptCount),
            "failedAttempts": .count(failedAttemptCount), "timings": .array(of: timings),
            "workers": .array(of: workers), "failures": .array(of: failures),
            "notes": .array(notes.map(JSON.string)), "specCID": .cid(specCID), "spec": spec.json,
            "functionNames": FunctionNames(functionNames).json, "waitsFor": wait?.json ?? .null,
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "job status")
        self.init(
            id: JobID(try fields.text("id")),
            name: try fields.text("name"),
            spec: try fields.message("spec"),
            specCID: try fields.cid("specCID")
        )
        functionNames = try FunctionNames(json: fields.optional("functionNames") ?? .object([])).names
        state = try fields.value("state")
        phase = try fields.value("phase")
        result = try fields.optionalCID("result")
        failure = fields.optional("failure") == nil ? nil : try fields.message("failure")
        submittedAt = Int64(try fields.int("submittedAt"))
        startedAt = fields.optional("startedAt")?.int.map(Int64.init)
        endedAt = fields.optional("endedAt")?.int.map(Int64.init)
        secondsLeft = fields.optional("secondsLeft")?.double
        map = try fields.message("map")
        merge = try fields.message("merge")
        reduce = try fields.message("reduce")
        inputByteCount = try fields.unsigned("inputBytes")
        mappedByteCount = try fields.unsigned("mappedBytes")
        // A daemon of an earlier version says neither.
        reduceInputByteCount = fields.optional("reduceInputBytes")?.unsigned ?? 0
        reducedByteCount = fields.optional("reducedBytes")?.unsigned ?? 0
        counters = try fields.message("counters")
        attemptCount = try fields.int("attempts")
        failedAttemptCount = try fields.int("failedAttempts")
        timings = try fields.messages("timings")
        workers = try fields.messages("workers")
        failures = try fields.messages("failures")
        notes = try fields.texts("notes")
        wait = fields.optional("waitsFor") == nil ? nil : try fields.message("waitsFor")
    }
}

extension BlockWait: JSONMessage {
    package var json: JSON {
        [
            "cid": .cid(cid), "missing": .count(missingCount), "peers": .count(peerCount),
            "seconds": .count(seconds),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "wait")
        self.init(
            cid: try fields.cid("cid"),
            missingCount: try fields.int("missing"),
            peerCount: try fields.int("peers"),
            seconds: try fields.int("seconds")
        )
    }
}

extension PhaseProgress: JSONMessage {
    package var json: JSON {
        [
            "total": .count(total), "done": .count(done), "remembered": .count(remembered),
            "running": .count(running),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "progress")
        self.init()
        total = try fields.int("total")
        done = try fields.int("done")
        remembered = try fields.int("remembered")
        running = try fields.int("running")
    }
}

extension PhaseTiming: JSONMessage {
    package var json: JSON { ["phase": .string(phase.rawValue), "seconds": .number(seconds)] }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "timing")
        self.init(phase: try fields.value("phase"), seconds: try fields.double("seconds"))
    }
}

extension WorkerShare: JSONMessage {
    package var json: JSON {
        [
            "worker": .string(worker), "tasks": .count(tasksDone), "running": .count(attemptsRunning),
            "failed": .count(attemptsFailed), "local": .count(localTasks),
            "fetchedBlocks": .count(fetchedBlocks), "fetchedBytes": .count(fetchedBytes),
            "mappedBytes": .count(mappedBytes), "excluded": .bool(isExcluded),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "worker")
        self.init(worker: try fields.text("worker"))
        tasksDone = try fields.int("tasks")
        attemptsRunning = try fields.int("running")
        attemptsFailed = try fields.int("failed")
        localTasks = try fields.int("local")
        fetchedBlocks = try fields.int("fetchedBlocks")
        fetchedBytes = UInt64(try fields.int("fetchedBytes"))
        mappedBytes = UInt64(try fields.int("mappedBytes"))
        isExcluded = try fields.flag("excluded")
    }
}

extension AttemptFailure: JSONMessage {
    package var json: JSON {
        [
            "worker": .string(worker), "phase": .string(phase.rawValue), "task": .count(task),
            "attempt": .count(attempt), "code": .string(code), "message": .string(message),
            "details": .array(details.map(JSON.string)),
        ]
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "failure")
        self.init(
            worker: try fields.text("worker"),
            phase: try fields.value("phase"),
            task: try fields.int("task"),
            attempt: try fields.int("attempt"),
            code: try fields.text("code"),
            message: try fields.text("message"),
            details: fields.optional("details") == nil ? [] : try fields.texts("details")
        )
    }
}

extension JobLogEntry: JSONMessage {
    package var json: JSON { ["time": .count(time), "message": .string(message)] }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "log line")
        self.init(time: Int64(try fields.int("time")), message: try fields.text("message"))
    }
}

extension TaskCounters: JSONMessage {
    private static let members: [(name: String, path: any WritableKeyPath<TaskCounters, UInt64> & Sendable)] =
        [
            ("inputRecords", \.inputRecords), ("inputBytes", \.inputBytes),
            ("mapOutputPairs", \.mapOutputPairs),
            ("combinedPairs", \.combinedPairs), ("shuffledBytes", \.shuffledBytes),
            ("reduceInputPairs", \.reduceInputPairs), ("reduceInputKeys", \.reduceInputKeys),
            ("outputRecords", \.outputRecords), ("outputBytes", \.outputBytes),
            ("spilledBytes", \.spilledBytes),
            ("skippedRecords", \.skippedRecords), ("badRecords", \.badRecords),
        ]

    package var json: JSON {
        let own = TaskCounters.members.map { JSON.Member($0.name, .count(self[keyPath: $0.path])) }
        let users = userGroups.map { group in
            JSON.Member(group.name, .object(group.counters.map { JSON.Member($0.name, .count($0.value)) }))
        }
        return .object(own + [JSON.Member("user", .object(users))])
    }

    package init(json: JSON) throws(NodeError) {
        let fields = try JSONFields(json, of: "counters")
        self.init()
        for member in TaskCounters.members {
            guard fields.optional(member.name) != nil else { continue }
            self[keyPath: member.path] = try fields.unsigned(member.name)
        }
        for group in fields.optional("user")?.members ?? [] {
            for counter in group.value.members ?? [] {
                user["\(group.name)\t\(counter.name)"] = counter.value.int.map(Int64.init)
            }
        }
    }
}
