import MRProtocol

/// Merges run files with bounded memory, in several passes when they are many.
final class RunMerge {
    /// Most runs merged at once.
    static let maxFanIn = 256
    static let maxBufferByteCount = 256 << 10
    private static let entryByteCount = 40
    /// Most pairs merged between two looks at whether to stop.
    static let maxUncheckedPairCount = 4_096
    /// Bytes merged between two such looks, where pairs are long.
    static let maxUncheckedByteCount = 256 << 10

    private let plan: BuiltInPlan
    private let combine: Combine
    private let spills: any SpillSpace
    private let limits: AttemptLimits
    private let indexes: RunIndexCache
    /// Bytes written to intermediate runs.
    private(set) var spilledByteCount: UInt64 = 0
    /// Bytes of the partitions that were read from the runs given.
    private(set) var readByteCount: UInt64 = 0
    /// Pairs that were read, when they were added up in a table.
    private(set) var countedPairs: UInt64?
    /// Tells how far a reduce is; the merges of a map are part of it and tell nothing.
    private var meter: MergeMeter?

    init(
        _ plan: BuiltInPlan,
        combine: Combine,
        spills: any SpillSpace,
        limits: AttemptLimits,
        indexes: RunIndexCache
    ) {
        self.indexes = indexes
        self.plan = plan
        self.combine = combine
        self.spills = spills
        self.limits = limits
    }

    /// Merges and combines all partitions of `runs` into one run.
    ///
    /// With `counts`, a table, numbers are added up in it instead, as long as they and it fit.
    func write(_ runs: [any RunBytes], to writer: RunFileWriter, counts: WordCounts?) throws(TaskFault) {
        if let counts, plan.combine == .sum, runs.count > 1, try addUp(runs, partition: nil, in: counts) {
            return try counts.drain(to: writer)
        }
        let readers = try narrow(runs, partition: nil)
        try write(readers, partition: nil, to: writer)
    }

    /// Merges partition `partition` of `runs` into `fold`.
    ///
    /// With `counts`, a table, numbers are added up in it instead, as long as they and it fit.
    func reduce(
        _ runs: [any RunBytes],
        partition: Int,
        into fold: Fold,
        counts: WordCounts?
    ) throws(TaskFault) {
        if meter == nil { meter = MergeMeter(limits.progress) }
        if let counts, plan.addsNumbersUp, runs.count > 1, try addUp(runs, partition: partition, in: counts) {
            return try counts.drain(into: fold)
        }
        try reduce(runs, partition: partition, into: fold)
    }

    /// Merges partition `partition` of `runs` into `fold`.
    func reduce(_ runs: [any RunBytes], partition: Int, into fold: some PairFold) throws(TaskFault) {
        readByteCount = 0
        if meter == nil { meter = MergeMeter(limits.progress) }
        let readers = try narrow(runs, partition: partition)
        try merge(readers, partition: partition, into: fold)
    }

    /// Adds up the numbers of all runs in a table, of one partition or of all.
    ///
    /// - Returns: `false` when the table is over the memory limit, or cannot hold a number; the runs must be merged then.
    private func addUp(_ runs: [any RunBytes], partition: Int?, in counts: WordCounts) throws(TaskFault)
        -> Bool
    {
        counts.removeAll()
        var pairCount: UInt64 = 0
        for (number, run) in runs.enumerated() {
            let reader = try open(run, number)
            note([reader], partition)
            let entries =
                partition.map { reader.index.entry(for: $0).map { [$0] } ?? [] } ?? reader.index.entries
            for entry in entries {
                pairCount += entry.pairCount
                guard try addUp(entry, of: reader, in: counts) else { return false }
            }
        }
        countedPairs = pairCount
        return true
    }

    private func addUp(_ entry: RunIndex.Entry, of reader: RunFileReader, in counts: WordCounts)
        throws(TaskFault) -> Bool
    {
        let cursor = PartitionCursor(reader, entry, bufferByteCount: RunMerge.maxBufferByteCount)
        let stride = MergeStride([entry])
        guard try fits(counts) else { return false }
        var untilCheck = stride.pairCount
        while try cursor.advance() {
            guard let value = cursor.valueBytes, let number = DecimalText.short(value),
                counts.add(number: number, to: cursor.keyBytes)
            else {
                counts.removeAll()
                guard plan.countsKeys else { return false }
                throw .malformedMapOutput(
                    runIndex: reader.number,
                    reason: "a count that is no number, or too large"
                )
            }
            untilCheck -= 1
            guard untilCheck == 0 else { continue }
            guard try fits(counts) else { return false }
            meter?.advance(by: stride.byteCount(ofPairs: stride.pairCount), of: readByteCount)
            untilCheck = stride.pairCount
        }
        meter?.advance(by: stride.byteCount(ofPairs: stride.pairCount - untilCheck), of: readByteCount)
        return true
    }

    /// Whether the table is within the memory limit; it is emptied otherwise.
    private func fits(_ counts: WordCounts) throws(TaskFault) -> Bool {
        if limits.isCancelled() { throw .cancelled }
        guard counts.byteCount > limits.memoryByteCount else { return true }
        counts.removeAll()
        return false
    }

    /// Merges neighbours until few enough runs are left to be merged at once.
    private func narrow(_ runs: [any RunBytes], partition: Int?) throws(TaskFault) -> [RunFileReader] {
        let fanIn = fanIn(wholeRuns: partition == nil)
        meter?.begin(passCount: RunMerge.passCount(runs.count, fanIn: fanIn))
        var current = runs
        var isFirstPass = true
        while true {
            if !isFirstPass {
                meter?.nextPass(
                    over: current.reduce(0) { $0 + $1.byteCount },
                    of: readByteCount
                )
            }
            if current.count <= fanIn {
                let readers = try open(current, from: 0)
                if isFirstPass { note(readers, partition) }
                return readers
            }
            var next: [any RunBytes] = []
            for start in stride(from: 0, to: current.count, by: fanIn) {
                let group = Array(current[start..<min(start + fanIn, current.count)])
                let readers = try open(group, from: isFirstPass ? start : 0)
                if isFirstPass { note(readers, partition) }
                let writer = RunFileWriter(try spills.makeFile(), partitionCount: plan.partitionCount)
                try write(readers, partition: partition, to: writer)
                spilledByteCount += writer.byteCount
                next.append(try writer.finish())
            }
            current = next
            isFirstPass = false
        }
    }

    /// Times that the pairs of `runCount` runs are merged, the last one included.
    private static func passCount(_ runCount: Int, fanIn: Int) -> Int {
        var (rest, count) = (runCount, 1)
        while rest > fanIn {
            rest = (rest + fanIn - 1) / fanIn
            count += 1
        }
        return count
    }

    private func fanIn(wholeRuns: Bool) -> Int {
        let index = wholeRuns ? plan.partitionCount * RunMerge.entryByteCount : 0
        let each = PartitionCursor.minBufferByteCount + index
        return min(RunMerge.maxFanIn, max(2, limits.memoryByteCount / 2 / each))
    }

    private func open(_ runs: [any RunBytes], from number: Int) throws(TaskFault) -> [RunFileReader] {
        var readers: [RunFileReader] = []
        for (index, run) in runs.enumerated() {
            readers.append(try open(run, number + index))
        }
        return readers
    }

    private func open(_ run: any RunBytes, _ number: Int) throws(TaskFault) -> RunFileReader {
        try RunFileReader(run, number: number, partitionCount: plan.partitionCount, cache: indexes)
    }

    private func note(_ readers: [RunFileReader], _ partition: Int?) {
        for reader in readers {
            if let partition {
                readByteCount += reader.index.entry(for: partition)?.byteCount ?? 0
            } else {
                readByteCount += reader.index.dataByteCount
            }
        }
    }

    /// Writes one partition, or all of them.
    private func write(_ readers: [RunFileReader], partition: Int?, to writer: RunFileWriter)
        throws(TaskFault)
    {
        let partitions =
            partition.map { [$0] } ?? Set(readers.flatMap { $0.index.entries.map(\.partition) }).sorted()
        if let combined = try combine.begin(into: writer) {
            for partition in partitions { try merge(readers, partition: partition, into: combined) }
            return try combined.finish()
        }
        for partition in partitions {
            writer.begin(partition: partition)
            let fold = Fold(
                combine.kind,
                isReduce: false,
                output: writer,
                memoryByteCount: limits.memoryByteCount
            )
            try merge(readers, partition: partition, into: fold)
            try fold.finish()
        }
    }

    private func merge(_ readers: [RunFileReader], partition: Int, into fold: some PairFold)
        throws(TaskFault)
    {
        let share = limits.memoryByteCount / 2 / max(1, readers.count)
        let bufferByteCount = min(RunMerge.maxBufferByteCount, share)
        var cursors: [PartitionCursor] = []
        var entries: [RunIndex.Entry] = []
        for reader in readers {
            guard let entry = reader.index.entry(for: partition) else { continue }
            cursors.append(PartitionCursor(reader, entry, bufferByteCount: bufferByteCount))
            entries.append(entry)
        }
        let stride = MergeStride(entries)
        if limits.isCancelled() { throw .cancelled }
        let merger = try RunMerger(cursors)
        var untilCheck = stride.pairCount
        while let smallest = merger.smallest {
            try fold.add(key: smallest.keyBytes, value: smallest.valueBytes)
            try merger.advance()
            untilCheck -= 1
            guard untilCheck == 0 else { continue }
            if limits.isCancelled() { throw .cancelled }
            meter?.advance(by: stride.byteCount(ofPairs: stride.pairCount), of: readByteCount)
            untilCheck = stride.pairCount
        }
        meter?.advance(by: stride.byteCount(ofPairs: stride.pairCount - untilCheck), of: readByteCount)
    }
}
