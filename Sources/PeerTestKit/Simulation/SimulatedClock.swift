/// Virtual time with a queue of events: it jumps from one to the next.
///
/// Events of the same time come in the order in which they were scheduled.
public struct SimulatedClock<Event: Sendable>: Sendable {
    private struct Entry: Sendable {
        let time: Duration
        let number: UInt64
        let event: Event

        func precedes(_ other: Entry) -> Bool { (time, number) < (other.time, other.number) }
    }

    /// Time since the start.
    public private(set) var now: Duration = .zero
    private var heap: [Entry] = []
    private var nextNumber: UInt64 = 0

    /// Starts at zero without events.
    public init() {}

    /// Puts in an event, at the earliest now.
    public mutating func schedule(_ event: Event, at time: Duration) {
        heap.append(Entry(time: max(time, now), number: nextNumber, event: event))
        nextNumber += 1
        var child = heap.count - 1
        while child > 0, heap[child].precedes(heap[(child - 1) / 2]) {
            heap.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    /// Takes the next event that is not later than `limit` and moves the time to it; else moves the time to `limit`.
    public mutating func next(before limit: Duration) -> Event? {
        guard let first = heap.first, first.time <= limit else {
            now = max(now, limit)
            return nil
        }
        now = first.time
        removeFirst()
        return first.event
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count {
                if heap[child].precedes(heap[least]) { least = child }
            }
            if least == parent { return }
            heap.swapAt(parent, least)
            parent = least
        }
    }
}
