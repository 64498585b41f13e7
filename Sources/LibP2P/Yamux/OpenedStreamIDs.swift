/// Which stream ids the peer has opened, so that none is opened twice in a session.
///
/// Ids go up, but a peer that opens streams on several threads may send a higher one first. So ids that were passed over
/// may still come, if they are close to the highest; anything else below it was used.
///
/// A used id must not come again even when its stream is gone: the application still holds bytes and handles of that stream,
/// and would use them on the new one.
/// **Source** libp2p/specs yamux, "Stream ID"; WIRE section 6.
struct OpenedStreamIDs: Equatable, Sendable {
    /// How far below the highest id one that was passed over may still come: twice what a peer opens without an answer.
    static let maxPassedOverCount = 512
    private static let step = 2

    /// Every id from this one on is unused.
    private var next: Int
    private var passedOver: Set<Int> = []

    init(first: Int) { next = first }

    /// Takes an id of the peer's kind; `false` when it was used, or may have been.
    mutating func take(_ id: YamuxStreamID) -> Bool {
        let number = Int(id.number)
        guard number >= next else { return passedOver.remove(number) != nil }
        let oldest = number - Self.maxPassedOverCount * Self.step
        if !passedOver.isEmpty { passedOver = passedOver.filter { $0 >= oldest } }
        if number > next { passedOver.formUnion(stride(from: max(next, oldest), to: number, by: Self.step)) }
        next = number + Self.step
        return true
    }
}
