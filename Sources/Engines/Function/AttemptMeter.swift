import FunctionProtocol
import Glibc

/// What a helper has used in one attempt, held against the limits.
struct AttemptMeter {
    /// Time between two looks at processor time and memory, in milliseconds.
    static let lookIntervalMilliseconds: UInt64 = 20

    let limits: FunctionLimits
    private let cpuAtStart: UInt64
    private var lastProgress: UInt64
    private var lastPlace: PlacePage.Content
    private var lastLook: UInt64
    private var outputByteCount: UInt64 = 0
    private var outputPairCount: UInt64 = 0
    private var logByteCount: UInt64 = 0

    init(_ limits: FunctionLimits, of helper: HelperProcess) {
        self.limits = limits
        cpuAtStart = helper.cpuMilliseconds
        lastPlace = helper.page.content
        lastProgress = timespec.nowMilliseconds
        lastLook = lastProgress
    }

    /// The helper took bytes or answered.
    mutating func progressed() { lastProgress = timespec.nowMilliseconds }

    /// It is some time since the last look.
    var isLookDue: Bool { timespec.nowMilliseconds - lastLook >= AttemptMeter.lookIntervalMilliseconds }

    /// Holds time and memory against the limits.
    mutating func look(at helper: HelperProcess) throws(FunctionProcess.Fault) {
        let now = timespec.nowMilliseconds
        lastLook = now
        let place = helper.page.content
        if place != lastPlace {
            lastPlace = place
            lastProgress = now
        }
        try check(
            "processor time",
            max(helper.cpuMilliseconds, cpuAtStart) - cpuAtStart,
            limits.cpuMilliseconds,
            .milliseconds
        )
        try check("time without progress", now - lastProgress, limits.stallMilliseconds, .milliseconds)
        try check("memory", helper.residentByteCount, limits.memoryByteCount, .bytes)
    }

    /// Counts a frame of output, with what lies in front of each pair: one without any bytes takes room too.
    ///
    /// - Returns: `false` when it ends within a pair.
    mutating func countOutput(_ packedPairs: UnsafeRawBufferPointer) throws(FunctionProcess.Fault) -> Bool {
        let pairCount = PackedPairs.count(in: packedPairs)
        outputPairCount += UInt64(pairCount ?? 0)
        outputByteCount += UInt64(packedPairs.count)
        try check("output", outputByteCount, limits.outputByteCount, .bytes)
        try check("emitted pairs", outputPairCount, limits.outputPairCount, .pairs)
        return pairCount != nil
    }

    mutating func countLog(_ byteCount: Int) throws(FunctionProcess.Fault) {
        logByteCount += UInt64(byteCount)
        try check("log", logByteCount, limits.logByteCount, .bytes)
    }

    private func check(
        _ what: String,
        _ used: UInt64,
        _ limit: UInt64,
        _ unit: LimitUnit
    ) throws(FunctionProcess.Fault) {
        guard limit > 0, used > limit else { return }
        throw .function(.passed(limitOn: what, limit, unit))
    }
}
