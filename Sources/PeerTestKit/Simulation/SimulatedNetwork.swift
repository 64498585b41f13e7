/// Which messages arrive, and when: delay, loss, partitions and crashes, all from one seed.
///
/// Nodes are numbered. Calls are like short streams: a lost message means a call without an answer.
public struct SimulatedNetwork: Sendable {
    /// Shortest and longest one-way delay.
    public var delay: ClosedRange<Duration> = .milliseconds(1) ... .milliseconds(50)
    /// Probability that a message is lost.
    public var loss = 0.0
    /// Nodes that are down.
    public var crashed: Set<Int> = []
    /// Group of each node, 0 if it is not named; messages pass only within a group.
    public var groups: [Int: Int] = [:]
    private var random: SeededRandom

    /// A network without faults.
    public init(seed: UInt64) { random = SeededRandom(seed: seed) }

    /// How long a message takes; `nil` when it is lost.
    public mutating func delivery(from: Int, to: Int) -> Duration? {
        guard !crashed.contains(from), !crashed.contains(to),
            groups[from, default: 0] == groups[to, default: 0]
        else {
            return nil
        }
        guard !random.chance(loss) else { return nil }
        let span = (delay.upperBound - delay.lowerBound) / Duration.microseconds(1)
        return delay.lowerBound + .microseconds(Int64(Double.random(in: 0...max(span, 0), using: &random)))
    }
}
