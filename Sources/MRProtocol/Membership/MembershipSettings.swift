/// Times and bounds of membership; the same on all nodes of a cluster, or nearly so.
package struct MembershipSettings: Sendable {
    /// Protocol period: one member is probed in each.
    package var period: Duration = .seconds(1)
    /// How long a direct probe may take before others are asked to try.
    package var probeTimeout: Duration = .milliseconds(1500)
    /// How long the others may take.
    package var indirectTimeout: Duration = .milliseconds(3500)
    /// Others that are asked to try.
    package var indirectProbeCount = 3
    /// Members called in a period besides the probed one, while there is news to spread.
    package var fanout = 1
    /// A suspect is dead after this many periods, times log₁₀ of the number of members (SWIM section 4.2).
    package var suspicionPeriods = 4
    /// News is repeated this many times log₁₀ of the number of members.
    package var repetitions = 4
    /// A dead member is called now and then for this long, to find the two halves of a network that was parted.
    package var deadRetention: Duration = .seconds(3600)
    /// Pause between such calls.
    package var reviveInterval: Duration = .seconds(10)

    /// Most members, dead ones included; further ones are not taken in until a dead one makes room.
    package static let maxMemberCount = 4096
    /// Longest sealed record that is gossiped, in bytes.
    package static let maxRecordByteCount = 1024
    /// Bytes of records in the answer to a pull, about.
    package static let recordBudgetByteCount = 32 << 10
    /// Bytes of records that pulls are answered with in one period; behind that each gets `minPullByteCount`.
    package static let pullBudgetByteCount = 256 << 10
    /// Bytes of records that every pull is answered with, about, so that a newcomer finds others to ask.
    package static let minPullByteCount = 1 << 10
    /// Pulls in one period.
    package static let maxPullCount = 4
    /// Bytes of records that ride on one message as news, about.
    package static let newsBudgetByteCount = 2 << 10
    /// Suspicions that ride on one message as news.
    package static let maxNewsSuspicionCount = 64
    /// Records that may wait to be spread; the oldest are left to pulls.
    package static let maxNewsCount = 1024
    /// How far ahead of our clock a record's sequence number may be, in nanoseconds.
    package static let maxFutureNanoseconds: UInt64 = 600 * 1_000_000_000
    /// Calls under way at once; further ones wait for the next period.
    package static let maxCallCount = 32
    /// Probes for others under way at once; further ones are answered in the negative.
    package static let maxRelayedProbeCount = 32

    /// The settings that nodes have unless told otherwise.
    package init() {}
}
