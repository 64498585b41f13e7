/// Names a timer of a `TimerQueue`.
struct TimerID: Hashable {
    fileprivate let number: UInt64
}

/// Calls to make at given times: a binary heap, from which cancelled entries fall out later.
struct TimerQueue {
    private struct Entry {
        let deadline: ContinuousClock.Instant
        let id: TimerID
    }

    /// Cancelled entries are swept out when there are more of them than this and than live ones.
    private static let sweepCount = 256

    private var heap: [Entry] = []
    private var calls: [TimerID: () -> Void] = [:]
    private var lastNumber: UInt64 = 0

    mutating func add(_ deadline: ContinuousClock.Instant, _ call: @escaping () -> Void) -> TimerID {
        lastNumber += 1
        let id = TimerID(number: lastNumber)
        calls[id] = call
        heap.append(Entry(deadline: deadline, id: id))
        siftUp(heap.count - 1)
        return id
    }

    mutating func cancel(_ id: TimerID) {
        guard calls.removeValue(forKey: id) != nil else { return }
        guard heap.count > Self.sweepCount, heap.count > 2 * calls.count else { return }
        heap.removeAll { calls[$0.id] == nil }
        heap.sort { $0.deadline < $1.deadline }
    }

    /// Waiting time for epoll: -1 without timers, otherwise rounded up.
    func millisecondsToNext(now: ContinuousClock.Instant) -> Int32 {
        guard let first = heap.first else { return -1 }
        let (seconds, attoseconds) = max(.zero, first.deadline - now).components
        return Int32(
            min(seconds * 1000 + (attoseconds + 999_999_999_999_999) / 1_000_000_000_000_000, 60_000)
        )
    }

    /// Takes the calls that are due; they are made outside, since they may add and cancel timers.
    mutating func takeDue(now: ContinuousClock.Instant) -> [() -> Void] {
        var due: [() -> Void] = []
        while let first = heap.first, first.deadline <= now {
            removeFirst()
            if let call = calls.removeValue(forKey: first.id) { due.append(call) }
        }
        return due
    }

    private mutating func removeFirst() {
        heap.swapAt(0, heap.count - 1)
        heap.removeLast()
        siftDown(0)
    }

    private mutating func siftUp(_ start: Int) {
        var index = start
        while index > 0, heap[index].deadline < heap[(index - 1) / 2].deadline {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    private mutating func siftDown(_ start: Int) {
        var index = start
        while true {
            var smallest = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count {
                if heap[child].deadline < heap[smallest].deadline { smallest = child }
            }
            guard smallest != index else { return }
            heap.swapAt(index, smallest)
            index = smallest
        }
    }
}
