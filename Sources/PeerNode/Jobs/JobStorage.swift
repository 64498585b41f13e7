import BlockStore
import Database
import Engines
import MRProtocol
import Multiformats

/// The slow side of the job service, on a thread of its own: plans, `jobs.db`, remembered outputs, results.
actor JobStorage {
    private let executor = ThreadExecutor()
    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    let store: any BlockStore
    /// Fetches blocks that are not here; `nil`: the node is alone.
    private let exchange: Exchange?
    private let configuration: JobConfiguration
    private let engines: any JobEngines
    private let database: JobDatabase?

    /// Prefix of the pins that keep remembered outputs; such pins are not the user's.
    static let rememberedPinPrefix = "~remembered/"
    /// Prefix of the pins that keep results.
    static let resultPinPrefix = "result/"

    init(
        store: any BlockStore,
        configuration: JobConfiguration,
        engines: any JobEngines,
        exchange: Exchange? = nil
    ) {
        self.store = store
        self.exchange = exchange
        self.configuration = configuration
        self.engines = engines
        database = configuration.databasePath.map(JobDatabase.init)
    }
}

// MARK: - Planning

/// A job that can start.
struct PlannedJob: Sendable {
    var execution: JobExecution
    var plan: MapPlan
    var keys: JobKeys
    /// What is remembered of each partition.
    var parts: [RememberedOutput?]
    var notes: [String]
}

/// The keys of a job's tasks.
struct JobKeys: Sendable {
    var map: TaskKeyContext
    var reduce: TaskKeyContext
    var job: TaskKey

    init(_ spec: JobSpec, specCID: CID, engines: any JobEngines, functions: JobFunctions?) {
        let version = engines.version(for: spec)
        let usesPosition = functions?.usesPosition ?? engines.usesPosition(spec)
        map = TaskKeyContext(mapsOf: spec, engineVersion: version, usesPosition: usesPosition)
        reduce = TaskKeyContext(reducesOf: spec, mapContext: map, engineVersion: version)
        job = TaskKey.job(specCID, engineVersion: version)
    }
}

/// How planning a job came out.
enum PlanOutcome: Sendable {
    case planned(PlannedJob)
    /// The whole result is remembered, and pinned for this job.
    case remembered(RememberedOutput)
    case failed(TaskFault)
}

extension JobStorage {
    /// Reads the structure of a job's inputs and looks for remembered outputs.
    func plan(
        _ number: JobNumber,
        _ status: JobStatus,
        functions: JobFunctions?,
        usesMemory: Bool,
        slots: Int
    ) -> PlanOutcome {
        do throws(TaskFault) {
            let keys = JobKeys(status.spec, specCID: status.specCID, engines: engines, functions: functions)
            let ingest = try makeIngest()
            try hold(status.spec.inputs.map(\.root) + status.spec.codeRoots, ingest)
            if usesMemory, let known = rememberedResult(keys, status, ingest) { return known }
            var resolver = InputResolver(store: store)
            for input in status.spec.inputs { try resolver.add(input) }
            let execution = JobExecution(
                number: number,
                spec: status.spec,
                engines: engines,
                store: reading(ingest),
                ingest: ingest,
                configuration: configuration,
                functions: functions
            )
            return .planned(
                try plan(resolver, execution: execution, keys: keys, usesMemory: usesMemory, slots: slots)
            )
        } catch {
            return .failed(error)
        }
    }

    private func plan(
        _ inputs: InputResolver,
        execution: JobExecution,
        keys: JobKeys,
        usesMemory: Bool,
        slots: Int
    ) throws(TaskFault) -> PlannedJob {
        let spec = execution.spec
        let known = usesMemory ? rememberedKeys(keys.map) : []
        let plan = MapPlan(
            files: inputs.files,
            context: keys.map,
            recordByteLimit: spec.recordByteLimit,
            slots: slots,
            isUserFunction: spec.map.isUserFunction,
            lookUp: known.isEmpty ? nil : { key in known.contains(key) ? self.remembered(key) : nil }
        )
        var parts = [RememberedOutput?](repeating: nil, count: spec.reduceCount)
        let knownParts = usesMemory ? rememberedKeys(keys.reduce) : []
        if !knownParts.isEmpty {
            let runs = TaskKey.sequence(plan.items.map(\.key))
            for partition in parts.indices {
                let key = TaskKey.reduce(partition: partition, runs: runs, context: keys.reduce)
                guard knownParts.contains(key), case .run(let part)? = remembered(key) else { continue }
                parts[partition] = part
            }
        }
        touch(plan.items.filter { $0.remembered != nil }.map(\.key))
        return PlannedJob(execution: execution, plan: plan, keys: keys, parts: parts, notes: inputs.notes)
    }

    /// Keeps the inputs from the collector until the job's lease ends, also when their pins go.
    private func hold(_ roots: [CID], _ ingest: Ingest) throws(TaskFault) {
        do throws(BlockStoreError) { try ingest.hold(roots) } catch { throw .store(error.message) }
    }

    /// The store for attempts: blocks that are not here are fetched and put under the job's lease.
    private func reading(_ ingest: Ingest) -> any BlockStore {
        guard let exchange else { return store }
        let options = FetchOptions(patience: ClusterLimits.inputPatience)
        return FetchingStore(store, exchange: exchange, ingest: ingest, options: options)
    }

    /// Starts a lease for the inner nodes that planning has to fetch.
    func makePlanLease() throws(TaskFault) -> Ingest { try makeIngest() }

    /// Ends a lease; its blocks stay until the next collection.
    func close(_ ingest: Ingest) {
        // What cannot be released now is released with the process.
        try? ingest.close()
    }

    /// Makes files of runs that are in memory, so that other nodes can fetch them.
    func share(_ runs: [MemoryRun], _ execution: JobExecution) throws(TaskFault) -> [StoredRun] {
        var shared: [StoredRun] = []
        do throws(BlockStoreError) {
            for run in runs {
                let builder = FileBuilder(ingest: execution.ingest)
                try run.forEachPiece { (piece) throws(BlockStoreError) in try builder.write(piece) }
                let node = try builder.finish()
                shared.append(
                    StoredRun(root: node.cid, byteCount: node.fileByteCount, store: execution.store)
                )
            }
            try execution.ingest.flush()
        } catch {
            throw .store(error.message)
        }
        return shared
    }

    private func makeIngest() throws(TaskFault) -> Ingest {
        do throws(BlockStoreError) { return try store.makeIngest() } catch { throw .store(error.message) }
    }

    /// The result of the same specification, if all of its blocks are still there.
    private func rememberedResult(_ keys: JobKeys, _ status: JobStatus, _ ingest: Ingest) -> PlanOutcome? {
        guard case .run(let output)? = remembered(keys.job) else { return nil }
        do throws(BlockStoreError) {
            try ingest.protectDAG(output.root, in: store)
            try ingest.pin(JobStorage.resultPin(status), output.root, closing: true)
        } catch {
            // Whatever is wrong, the job runs instead, and meets it again if it matters.
            if error.code == .notFound { forget([keys.job]) }
            return nil
        }
        return .remembered(output)
    }

    static func resultPin(_ status: JobStatus) -> String {
        resultPinPrefix + (status.name.isEmpty ? status.id.description : status.name)
    }
}

// MARK: - Remembering

/// The output of a task that is to be remembered.
struct MemoryCandidate: Sendable {
    var key: TaskKey
    var context: TaskKeyContext
    var output: TaskOutput
    var taskCount: Int
    /// What made the output.
    var item: WorkItem
    /// Only to be compared with what is remembered.
    var isForComparison = false
    /// The key to begin the search with, when the output is under another because the attempt read on.
    var entryKey: TaskKey?
}

extension JobStorage {
    /// The outputs of which another is remembered under the same key: their functions are not deterministic.
    func differing(_ candidates: [MemoryCandidate]) -> [WorkItem] {
        candidates.compactMap { candidate in
            guard case .run(let known)? = remembered(candidate.key), let root = candidate.output.root else {
                return nil
            }
            return root == known.root ? nil : candidate.item
        }
    }

    /// Stores and pins outputs and writes down their keys.
    ///
    /// - Returns: why it could not be done; the job goes on without.
    func remember(_ candidates: [MemoryCandidate], _ execution: JobExecution) -> String? {
        guard let database else { return nil }
        do {
            var memories: [JobDatabase.Memory] = []
            var pins: [Pin] = []
            for candidate in candidates {
                let stored = try store(candidate, execution.ingest)
                pins.append(Pin(name: JobStorage.pinName(candidate.key), root: stored.root))
                memories.append(
                    JobDatabase.Memory(key: candidate.key, context: candidate.context, value: .run(stored))
                )
                if let entry = candidate.entryKey {
                    let readsOn = RememberedRun.readsOn(candidate.output.lookaheadCount)
                    memories.append(
                        JobDatabase.Memory(key: entry, context: candidate.context, value: readsOn)
                    )
                }
            }
            try execution.ingest.pin(pins)
            let forgotten = try database.remember(memories, byteLimit: configuration.rememberedByteLimit)
            for key in forgotten { _ = try store.unpin(JobStorage.pinName(key)) }
            return nil
        } catch {
            let reason = (error as? DatabaseError).map { database.explanation(of: $0) } ?? "\(error)"
            return "outputs are not remembered: \(reason)"
        }
    }

    /// Forgets outputs whose blocks are gone or wrong.
    func forget(_ keys: [TaskKey]) {
        try? database?.forget(keys)  // a key that stays is found wrong again, and no worse
        for key in keys { _ = try? store.unpin(JobStorage.pinName(key)) }
    }

    /// Removes pins that no key knows, left by a crash between the store's commit and ours.
    ///
    /// Another process on the home may be between the two right now; then it finds that the output is gone when it wants
    /// it, and makes it again.
    func removeStrayPins() {
        guard let database, let pins = try? store.pins() else { return }
        for pin in pins where pin.name.hasPrefix(JobStorage.rememberedPinPrefix) {
            let digits = pin.name.dropFirst(JobStorage.rememberedPinPrefix.utf8.count)
            guard let digest = JobStorage.digest(digits) else { continue }
            // A key that cannot be looked up keeps its pin.
            if let known = try? database.value(of: TaskKey(digest: digest)) as RememberedRun?? {
                if known == nil { _ = try? store.unpin(pin.name) }
            }
        }
    }

    private func store(_ candidate: MemoryCandidate, _ ingest: Ingest) throws -> RememberedOutput {
        let (root, byteCount) = try store(candidate.output.file, ingest)
        return RememberedOutput(
            root: root,
            byteCount: byteCount,
            taskCount: candidate.taskCount,
            counters: candidate.output.counters
        )
    }

    private func store(_ file: TaskOutput.File, _ ingest: Ingest) throws -> (CID, UInt64) {
        switch file {
        case .part(let part): return (part.cid, part.fileByteCount)
        case .run(let run as StoredRun): return (run.root, run.byteCount)
        case .run(let run as MemoryRun):
            let builder = FileBuilder(ingest: ingest)
            try run.forEachPiece { (piece) throws(BlockStoreError) in try builder.write(piece) }
            return (try builder.finish().cid, run.byteCount)
        case .run: throw BlockStoreError(.unsupported, "a run of another kind cannot be stored")
        }
    }

    private func rememberedKeys(_ context: TaskKeyContext) -> Set<TaskKey> {
        // A database that cannot be read makes the job slower, not impossible.
        (try? database?.keys(in: context)) ?? []
    }

    private func remembered(_ key: TaskKey) -> RememberedRun? { (try? database?.value(of: key)) ?? nil }

    private func touch(_ keys: [TaskKey]) {
        if !keys.isEmpty { try? database?.touch(keys) }  // only the order of forgetting suffers
    }

    static func pinName(_ key: TaskKey) -> String {
        let digits = Array("0123456789abcdef".utf8)
        let text = key.digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
        return rememberedPinPrefix + String(decoding: text, as: UTF8.self)
    }

    private static func digest(_ text: Substring) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count == 64 else { return nil }
        let bytes = stride(from: 0, to: 64, by: 2).compactMap {
            UInt8(String(decoding: digits[$0..<$0 + 2], as: UTF8.self), radix: 16)
        }
        return bytes.count == 32 ? bytes : nil
    }
}

// MARK: - Results

/// How making a result came out.
enum ResultOutcome: Sendable {
    case made(CID)
    case failed(TaskFault)
}

extension JobStorage {
    /// Makes the directory of the parts and pins it, in one durable transaction; `closing` it also ends the job's lease.
    func makeResult(
        _ parts: [ImportedNode],
        _ execution: JobExecution,
        _ status: JobStatus,
        closing: Bool
    ) -> ResultOutcome {
        let entries = parts.enumerated().map { (name: JobStorage.partName($0.offset), node: $0.element) }
        do throws(BlockStoreError) {
            let root = try DirectoryBuilder.directory(entries, into: execution.ingest)
            try execution.ingest.pin(JobStorage.resultPin(status), root.cid, closing: closing)
            return .made(root.cid)
        } catch {
            return .failed(.store(error.message))
        }
    }

    /// Ends the lease of a job; blocks that no pin holds go to the next garbage collection.
    func release(_ execution: JobExecution) {
        // What cannot be released now is released with the process.
        try? execution.ingest.close()
    }

    /// Ends the lease of a job and removes what it put.
    func abandon(_ execution: JobExecution) {
        try? execution.ingest.abandon()
    }

    /// `part-00000` and so on.
    private static func partName(_ partition: Int) -> [UInt8] {
        let digits = String(partition)
        return Array(("part-" + String(repeating: "0", count: max(0, 5 - digits.count)) + digits).utf8)
    }
}

// MARK: - Jobs

extension JobStorage {
    /// Writes a job down; with `result` also remembers that under the job's key.
    func save(_ record: JobDatabase.Record, result: (key: TaskKey, output: RememberedOutput)? = nil)
        throws(JobServiceError)
    {
        guard let database else { return }
        do throws(DatabaseError) {
            try database.save(
                record,
                result: result.map { result in
                    JobDatabase.Memory(
                        key: result.key,
                        context: JobStorage.resultContext,
                        value: .run(result.output)
                    )
                }
            )
        } catch {
            throw JobServiceError(.database, database.explanation(of: error))
        }
    }

    /// What results are remembered under; nobody asks for all of them.
    private static let resultContext = TaskKeyContext(digest: [], usesPosition: false)

    func jobs() throws(JobServiceError) -> [JobDatabase.Record] {
        try read { (database) throws(DatabaseError) in try database.jobs() } ?? []
    }

    func job(_ id: JobID) throws(JobServiceError) -> JobDatabase.Record? {
        try read { (database) throws(DatabaseError) in try database.job(id) } ?? nil
    }

    func unfinishedJobs() throws(JobServiceError) -> [JobDatabase.Record] {
        try read { (database) throws(DatabaseError) in try database.unfinishedJobs() } ?? []
    }

    /// Finds out whether jobs can be written down.
    func checkDatabase() throws(JobServiceError) {
        _ = try read { (database) throws(DatabaseError) in try database.check() }
    }

    private func read<T>(_ body: (JobDatabase) throws(DatabaseError) -> T) throws(JobServiceError) -> T? {
        guard let database else { return nil }
        do throws(DatabaseError) {
            return try body(database)
        } catch {
            throw JobServiceError(.database, database.explanation(of: error))
        }
    }
}
