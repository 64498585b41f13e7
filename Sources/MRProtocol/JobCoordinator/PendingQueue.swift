/// Items of one stage that wait for a worker.
///
/// An item may stand in several lists at once; whoever takes it from one marks it taken, and the others pass over it.
struct PendingQueue: Sendable {
    private var all = Lane()
    private var byHolder: [WorkerID: Lane] = [:]

    /// Some item was queued with workers that hold its input.
    var knowsHolders: Bool { !byHolder.isEmpty }

    mutating func append(_ item: Int, holders: [WorkerID]) {
        all.append(item)
        for holder in holders { byHolder[holder, default: Lane()].append(item) }
    }

    /// Takes the next item whose input `worker` holds.
    mutating func takeLocal(to worker: WorkerID, isWaiting: (Int) -> Bool) -> Int? {
        guard var lane = byHolder.removeValue(forKey: worker) else { return nil }
        let item = lane.take(where: isWaiting)
        if !lane.isEmpty { byHolder[worker] = lane }
        return item
    }

    /// Takes the next item.
    mutating func take(isWaiting: (Int) -> Bool) -> Int? { all.take(where: isWaiting) }
}

/// First in, first out.
private struct Lane: Sendable {
    private var items: [Int] = []
    private var head = 0

    var isEmpty: Bool { head == items.count }

    mutating func append(_ item: Int) { items.append(item) }

    /// Removes items up to the first that is waiting, and returns that one.
    mutating func take(where isWaiting: (Int) -> Bool) -> Int? {
        while head < items.count {
            let item = items[head]
            head += 1
            if isWaiting(item) { return item }
        }
        items.removeAll()
        head = 0
        return nil
    }
}
