public import MRProtocol

/// Executes jobs whose functions are all built in (docs/builtins.md).
public final class BuiltInEngine: JobEngine {
    /// Version of the built-in functions; part of the keys of remembered outputs.
    public static let version = 1

    private let plan: BuiltInPlan

    /// The table of the jobs that count keys: its memory serves one attempt after the other.
    private let counts: WordCounts?
    private let indexes = RunIndexCache()

    private init(_ plan: BuiltInPlan) {
        self.plan = plan
        counts = plan.countsKeys ? WordCounts(partitionCount: plan.hashedPartitionCount) : nil
    }

    /// An engine for `spec`.
    ///
    /// - Throws: `TaskFault.argument` when a function does not exist or an argument is missing, wrong or unknown.
    public static func make(_ spec: JobSpec) throws(TaskFault) -> any JobEngine {
        BuiltInEngine(try BuiltInPlan(spec))
    }

    /// Maps, combines and writes one run file; see `JobEngine`.
    public func executeMap(
        _ assignment: MapAssignment,
        leaves: any LeafReader,
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters) {
        let run = MapRun(
            plan,
            assignment: assignment,
            leaves: leaves,
            spills: spills,
            limits: limits,
            combine: Combine(plan.combine),
            counts: counts,
            indexes: indexes
        )
        return try run.run(assignment, output: output)
    }

    /// Merges, reduces and writes one part; see `JobEngine`.
    public func executeReduce(
        partition: Int,
        runs: [any RunBytes],
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> TaskCounters {
        let writer = PartWriter(output, format: plan.outputFormat)
        let fold = Fold(plan.reduce, isReduce: true, output: writer, memoryByteCount: limits.memoryByteCount)
        let merge = RunMerge(
            plan,
            combine: Combine(plan.combine),
            spills: spills,
            limits: limits,
            indexes: indexes
        )
        try merge.reduce(runs, partition: partition, into: fold, counts: counts)
        try fold.finish()
        try writer.finish()
        var counters = TaskCounters()
        counters.shuffledBytes = merge.readByteCount
        counters.spilledBytes = merge.spilledByteCount
        counters.reduceInputPairs = merge.countedPairs ?? fold.pairCount
        counters.reduceInputKeys = fold.keyCount
        counters.outputRecords = writer.recordCount
        counters.outputBytes = writer.byteCount
        return counters
    }

    /// Merges run files into one; see `JobEngine`.
    public func executeMerge(
        runs: [any RunBytes],
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters) {
        let writer = RunFileWriter(output, partitionCount: plan.partitionCount)
        let merge = RunMerge(
            plan,
            combine: Combine(plan.combine),
            spills: spills,
            limits: limits,
            indexes: indexes
        )
        try merge.write(runs, to: writer, counts: counts)
        var counters = TaskCounters()
        counters.spilledBytes = merge.spilledByteCount
        return (try writer.finish(), counters)
    }
}
