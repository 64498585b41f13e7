import Glibc
import MRProtocol

/// One execution of a map: records in, a run file out.
final class MapRun {
    private let plan: BuiltInPlan
    private let combine: Combine
    private let leaves: any LeafReader
    private let spills: any SpillSpace
    private let limits: AttemptLimits

    private let indexes: RunIndexCache
    private let counts: WordCounts?
    private let files: WordFiles?
    private let pairs: PairBuffer?
    private let store: any PairStore
    private let bounds: UnsafeMutablePointer<UInt32> = .allocate(capacity: WordScanner.boundCapacity)
    private let line = GrowingBytes()
    private let digits = GrowingBytes()
    private var spilled: [any RunBytes] = []
    private var fileName: [UInt8] = []
    private var fileNumber: UInt32 = 0
    private(set) var counters = TaskCounters()

    init(
        _ plan: BuiltInPlan,
        assignment: MapAssignment,
        leaves: any LeafReader,
        spills: any SpillSpace,
        limits: AttemptLimits,
        combine: Combine,
        counts reusedCounts: WordCounts?,
        indexes: RunIndexCache
    ) {
        self.combine = combine
        self.indexes = indexes
        self.plan = plan
        self.leaves = leaves
        self.spills = spills
        self.limits = limits
        let partitions = plan.hashedPartitionCount
        let countsKeys = plan.countsKeys
        let listsFiles = plan.combine == .distinct && plan.map == .wordFiles
        counts = countsKeys ? reusedCounts ?? WordCounts(partitionCount: partitions) : nil
        counts?.removeAll()
        files =
            listsFiles
            ? WordFiles(partitionCount: partitions, names: Set(assignment.segments.map(\.fileName))) : nil
        pairs = countsKeys || listsFiles ? nil : PairBuffer(partitionCount: partitions, combine: combine)
        store = counts ?? files ?? pairs ?? PairBuffer(partitionCount: partitions, combine: combine)
    }

    deinit { bounds.deallocate() }

    /// Maps all segments and writes the run file.
    func run(
        _ assignment: MapAssignment,
        output: any FileSink
    ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters) {
        for segment in assignment.segments {
            fileName = Array(segment.fileName.utf8)
            fileNumber = files?.number(of: segment.fileName) ?? 0
            if plan.map == .statistics { try mapStatistics(segment) } else { try mapRecords(segment) }
        }
        let result = try writeRun(to: output)
        return (result, counters)
    }

    // MARK: Leaves and records

    private func mapRecords(_ segment: MapSegment) throws(TaskFault) {
        var cutter = RecordCutter(
            segment: segment,
            delimiter: plan.delimiter,
            limit: plan.recordByteLimit,
            skipsLongRecords: plan.skipsLongRecords
        )
        if plan.map == .matches(.count), segment.fileOffset == 0 { addCount(0) }
        for leaf in segment.leaves {
            try checkCancelled()
            try leaves.withLeaf(leaf) { (bytes) throws(TaskFault) in
                try cutter.cut(bytes) { (chunk, offset) throws(TaskFault) in
                    try mapChunk(chunk, offset, segment.fileName)
                }
            }
            counters.inputBytes += UInt64(leaf.byteCount)
            limits.progress(leaf.byteCount)
        }
        for leaf in segment.lookahead where !cutter.isDone {
            try leaves.withLeaf(leaf) { (bytes) throws(TaskFault) in
                try cutter.lookAhead(bytes) { (chunk, offset) throws(TaskFault) in
                    try mapChunk(chunk, offset, segment.fileName)
                }
            }
        }
        if !cutter.isDone {
            try cutter.finish(atEndOfFile: segment.reachesEndOfFile) { (chunk, offset) throws(TaskFault) in
                try mapChunk(chunk, offset, segment.fileName)
            }
        }
        counters.skippedRecords += cutter.skippedRecords
    }

    private func mapChunk(
        _ chunk: UnsafeRawBufferPointer,
        _ offset: UInt64,
        _ name: String
    ) throws(TaskFault) {
        switch plan.map {
        case .words, .wordFiles:
            if plan.format == .kv {
                try forEachRecord(chunk, offset, name) { (record, _) throws(TaskFault) in mapWords(record) }
            } else {
                mapWords(chunk)
            }
        case .ones:
            try forEachRecord(chunk, offset, name) { (record, _) throws(TaskFault) in
                counters.inputRecords += 1
                counters.mapOutputPairs += 1
                addOne(record, readableByteCount: record.count)
            }
        case .keys: try mapKeys(chunk, offset, name)
        case .pairs: try mapPairs(chunk, offset, name)
        case .matches(let output): try mapMatches(chunk, offset, name, output)
        case .statistics: break
        }
        if store.byteCount > limits.memoryByteCount { try spill() }
    }

    /// Hands out each record of a chunk, without its delimiter, and its offset in the file.
    @inline(__always)
    private func forEachRecord(
        _ chunk: UnsafeRawBufferPointer,
        _ offset: UInt64,
        _ name: String,
        _ body: (UnsafeRawBufferPointer, UInt64) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        guard let base = chunk.baseAddress else { return }
        if plan.format == .words { return try forEachWord(chunk, offset, body) }
        var position = 0
        while position < chunk.count {
            let found = memchr(base + position, 0x0a, chunk.count - position)
            let end = found.map { UnsafeRawPointer($0) - base } ?? chunk.count
            var length = end - position
            if plan.format == .crlf, found != nil, length > 0, chunk[end - 1] == 0x0d { length -= 1 }
            var record = UnsafeRawBufferPointer(start: base + position, count: length)
            if plan.format == .kv {
                record = try textOfPair(record, at: offset + UInt64(position), name)
            }
            try body(record, offset + UInt64(position))
            position = end + 1
        }
    }

    private func forEachWord(
        _ chunk: UnsafeRawBufferPointer,
        _ offset: UInt64,
        _ body: (UnsafeRawBufferPointer, UInt64) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        var fault: TaskFault?
        WordScanner.scan(chunk, bounds: bounds) { bounds, count in
            for index in 0..<count where fault == nil {
                let start = Int(bounds[2 * index])
                let word = UnsafeRawBufferPointer(rebasing: chunk[start..<Int(bounds[2 * index + 1])])
                do throws(TaskFault) { try body(word, offset + UInt64(start)) } catch { fault = error }
            }
        }
        if let fault { throw fault }
    }

    /// The text form of an escaped pair; valid until the next call.
    private func textOfPair(
        _ record: UnsafeRawBufferPointer,
        at offset: UInt64,
        _ name: String
    ) throws(TaskFault) -> UnsafeRawBufferPointer {
        line.removeAll()
        // The tab between key and value is no escape, so it stays as it is.
        guard EscapedPair.appendUnescaped(record, to: line) else { throw malformedPair(name, offset) }
        return line.bytes
    }

    private func malformedPair(_ name: String, _ offset: UInt64) -> TaskFault {
        .malformedInput(
            file: name,
            offset: offset,
            reason: "a `kv` record with an escape that does not exist"
        )
    }

    // MARK: Maps

    private func mapWords(_ chunk: UnsafeRawBufferPointer) {
        guard let base = chunk.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
        let byteCount = chunk.count
        var total = 0
        if let counts {
            WordScanner.scan(chunk, bounds: bounds) { bounds, wordCount in
                counts.add(base, byteCount: byteCount, bounds: bounds, wordCount: wordCount)
                total += wordCount
            }
        } else if let files {
            let file = fileNumber
            WordScanner.scan(chunk, bounds: bounds) { bounds, wordCount in
                files.add(base, byteCount: byteCount, bounds: bounds, wordCount: wordCount, file: file)
                total += wordCount
            }
        } else {
            WordScanner.scan(chunk, bounds: bounds) { bounds, wordCount in
                addPlainWords(chunk, bounds, wordCount)
                total += wordCount
            }
        }
        counters.inputRecords += UInt64(total)
        counters.mapOutputPairs += UInt64(total)
    }

    private func addPlainWords(
        _ chunk: UnsafeRawBufferPointer,
        _ bounds: UnsafePointer<UInt32>,
        _ wordCount: Int
    ) {
        let value: [UInt8] = plan.map == .wordFiles ? fileName : [0x31]
        value.withUnsafeBytes { value in
            for index in 0..<wordCount {
                let range = Int(bounds[2 * index])..<Int(bounds[2 * index + 1])
                pairs?.add(key: UnsafeRawBufferPointer(rebasing: chunk[range]), value: value)
            }
        }
    }

    private func addOne(_ key: UnsafeRawBufferPointer, readableByteCount: Int) {
        if let counts {
            guard let start = key.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
            counts.add(key: start, byteCount: key.count, isRoomy: readableByteCount >= 16, count: 1)
        } else {
            addPair(key, number: 1)
        }
    }

    private func addPair(_ key: UnsafeRawBufferPointer, number: Int) {
        digits.removeAll()
        DecimalText.append(number, to: digits)
        pairs?.add(key: key, value: digits.bytes)
    }

    private func addCount(_ count: Int) {
        counters.mapOutputPairs += 1
        fileName.withUnsafeBytes { addPair($0, number: count) }
    }

    private func mapKeys(
        _ chunk: UnsafeRawBufferPointer,
        _ offset: UInt64,
        _ name: String
    ) throws(TaskFault) {
        var records: UInt64 = 0
        defer {
            counters.inputRecords += records
            counters.mapOutputPairs += records
        }
        guard plan.format == .lines, let pairs else {
            return try forEachRecord(chunk, offset, name) { (record, _) throws(TaskFault) in
                records += 1
                self.pairs?.add(key: record, value: nil)
            }
        }
        let stored = UnsafeRawBufferPointer(start: pairs.store(chunk), count: chunk.count)
        try forEachRecord(stored, offset, name) { (record, _) throws(TaskFault) in
            guard let start = record.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
            records += 1
            pairs.addStored(key: start, byteCount: record.count)
        }
    }

    private func mapPairs(
        _ chunk: UnsafeRawBufferPointer,
        _ offset: UInt64,
        _ name: String
    ) throws(TaskFault) {
        guard let base = chunk.baseAddress else { return }
        var position = 0
        while position < chunk.count {
            let found = memchr(base + position, 0x0a, chunk.count - position)
            let end = found.map { UnsafeRawPointer($0) - base } ?? chunk.count
            let record = UnsafeRawBufferPointer(start: base + position, count: end - position)
            let tab = record.firstIndex(of: 0x09) ?? record.count
            line.removeAll()
            digits.removeAll()
            let hasValue = tab < record.count
            let value = UnsafeRawBufferPointer(rebasing: record[min(tab + 1, record.count)...])
            guard EscapedPair.appendUnescaped(UnsafeRawBufferPointer(rebasing: record[..<tab]), to: line),
                EscapedPair.appendUnescaped(value, to: digits)
            else { throw malformedPair(name, offset + UInt64(position)) }
            pairs?.add(key: line.bytes, value: hasValue ? digits.bytes : nil)
            counters.inputRecords += 1
            counters.mapOutputPairs += 1
            position = end + 1
        }
    }

    private func mapMatches(
        _ chunk: UnsafeRawBufferPointer,
        _ offset: UInt64,
        _ name: String,
        _ output: BuiltInPlan.GrepOutput
    ) throws(TaskFault) {
        guard let matcher = plan.matcher else { return }
        var matched = 0
        try forEachRecord(chunk, offset, name) { (record, recordOffset) throws(TaskFault) in
            counters.inputRecords += 1
            guard let start = record.baseAddress?.assumingMemoryBound(to: UInt8.self) else { return }
            switch matcher.match(start, byteCount: record.count) {
            case .noMatch: return
            case .failure(let number):
                let reason = LineMatcher.message(number)
                throw .function(name: "grep", file: name, offset: recordOffset, reason: reason)
            case .match: break
            }
            switch output {
            case .lines:
                counters.mapOutputPairs += 1
                pairs?.add(key: record, value: nil)
            case .offset:
                counters.mapOutputPairs += 1
                digits.removeAll()
                DecimalText.append(Int(recordOffset), to: digits)
                digits.append(0x3a)
                digits.append(record)
                pairs?.add(key: digits.bytes, value: nil)
            case .count: matched += 1
            }
        }
        if plan.combine == .sum && matched > 0 {
            addCount(matched)
        } else {
            for _ in 0..<matched { addCount(1) }
        }
    }

    /// Emits newlines, words and bytes of each leaf; a word counts where the white space before it lies.
    private func mapStatistics(_ segment: MapSegment) throws(TaskFault) {
        var statistics = TextStatistics(startsFile: segment.fileOffset == 0)
        for leaf in segment.leaves {
            try checkCancelled()
            var previous: TextStatistics.Totals?
            try leaves.withLeaf(leaf) { (bytes) throws(TaskFault) in
                previous = statistics.add(bytes)
            }
            if let previous { try addStatistics(previous) }
            counters.inputBytes += UInt64(leaf.byteCount)
            limits.progress(leaf.byteCount)
        }
        for leaf in segment.lookahead where statistics.needsNextByte {
            try leaves.withLeaf(leaf) { (bytes) throws(TaskFault) in statistics.lookAhead(bytes) }
        }
        if let last = statistics.finish() { try addStatistics(last) }
    }

    private func addStatistics(_ totals: TextStatistics.Totals) throws(TaskFault) {
        digits.removeAll()
        DecimalText.append(totals.newlines, to: digits)
        digits.append(0x20)
        DecimalText.append(totals.words, to: digits)
        digits.append(0x20)
        DecimalText.append(totals.bytes, to: digits)
        fileName.withUnsafeBytes { pairs?.add(key: $0, value: digits.bytes) }
        counters.inputRecords += UInt64(totals.newlines)
        counters.mapOutputPairs += 1
        if store.byteCount > limits.memoryByteCount { try spill() }
    }

    // MARK: Runs

    private func checkCancelled() throws(TaskFault) {
        if limits.isCancelled() { throw .cancelled }
    }

    private func spill() throws(TaskFault) {
        if store.isEmpty { return }
        let writer = RunFileWriter(try spills.makeFile(), partitionCount: plan.partitionCount)
        try store.drain(to: writer)
        counters.spilledBytes += writer.byteCount
        spilled.append(try writer.finish())
    }

    private func writeRun(to output: any FileSink) throws(TaskFault) -> any RunBytes {
        let writer = RunFileWriter(output, partitionCount: plan.partitionCount)
        if spilled.isEmpty {
            try store.drain(to: writer)
        } else {
            try spill()
            let merge = RunMerge(plan, combine: combine, spills: spills, limits: limits, indexes: indexes)
            try merge.write(spilled, to: writer, counts: nil)
            counters.spilledBytes += merge.spilledByteCount
        }
        counters.combinedPairs = writer.pairCount
        return try writer.finish()
    }
}
