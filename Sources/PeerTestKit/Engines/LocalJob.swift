package import Engines
public import MRProtocol
import Multiformats

/// Runs a whole job in one thread, in memory, grouped and limited as a test wants it.
public struct LocalJob {
    /// What to run.
    public var spec: JobSpec
    /// Bytes of each leaf but the last.
    public var leafByteCount = 64
    /// Leaves of one map attempt.
    public var groupLeafCount = 4
    /// Runs merged into one before the reduces; 1: none.
    public var mergeCount = 1
    /// Runs merged into one lie far apart in the input, and not side by side.
    public var mergesScattered = false
    /// Memory limit of each attempt, in bytes.
    public var memoryByteCount = 1 << 30

    /// A job with small leaves.
    public init(_ spec: JobSpec) { self.spec = spec }

    /// What a job left behind.
    public struct Outcome {
        /// The bytes of each part.
        public var parts: [[UInt8]]
        /// All parts in key order.
        public var merged: [UInt8]
        /// Sums over all attempts.
        public var counters: TaskCounters
    }

    /// Runs the job of built-in functions over `files`.
    public func run(_ files: [(name: String, bytes: [UInt8])]) throws(TaskFault) -> Outcome {
        try run(files, engine: try BuiltInEngine.make(spec))
    }

    /// Runs the job over `files` in an engine of it.
    package func run(
        _ files: [(name: String, bytes: [UInt8])],
        engine: any JobEngine,
        report: AttemptReport = AttemptReport()
    ) throws(TaskFault) -> Outcome {
        let limits = AttemptLimits(memoryByteCount: memoryByteCount, report: report)
        let spills = MemorySpillSpace()
        var counters = TaskCounters()
        let leaves = MemoryLeaves()
        var runs: [any RunBytes] = []
        for assignment in assignments(files, leaves) {
            let done = try engine.executeMap(
                assignment,
                leaves: leaves,
                output: MemoryFile(),
                spills: spills,
                limits: limits
            )
            counters += done.counters
            runs.append(done.run)
        }
        runs = try premerge(runs, engine, spills, limits)
        var parts: [MemoryFile] = []
        for partition in 0..<spec.reduceCount {
            let part = MemoryFile()
            counters += try engine.executeReduce(
                partition: partition,
                runs: runs,
                output: part,
                spills: spills,
                limits: limits
            )
            parts.append(part)
        }
        var merged: [UInt8] = []
        try ResultMerger.merge(parts, rule: KeyRule(of: spec)) { (bytes) throws(TaskFault) in
            merged.append(contentsOf: bytes)
        }
        return Outcome(parts: parts.map(\.bytes), merged: merged, counters: counters)
    }

    private func premerge(
        _ runs: [any RunBytes],
        _ engine: any JobEngine,
        _ spills: MemorySpillSpace,
        _ limits: AttemptLimits
    ) throws(TaskFault) -> [any RunBytes] {
        guard mergeCount > 1 else { return runs }
        var merged: [any RunBytes] = []
        if mergesScattered {
            let count = (runs.count + mergeCount - 1) / mergeCount
            for first in 0..<count {
                let group = stride(from: first, to: runs.count, by: count).map { runs[$0] }
                merged.append(
                    try engine.executeMerge(
                        runs: group,
                        output: MemoryFile(),
                        spills: spills,
                        limits: limits
                    ).run
                )
            }
            return merged
        }
        for start in stride(from: 0, to: runs.count, by: mergeCount) {
            let group = Array(runs[start..<min(start + mergeCount, runs.count)])
            merged.append(
                try engine.executeMerge(runs: group, output: MemoryFile(), spills: spills, limits: limits).run
            )
        }
        return merged
    }

    private func assignments(
        _ files: [(name: String, bytes: [UInt8])],
        _ reader: MemoryLeaves
    ) -> [MapAssignment] {
        var result: [MapAssignment] = []
        var open: [MapSegment] = []
        var openCount = 0
        for (fileIndex, file) in files.enumerated() {
            let leaves = reader.add(file.bytes, leafByteCount: leafByteCount)
            var first = 0
            while first < leaves.count {
                let end = min(first + groupLeafCount - openCount, leaves.count)
                open.append(
                    MapSegment(
                        fileIndex: fileIndex,
                        fileName: file.name,
                        fileOffset: UInt64(first * leafByteCount),
                        leaves: Array(leaves[first..<end]),
                        lookahead: Array(leaves[end...].prefix(lookaheadCount)),
                        reachesEndOfFile: leaves.count - end <= lookaheadCount
                    )
                )
                openCount += end - first
                first = end
                if openCount == groupLeafCount {
                    result.append(MapAssignment(segments: open))
                    open = []
                    openCount = 0
                }
            }
        }
        if !open.isEmpty { result.append(MapAssignment(segments: open)) }
        return result
    }

    /// Leaves that the longest legal record and its delimiter may reach into.
    private var lookaheadCount: Int { (spec.recordByteLimit + leafByteCount) / leafByteCount + 1 }
}
