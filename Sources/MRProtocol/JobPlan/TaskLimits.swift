/// What a job lets one attempt of a user function use; `nil`: what the node that executes it allows.
public struct TaskLimits: Hashable, Sendable {
    /// Processor time, in milliseconds.
    public var cpuMilliseconds: UInt64?
    /// Wall time without a sign of life while input waits, in milliseconds.
    public var stallMilliseconds: UInt64?
    /// Resident memory, in bytes.
    public var memoryByteCount: UInt64?
    /// Bytes of emitted pairs, and 8 more for each.
    public var outputByteCount: UInt64?
    /// Emitted pairs.
    public var outputPairCount: UInt64?
    /// Bytes of log.
    public var logByteCount: UInt64?
    /// Processes and threads of a command.
    public var processCount: UInt64?

    /// Largest limit: what every JSON reader can hold.
    public static let maxValue: UInt64 = 1 << 53

    /// The limits by the names that specifications and the control API give them.
    package static let fields: [(name: String, path: any WritableKeyPath<TaskLimits, UInt64?> & Sendable)] = [
        ("cpuMilliseconds", \.cpuMilliseconds), ("stallMilliseconds", \.stallMilliseconds),
        ("memoryBytes", \.memoryByteCount), ("outputBytes", \.outputByteCount),
        ("outputPairs", \.outputPairCount), ("logBytes", \.logByteCount), ("processes", \.processCount),
    ]

    /// No limits of the job's own.
    public init() {}

    /// The job leaves all limits to the nodes.
    public var isEmpty: Bool { self == TaskLimits() }
}
