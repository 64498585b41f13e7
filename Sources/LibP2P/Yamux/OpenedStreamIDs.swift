/// Which stream ids the peer has opened, so that none is opened twice in a session.
///
/// Ids go up, but a peer that opens streams on several threads may send a higher one first. So ids that were passed over
/// may still come, if they are close to the highest; anything else below it was used.
///
/// A used id must not come again even when its stream is gone: the application still holds bytes and handles of that stream,
/// and would use them on the new one.
/// **Source** libp2p/specs yamux, "Stream ID"; WIRE section 6.
struct OpenedStreamIDs: Equatable, Sendable {
    /// How many ids below the highest one that was passed over may still come: twice what a peer opens without an answer.
    static let maxPassedOverCount = 512

    // Ids of one kind are every other number; here they are counted one by one.
    private var next: Int
    /// In order; few, whatever the peer does: each is of the last `maxPassedOverCount`, and a jump adds one.
    private var passedOver: [Range<Int>] = []

    /// Every id of the peer's kind from the first on is unused.
    init(first: YamuxStreamID) { next = Int(first.number / 2) }

    /// Takes an id of the peer's kind; `false` when it was used, or may have been.
    mutating func take(_ id: YamuxStreamID) -> Bool {
        let index = Int(id.number / 2)
        guard index >= next else { return takePassedOver(index) }
        let oldest = index - Self.maxPassedOverCount
        let oldCount = passedOver.prefix { $0.upperBound <= oldest }.count
        passedOver.removeFirst(oldCount)
        if index > next { passedOver.append(max(next, oldest)..<index) }
        next = index + 1
        return true
    }

    private mutating func takePassedOver(_ index: Int) -> Bool {
        guard index >= next - 1 - Self.maxPassedOverCount,
            let position = passedOver.firstIndex(where: { $0.contains(index) })
        else { return false }
        let range = passedOver[position]
        let rest = [range.lowerBound..<index, index + 1..<range.upperBound].filter { !$0.isEmpty }
        passedOver.replaceSubrange(position...position, with: rest)
        return true
    }
}
