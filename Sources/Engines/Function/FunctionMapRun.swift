import FunctionProtocol
import MRProtocol

/// One execution of a user function as map: records in, a run file out.
final class FunctionMapRun {
    private let plan: FunctionPlan
    private let functions: JobFunctions
    private let leaves: any LeafReader
    private let spills: any SpillSpace
    private let limits: AttemptLimits
    private let combine: Combine
    private let tally: FunctionTally
    private let sums: PairSums?
    private let indexes: RunIndexCache
    private let pairs: any PackedPairStore
    private let format: RecordChunk.Format
    private var spilled: [any RunBytes] = []
    private var counters = TaskCounters()
    /// Frames of records sent in the attempt at hand, and which of them were the first of a segment.
    private var frameCount = 0
    private var firstFrames: [(frame: Int, segment: MapSegment)] = []

    init(
        _ plan: FunctionPlan,
        functions: JobFunctions,
        leaves: any LeafReader,
        spills: any SpillSpace,
        limits: AttemptLimits,
        combine: Combine,
        tally: FunctionTally,
        sums: PairSums?,
        indexes: RunIndexCache
    ) {
        self.plan = plan
        self.functions = functions
        self.leaves = leaves
        self.spills = spills
        self.limits = limits
        self.combine = combine
        self.tally = tally
        self.sums = sums
        self.indexes = indexes
        pairs = sums ?? PairBuffer(partitionCount: plan.builtIn.hashedPartitionCount, combine: combine)
        format = RecordChunk.Format(plan.spec.recordFormat)
    }

    /// Maps all segments and writes the run file.
    func run(
        _ assignment: MapAssignment,
        output: any FileSink
    ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters) {
        // An attempt that fails leaves pairs behind.
        defer { sums?.removeAll() }
        let helper = try functions.borrow(plan.spec.map)
        do throws(TaskFault) {
            try map(assignment, helper)
        } catch {
            // In the middle of an attempt nobody else can use it.
            helper.close()
            throw located(error, helper)
        }
        functions.giveBack(helper)
        let run = try writeRun(to: output)
        tally.add(to: &counters)
        return (run, counters)
    }

    /// A command is told the file that it reads, so it gets a process for each; other functions see it in each record's key.
    private func map(_ assignment: MapAssignment, _ helper: FunctionHelper) throws(TaskFault) {
        if helper.function.engine == .command {
            for segment in assignment.segments {
                try map([segment], helper, environment: plan.mapEnvironment(segment))
            }
        } else {
            try map(assignment.segments, helper, environment: [])
        }
    }

    private func map(
        _ segments: [MapSegment],
        _ helper: FunctionHelper,
        environment: [(name: String, value: String)]
    ) throws(TaskFault) {
        let start = TaskStart(role: .map, seed: plan.mapSeed(segments), environment: environment)
        frameCount = 0
        firstFrames = []
        try helper.begin(start, limits)
        for segment in segments { try mapRecords(segment, helper) }
        try helper.end(role: .map) { (answer) throws(TaskFault) in try take(answer, helper) }
    }

    private func mapRecords(_ segment: MapSegment, _ helper: FunctionHelper) throws(TaskFault) {
        firstFrames.append((frameCount + 1, segment))
        var cutter = RecordCutter(
            segment: segment,
            delimiter: Delimiter(of: plan.spec.recordFormat),
            limit: plan.spec.recordByteLimit,
            skipsLongRecords: plan.spec.skipsLongRecords
        )
        for leaf in segment.leaves {
            if limits.isCancelled() { throw .cancelled }
            try leaves.withLeaf(leaf) { (bytes) throws(TaskFault) in
                try cutter.cut(bytes) { (chunk, offset) throws(TaskFault) in
                    try send(chunk, offset, segment, helper)
                }
            }
            counters.inputBytes += UInt64(leaf.byteCount)
            limits.progress(leaf.byteCount)
        }
        for leaf in segment.lookahead where !cutter.isDone {
            try leaves.withLeaf(leaf) { (bytes) throws(TaskFault) in
                try cutter.lookAhead(bytes) { (chunk, offset) throws(TaskFault) in
                    try send(chunk, offset, segment, helper)
                }
            }
        }
        if !cutter.isDone {
            try cutter.finish(atEndOfFile: segment.reachesEndOfFile) { (chunk, offset) throws(TaskFault) in
                try send(chunk, offset, segment, helper)
            }
        }
        counters.skippedRecords += cutter.skippedRecords
    }

    private func send(
        _ chunk: UnsafeRawBufferPointer,
        _ offset: UInt64,
        _ segment: MapSegment,
        _ helper: FunctionHelper
    ) throws(TaskFault) {
        counters.inputRecords += RecordCount.records(in: chunk, format: plan.spec.recordFormat)
        frameCount += 1
        let head = RecordChunk(format: format, input: segment.fileName, offset: offset, bytes: []).head
        try helper.send(.records, head: head, bytes: chunk, role: .map) { (answer) throws(TaskFault) in
            try take(answer, helper)
        }
    }

    private func take(_ answer: FunctionAnswer, _ helper: FunctionHelper) throws(TaskFault) {
        guard case .output(let output) = answer else {
            return try tally.take(answer, of: helper.function, .map)
        }
        // `FunctionProcess` hands out whole pairs only.
        counters.mapOutputPairs += UInt64(pairs.add(packed: output))
        if pairs.byteCount > limits.memoryByteCount { try spill() }
    }

    // MARK: Places

    /// A failure that the process could not tell the place of, for it was killed or died, with the record that it was at.
    private func located(_ fault: TaskFault, _ helper: FunctionHelper) -> TaskFault {
        guard case .userFunction(var failure) = fault, failure.kind == .limit || failure.kind == .crashed,
            // A combine may fail meanwhile, whose process is another.
            failure.role == FunctionRole.map.label,
            failure.input.isEmpty, let record = helper.record, record.frame <= frameCount,
            let segment = firstFrames.last(where: { $0.frame <= record.frame })?.segment,
            let excerpt = excerpt(at: record.offset, of: segment)
        else { return fault }
        failure.input = segment.fileName
        failure.offset = record.offset
        failure.excerpt = excerpt
        return .userFunction(failure)
    }

    /// The front of the record at an offset of a segment's file; `nil` when it does not lie in the segment's leaves.
    private func excerpt(at offset: UInt64, of segment: MapSegment) -> [UInt8]? {
        var start = segment.fileOffset
        for leaf in segment.leaves {
            let end = start + UInt64(leaf.byteCount)
            if (start..<end).contains(offset) {
                var excerpt: ArraySlice<UInt8> = []
                try? leaves.withLeaf(leaf) { bytes in
                    excerpt = ArraySlice(
                        bytes.dropFirst(Int(offset - start)).prefix(FunctionFailure.maxExcerptByteCount)
                    )
                }
                return Array(excerpt.prefix { $0 != 0x0a })
            }
            start = end
        }
        return nil
    }

    // MARK: Runs

    private func spill() throws(TaskFault) {
        if pairs.isEmpty { return }
        let writer = RunFileWriter(try spills.makeFile(), partitionCount: plan.builtIn.partitionCount)
        try pairs.drain(to: writer)
        counters.spilledBytes += writer.byteCount
        spilled.append(try writer.finish())
    }

    private func writeRun(to output: any FileSink) throws(TaskFault) -> any RunBytes {
        let writer = RunFileWriter(output, partitionCount: plan.builtIn.partitionCount)
        if spilled.isEmpty {
            try pairs.drain(to: writer)
        } else {
            try spill()
            let merge = RunMerge(
                plan.builtIn,
                combine: combine,
                spills: spills,
                limits: limits,
                indexes: indexes
            )
            try merge.write(spilled, to: writer, counts: sums?.table)
            counters.spilledBytes += merge.spilledByteCount
        }
        counters.combinedPairs = writer.pairCount
        return try writer.finish()
    }
}

/// Counts records as they go by.
private enum RecordCount {
    /// Records in a chunk of whole ones.
    static func records(in chunk: UnsafeRawBufferPointer, format: RecordFormat) -> UInt64 {
        if format == .words {
            var count: UInt64 = 0
            var isInWord = false
            for byte in chunk {
                let isSpace = Delimiter.isWhiteSpace(byte)
                if !isSpace, !isInWord { count += 1 }
                isInWord = !isSpace
            }
            return count
        }
        let newlines = UInt64(WordScanner.newlineCount(chunk))
        return chunk.last.map { $0 != 0x0a } == true ? newlines + 1 : newlines
    }
}

extension RecordChunk.Format {
    init(_ format: RecordFormat) {
        switch format {
        case .lines: self = .lines
        case .crlf: self = .crlf
        case .words: self = .words
        case .kv: self = .kv
        }
    }
}
