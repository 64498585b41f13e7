import MRProtocol

/// Merges run files with bounded memory, in several passes when they are many.
final class RunMerge {
    /// Most runs merged at once.
    static let maxFanIn = 256
    static let maxBufferByteCount = 256 << 10
    private static let entryByteCount = 40

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
        if let counts, plan.addsNumbersUp, runs.count > 1, try addUp(runs, partition: partition, in: counts) {
            return try counts.drain(into: fold)
        }
        try reduce(runs, partition: partition, into: fold)
    }

    /// Merges partition `partition` of `runs` into `fold`.
    func reduce(_ runs: [any RunBytes], partition: Int, into fold: some PairFold) throws(TaskFault) {
        readByteCount = 0
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
        var untilCheck = 0
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
            guard untilCheck < 0 else { continue }
            if limits.isCancelled() { throw .cancelled }
            if counts.byteCount > limits.memoryByteCount {
                counts.removeAll()
                return false
            }
            untilCheck = 4096
        }
        return true
    }

    /// Merges neighbours until few enough runs are left to be merged at once.
    private func narrow(_ runs: [any RunBytes], partition: Int?) throws(TaskFault) -> [RunFileReader] {
        var current = runs
        var isFirstPass = true
        while true {
            let fanIn = fanIn(wholeRuns: partition == nil)
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
        for reader in readers {
            guard let entry = reader.index.entry(for: partition) else { continue }
            cursors.append(PartitionCursor(reader, entry, bufferByteCount: bufferByteCount))
        }
        let merger = try RunMerger(cursors)
        var untilCheck = 0
        while let smallest = merger.smallest {
            if untilCheck == 0 {
                if limits.isCancelled() { throw .cancelled }
                untilCheck = 4096
            }
            untilCheck -= 1
            try fold.add(key: smallest.keyBytes, value: smallest.valueBytes)
            try merger.advance()
        }
    }
}
