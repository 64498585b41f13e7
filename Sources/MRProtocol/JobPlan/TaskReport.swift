/// What user functions said in one attempt, beside their pairs and counters.
public struct TaskReport: Hashable, Sendable {
    /// The log's first bytes, as far as they fit.
    public var log: [UInt8] = []
    /// Bytes of log that did not fit.
    public var droppedLogByteCount: UInt64 = 0
    /// What the attempt was doing last.
    public var status = ""
    /// The first records that were skipped, and why.
    public var skipped: [FunctionFailure] = []

    /// Most bytes of log that are kept.
    public static let maxLogByteCount = 64 << 10
    /// Longest status, in UTF-8 bytes.
    public static let maxStatusByteCount = 256
    /// Most skipped records that are named.
    public static let maxSkippedCount = 20

    /// Nothing was said.
    public init() {}

    /// What is left of an attempt that failed: the end of its log.
    package init(endOf log: [UInt8]) { self.log = log }

    /// Nothing was said.
    public var isEmpty: Bool { self == TaskReport() }
}
