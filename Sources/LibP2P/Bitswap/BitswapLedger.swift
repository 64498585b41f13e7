internal import Multiformats

/// What one peer wants of us, and what waits to be sent to it.
///
/// Used by `BitswapServer`, which says what the store holds.
struct BitswapLedger: Sendable {
    /// An answer that was decided and not sent yet.
    struct Task: Equatable {
        enum Answer: Equatable {
            case block(byteCount: Int)
            case have
            case dontHave
        }
        let cid: CID
        let answer: Answer
        let priority: Int32
    }

    /// Wants that are remembered until they are answered with a block, cancelled or replaced.
    private(set) var wants: [CID: BitswapMessage.Want] = [:]
    /// Answers in the order of sending: higher priority first, then older.
    private(set) var tasks: [Task] = []
    /// Blocks that the store is reading for the next message; answers that go with them.
    var loading: Batch?
    /// A message was handed out and not written yet.
    var isSending = false
    var statistics = BitswapServer.Statistics()

    /// One message in the making.
    struct Batch: Equatable {
        var blocks: [CID]
        var presences: [BitswapMessage.Presence]
    }

    /// Remembers a want.
    ///
    /// - Returns: whether it is in the list, which is not so when that is full of wants of as much priority; and the want
    ///   that had to go for it.
    mutating func remember(_ want: BitswapMessage.Want, limit: Int) -> (accepted: Bool, evicted: CID?) {
        if wants[want.cid] != nil {
            forgetAnswers(for: want.cid)
            wants[want.cid] = want
            return (true, nil)
        }
        if wants.count < limit {
            wants[want.cid] = want
            return (true, nil)
        }
        guard let lowest = wants.values.min(by: { $0.priority < $1.priority }),
            lowest.priority < want.priority
        else {
            return (false, nil)
        }
        forget(lowest.cid)
        wants[want.cid] = want
        return (true, lowest.cid)
    }

    /// Drops a want and the answers to it.
    mutating func forget(_ cid: CID) {
        guard wants.removeValue(forKey: cid) != nil else { return }
        forgetAnswers(for: cid)
    }

    /// Drops all wants and answers.
    mutating func forgetAll() {
        wants = [:]
        tasks = []
    }

    private mutating func forgetAnswers(for cid: CID) {
        tasks.removeAll { $0.cid == cid }
    }

    /// Queues the answer to a remembered want, if there is one to give now.
    mutating func answer(_ cid: CID, byteCount: Int?) {
        guard let want = wants[cid] else { return }
        let answer: Task.Answer
        if let byteCount {
            let asBlock = want.kind == .block || byteCount <= BitswapServer.maxInlineBlockByteCount
            answer = asBlock ? .block(byteCount: byteCount) : .have
        } else {
            guard want.sendsDontHave else { return }
            answer = .dontHave
        }
        forgetAnswers(for: cid)
        let task = Task(cid: cid, answer: answer, priority: want.priority)
        tasks.insert(task, at: insertionIndex(for: task))
    }

    private func insertionIndex(for task: Task) -> Int {
        var low = 0
        var high = tasks.count
        while low < high {
            let middle = (low + high) / 2
            if tasks[middle].priority >= task.priority { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// Takes the answers of the next message: up to `BitswapServer.batchByteCount`, a larger block alone.
    mutating func takeBatch() -> Batch? {
        var batch = Batch(blocks: [], presences: [])
        var byteCount = 0
        var taken = 0
        for task in tasks {
            let cost: Int
            switch task.answer {
            case .block(let size): cost = size
            case .have, .dontHave: cost = BitswapServer.presenceByteCount
            }
            if taken > 0, byteCount + cost > BitswapServer.batchByteCount { break }
            byteCount += cost
            taken += 1
            switch task.answer {
            case .block: batch.blocks.append(task.cid)
            case .have:
                batch.presences.append(BitswapMessage.Presence(task.cid, isHeld: true))
                wants[task.cid] = nil
            case .dontHave: batch.presences.append(BitswapMessage.Presence(task.cid, isHeld: false))
            }
        }
        tasks.removeFirst(taken)
        return taken == 0 ? nil : batch
    }

    /// Bytes of the blocks that wait, as the `pendingBytes` of a message.
    var pendingByteCount: Int32 {
        let sum = tasks.reduce(0) { sum, task in
            if case .block(let size) = task.answer { sum + size } else { sum }
        }
        return Int32(clamping: sum)
    }
}
