import Engines
import MRProtocol
import Synchronization

@testable import PeerNode

/// Engines whose reduces do first what a test says.
///
/// The built-in engine makes the output; what it tells of how far it is is not passed on.
final class StagedEngines: JobEngines {
    /// Called with the partition, the number of the attempt at it, from 1, and what tells bytes that were read.
    typealias Stage =
        @Sendable (_ partition: Int, _ attempt: Int, _ tell: (Int) -> Void) throws(TaskFault) -> Void

    private let inner = StandardEngines()
    private let stage: Stage
    private let attempts = Mutex<[Int: Int]>([:])

    init(_ stage: @escaping Stage) { self.stage = stage }

    var version: String { inner.version }

    func usesPosition(_ spec: JobSpec) -> Bool { inner.usesPosition(spec) }

    func make(_ spec: JobSpec, functions: JobFunctions?) throws(TaskFault) -> any JobEngine {
        StagedEngine(try inner.make(spec, functions: functions)) { (partition, tell) throws(TaskFault) in
            let attempt = self.attempts.withLock { attempts in
                attempts[partition, default: 0] += 1
                return attempts[partition, default: 0]
            }
            try self.stage(partition, attempt, tell)
        }
    }
}

private final class StagedEngine: JobEngine {
    private let inner: any JobEngine
    private let stage: (Int, (Int) -> Void) throws(TaskFault) -> Void

    init(_ inner: any JobEngine, _ stage: @escaping (Int, (Int) -> Void) throws(TaskFault) -> Void) {
        self.inner = inner
        self.stage = stage
    }

    func executeMap(
        _ assignment: MapAssignment,
        leaves: any LeafReader,
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters) {
        try inner.executeMap(assignment, leaves: leaves, output: output, spills: spills, limits: limits)
    }

    func executeReduce(
        partition: Int,
        runs: [any RunBytes],
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> TaskCounters {
        try stage(partition, limits.progress)
        var limits = limits
        limits.progress = { _ in }
        return try inner.executeReduce(
            partition: partition,
            runs: runs,
            output: output,
            spills: spills,
            limits: limits
        )
    }

    func executeMerge(
        runs: [any RunBytes],
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters) {
        try inner.executeMerge(runs: runs, output: output, spills: spills, limits: limits)
    }
}
