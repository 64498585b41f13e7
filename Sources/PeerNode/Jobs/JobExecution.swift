import BlockStore
import Engines
import MRProtocol
import Multiformats
import Synchronization

/// The user functions of a job, and those that attempts have begun with before.
private struct LoadedFunctions {
    var current: JobFunctions?
    var retired: [Retired] = []

    /// Lives as long as an attempt does that began with it.
    struct Retired {
        weak var functions: JobFunctions?
    }
}

/// What the attempts of one job share.
final class JobExecution: Sendable {
    let number: JobNumber
    let spec: JobSpec
    let engines: any JobEngines
    /// Its user functions; `nil`: there are none, or they are still to be loaded.
    private let loadedFunctions: Mutex<LoadedFunctions>
    let store: any BlockStore
    /// The job's lease: everything that its attempts put is under it until the job ends.
    let ingest: Ingest
    let memory: RunMemory
    /// Memory of one attempt, in bytes.
    let attemptMemoryByteCount: Int
    /// Runs are files in the store, where other nodes can fetch them.
    let sharesRuns: Bool
    private let cancelled = Atomic<Bool>(false)
    private let readByteCount = Atomic<Int>(0)

    init(
        number: JobNumber,
        spec: JobSpec,
        engines: any JobEngines,
        store: any BlockStore,
        ingest: Ingest,
        configuration: JobConfiguration,
        functions: JobFunctions? = nil,
        sharesRuns: Bool = false,
        memory: RunMemory? = nil
    ) {
        loadedFunctions = Mutex(LoadedFunctions(current: functions))
        self.number = number
        self.spec = spec
        self.engines = engines
        self.store = store
        self.ingest = ingest
        self.sharesRuns = sharesRuns
        // A quarter holds finished runs, half belongs to the attempts; the rest is for blocks on their way, caches and code.
        self.memory = memory ?? RunMemory(limit: configuration.memoryByteCount / 4)
        attemptMemoryByteCount = configuration.memoryByteCount / 2 / configuration.slots
    }

    /// Makes running attempts end soon, and the processes of user functions.
    func cancel() {
        cancelled.store(true, ordering: .relaxed)
        let all = loadedFunctions.withLock { $0.retired.map(\.functions) + [$0.current] }
        for functions in all { functions?.close() }
    }

    var functions: JobFunctions? { loadedFunctions.withLock { $0.current } }

    /// Takes the functions, which were loaded after the job was taken up; those before them end with their attempts.
    func adopt(_ functions: JobFunctions?) {
        let former = loadedFunctions.withLock { loaded in
            let former = loaded.current
            loaded.current = functions
            loaded.retired.removeAll { $0.functions == nil }
            loaded.retired.append(LoadedFunctions.Retired(functions: former))
            return former
        }
        former?.retire()
    }

    func makeEngine() throws(TaskFault) -> any JobEngine { try engines.make(spec, functions: functions) }
    var isCancelled: Bool { cancelled.load(ordering: .relaxed) }
    /// File bytes read by all maps so far.
    var bytesRead: Int { readByteCount.load(ordering: .relaxed) }

    /// Counts file bytes that a map read, here or on another node.
    func count(bytesRead count: Int) { readByteCount.add(count, ordering: .relaxed) }

    func limits(
        _ stop: StopFlag,
        report: AttemptReport,
        progress: @escaping @Sendable (Int) -> Void
    ) -> AttemptLimits {
        AttemptLimits(
            memoryByteCount: attemptMemoryByteCount,
            isCancelled: { stop.isSet || self.isCancelled },
            progress: progress,
            report: report
        )
    }
}

/// Tells one attempt to stop.
final class StopFlag: Sendable {
    private let flag = Atomic<Bool>(false)
    var isSet: Bool { flag.load(ordering: .relaxed) }
    func set() { flag.store(true, ordering: .relaxed) }
}

/// Bytes counted by one thread and read by others.
final class ByteCounter: Sendable {
    private let count = Atomic<UInt64>(0)
    var byteCount: UInt64 { count.load(ordering: .relaxed) }
    func add(_ byteCount: Int) { count.wrappingAdd(UInt64(max(0, byteCount)), ordering: .relaxed) }
}

/// An attempt with all that its execution needs.
struct AttemptRequest: Sendable {
    enum Work: Sendable {
        case map(MapAssignment)
        case merge([any RunBytes])
        case reduce(partition: Int, [any RunBytes])
    }

    var attempt: Attempt
    var execution: JobExecution
    var work: Work
    var stop: StopFlag
    /// Which state of the job's outputs the attempt reads.
    var inputGeneration = 0
    /// What the functions of the attempt say.
    let report = AttemptReport()
    /// Run bytes that a reduce has read so far, wherever it runs.
    let reduced = ByteCounter()
    /// A map's run stays in memory as long as there is room, to be merged on this node later.
    var keepsRun = false
    /// The node that the attempt is for; `nil`: this one.
    var master: PeerID?
    /// Attempts of that node which may run at a time; `nil`: as many as there are slots.
    var slotLimit: Int?
    /// Called with input bytes read since the last call, as `AttemptLimits.progress` counts them.
    var progress: (@Sendable (Int) -> Void)?
    /// Takes the end of an attempt that another master gave.
    var ended: (@Sendable (Result<TaskOutput, TaskFault>) -> Void)?
}

/// What an attempt made.
struct TaskOutput: Sendable {
    enum File: Sendable {
        case run(any RunBytes)
        case part(ImportedNode)
    }

    var file: File
    var counters: TaskCounters
    /// Leaves behind the assignment that a map read.
    var lookaheadCount = 0

    var run: (any RunBytes)? { if case .run(let run) = file { run } else { nil } }
    var part: ImportedNode? { if case .part(let part) = file { part } else { nil } }
}

extension AttemptRequest {
    /// Counts input bytes that the attempt read: those of a map for its job, those of a reduce for the attempt alone, which
    /// may fail or be one of several.
    func count(_ byteCount: Int) {
        if case .reduce = work { reduced.add(byteCount) } else { execution.count(bytesRead: byteCount) }
    }

    /// Executes the attempt on the calling thread.
    func execute(_ engine: any JobEngine) throws(TaskFault) -> TaskOutput {
        let spills = StoreSpillSpace(store: execution.store)
        defer { spills.discard() }
        let limits = execution.limits(stop, report: report) { byteCount in
            count(byteCount)
            progress?(byteCount)
        }
        if limits.isCancelled() { throw .cancelled }
        switch work {
        case .map(let assignment):
            let leaves = StoreLeafReader(store: execution.store, assignment: assignment)
            let (run, counters) = try engine.executeMap(
                assignment,
                leaves: leaves,
                output: runSink,
                spills: spills,
                limits: limits
            )
            let file = keepsRun ? try HeldRun.named(run) : run
            return TaskOutput(file: .run(file), counters: counters, lookaheadCount: leaves.lookaheadCount)
        case .merge(let runs):
            let (run, counters) = try engine.executeMerge(
                runs: runs,
                output: runSink,
                spills: spills,
                limits: limits
            )
            return TaskOutput(file: .run(run), counters: counters)
        case .reduce(let partition, let runs):
            let sink = StoreSink(
                store: execution.store,
                ingest: execution.ingest,
                isFlushed: execution.sharesRuns
            )
            let counters = try engine.executeReduce(
                partition: partition,
                runs: runs,
                output: sink,
                spills: spills,
                limits: limits
            )
            _ = try sink.finish()  // harmless when the engine did it
            guard let node = sink.node else { throw .store("part \(partition) was not finished") }
            return TaskOutput(file: .part(node), counters: counters)
        }
    }

    private var runSink: any FileSink {
        if execution.sharesRuns, !keepsRun {
            return StoreSink(store: execution.store, ingest: execution.ingest, isFlushed: true)
        }
        return RunSink(memory: execution.memory, store: execution.store, ingest: execution.ingest)
    }
}
