public import MRProtocol

/// Reads the file bytes of leaf blocks.
///
/// Called on the thread of a slot, and may block it. A reader belongs to one attempt.
public protocol LeafReader: AnyObject {
    /// Hands the verified file bytes of `leaf` to `body`; the pointer is valid only inside it.
    ///
    /// - Throws: `TaskFault.blockUnavailable`, and what `body` throws.
    func withLeaf(
        _ leaf: InputLeaf,
        _ body: (UnsafeRawBufferPointer) throws(TaskFault) -> Void
    ) throws(TaskFault)
}

/// Takes the bytes of one file in order: a run file, a spill, a part of the result.
public protocol FileSink: AnyObject {
    /// Appends bytes; they are copied before the call returns.
    func write(_ bytes: UnsafeRawBufferPointer) throws(TaskFault)
    /// Ends the file and hands it back for reading.
    func finish() throws(TaskFault) -> any RunBytes
}

/// The bytes of one finished run file, in memory or in the store.
public protocol RunBytes: AnyObject, Sendable {
    var byteCount: UInt64 { get }
    /// Bytes of this machine's memory that it holds for as long as it lives.
    var residentByteCount: Int { get }
    /// Fills all of `buffer` with the bytes from `offset` on.
    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(TaskFault)
}

/// Where an attempt puts what does not fit in memory.
public protocol SpillSpace: AnyObject {
    /// Starts a file that lives until the attempt ends.
    func makeFile() throws(TaskFault) -> any FileSink
}

/// What an attempt may use, and how it is told to stop.
public struct AttemptLimits: Sendable {
    /// Memory for pairs and tables, in bytes; above it the attempt spills.
    public var memoryByteCount: Int
    /// Asked often; `true` makes the attempt throw `TaskFault.cancelled`.
    public var isCancelled: @Sendable () -> Bool
    /// Called as work is done, with input bytes read since the last call: file bytes of a map; of a reduce bytes of its
    /// partition in the runs, in all no more than `TaskCounters.shuffledBytes`.
    public var progress: @Sendable (_ byteCount: Int) -> Void
    /// Takes what user functions say beside their pairs.
    public var report: AttemptReport

    /// Sets the limits of one attempt.
    public init(
        memoryByteCount: Int,
        isCancelled: @escaping @Sendable () -> Bool = { false },
        progress: @escaping @Sendable (Int) -> Void = { _ in },
        report: AttemptReport = AttemptReport()
    ) {
        self.report = report
        self.memoryByteCount = memoryByteCount
        self.isCancelled = isCancelled
        self.progress = progress
    }
}

/// Executes the attempts of one job; made once per job and slot thread, from a specification that was checked.
///
/// `execute…` run on the thread of a slot until they are done and may take its whole processor.
public protocol JobEngine: AnyObject {
    /// Maps the records of `assignment`, combines, and writes one run file with all partitions to `output`.
    ///
    /// The bytes written depend only on the specification and the blocks: never on memory, slots or timing.
    func executeMap(
        _ assignment: MapAssignment,
        leaves: any LeafReader,
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters)

    /// Merges partition `partition` of the run files in `runs` (in input order), reduces, and writes the part's
    /// bytes to `output`.
    func executeReduce(
        partition: Int,
        runs: [any RunBytes],
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> TaskCounters

    /// Merges whole run files (adjacent in input order) into one, combining again.
    func executeMerge(
        runs: [any RunBytes],
        output: any FileSink,
        spills: any SpillSpace,
        limits: AttemptLimits
    ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters)
}
