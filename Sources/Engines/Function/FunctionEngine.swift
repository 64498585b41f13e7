import FunctionProtocol
package import MRProtocol

/// Executes jobs in which map, combine or reduce are user functions, in any mix with built-in ones.
///
/// Records are cut, pairs sorted, spilled and merged by the same parts as for built-ins; the functions run in helper
/// processes (`JobFunctions`), which get records and pairs in batches.
package final class FunctionEngine: JobEngine {
    private let plan: FunctionPlan
    private let functions: JobFunctions
    private let indexes = RunIndexCache()
    /// Where numbers are added up, for one attempt after the other.
    private let sums: PairSums?

    /// An engine for a job whose functions are loaded.
    ///
    /// - Throws: `TaskFault.argument` when something about the built-in parts is wrong.
    package init(_ spec: JobSpec, functions: JobFunctions) throws(TaskFault) {
        plan = try FunctionPlan(
            spec,
            usesPosition: functions.usesPosition ?? BuiltInEngine.usesPosition(spec)
        )
        self.functions = functions
        let addsUp = plan.builtIn.combine == .sum
        sums = addsUp ? PairSums(partitionCount: plan.builtIn.hashedPartitionCount) : nil
    }

    /// Maps, combines and writes one run file; see `JobEngine`.
    package func executeMap(
        _ assignment: MapAssignment,
        leaves: any LeafReader,
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters) {
        let tally = FunctionTally(limits.report)
        let combine = try combine(limits, tally)
        guard plan.spec.map.isUserFunction else {
            let run = MapRun(
                plan.builtIn,
                assignment: assignment,
                leaves: leaves,
                spills: spills,
                limits: limits,
                combine: combine,
                counts: sums?.table,
                indexes: indexes
            )
            var result = try run.run(assignment, output: output)
            tally.add(to: &result.counters)
            return result
        }
        let run = FunctionMapRun(
            plan,
            functions: functions,
            leaves: leaves,
            spills: spills,
            limits: limits,
            combine: combine,
            tally: tally,
            sums: sums,
            indexes: indexes
        )
        return try run.run(assignment, output: output)
    }

    /// Merges, reduces and writes one part; see `JobEngine`.
    package func executeReduce(
        partition: Int,
        runs: [any RunBytes],
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> TaskCounters {
        let tally = FunctionTally(limits.report)
        let merge = RunMerge(
            plan.builtIn,
            combine: try combine(limits, tally),
            spills: spills,
            limits: limits,
            indexes: indexes
        )
        let writer = PartWriter(output, format: plan.builtIn.outputFormat)
        var counters = TaskCounters()
        if plan.spec.reduce.isUserFunction {
            let fold = try FunctionFold(
                functions,
                plan.spec.reduce,
                start: TaskStart(
                    role: .reduce,
                    seed: plan.reduceSeed(partition),
                    partition: UInt32(partition),
                    environment: plan.reduceEnvironment(partition)
                ),
                limits: limits,
                tally: tally,
                output: writer
            )
            try merge.reduce(runs, partition: partition, into: fold)
            try fold.finish()
            (counters.reduceInputPairs, counters.reduceInputKeys) = (fold.pairCount, fold.keyCount)
        } else {
            let fold = Fold(
                plan.builtIn.reduce,
                isReduce: true,
                output: writer,
                memoryByteCount: limits.memoryByteCount
            )
            try merge.reduce(runs, partition: partition, into: fold, counts: sums?.table)
            try fold.finish()
            counters.reduceInputPairs = merge.countedPairs ?? fold.pairCount
            counters.reduceInputKeys = fold.keyCount
        }
        try writer.finish()
        counters.shuffledBytes = merge.readByteCount
        counters.spilledBytes = merge.spilledByteCount
        counters.outputRecords = writer.recordCount
        counters.outputBytes = writer.byteCount
        tally.add(to: &counters)
        return counters
    }

    /// Merges run files into one; see `JobEngine`.
    package func executeMerge(
        runs: [any RunBytes],
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters) {
        let tally = FunctionTally(limits.report)
        let writer = RunFileWriter(output, partitionCount: plan.builtIn.partitionCount)
        let merge = RunMerge(
            plan.builtIn,
            combine: try combine(limits, tally),
            spills: spills,
            limits: limits,
            indexes: indexes
        )
        try merge.write(runs, to: writer, counts: sums?.table)
        var counters = TaskCounters()
        counters.spilledBytes = merge.spilledByteCount
        tally.add(to: &counters)
        return (try writer.finish(), counters)
    }

    private func combine(_ limits: AttemptLimits, _ tally: FunctionTally) throws(TaskFault) -> Combine {
        guard let combine = plan.spec.combine else { return .none }
        guard combine.isUserFunction else { return Combine(plan.builtIn.combine) }
        return .function(
            FunctionCombine(
                functions,
                try functions.function(combine),
                partitionCount: plan.builtIn.hashedPartitionCount,
                seed: plan.combineSeed,
                limits: limits,
                tally: tally
            )
        )
    }
}
