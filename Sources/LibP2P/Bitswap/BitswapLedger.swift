internal import Multiformats

/// What one peer wants of us, and what waits to be sent to it.
///
/// Used by `BitswapServer`, which says what the store holds. No step takes longer than the logarithm of the list's length.
struct BitswapLedger: Sendable {
    /// An answer to a want.
    enum Answer: Equatable {
        case block(byteCount: Int)
        case have
        case dontHave
    }

    /// A want that is remembered, and how far it has come.
    private struct Entry {
        var want: BitswapMessage.Want
        var state: State

        enum State: Equatable {
            /// The store is being asked.
            case lookedUp
            /// An answer waits to be sent.
            case queued(Answer)
            /// The block is being read for the next message.
            case loading
            /// Told, or not to be told, that the block is not here.
            case absent
        }
    }

    /// Wants that are remembered until they are answered with a block, cancelled or replaced.
    private var entries: [CID: Entry] = [:]
    /// Answers in the order of sending: higher priority first, then older.
    private var tasks = KeyedQueue<CID> { $0 > $1 }
    /// Wants by priority, the least first: that is the one to go when the list is full.
    private var leastWanted = KeyedQueue<CID> { $0 < $1 }
    /// Bytes of the blocks among the answers that wait.
    private var pendingSum = 0
    /// Entries of wantlists that the peer may still send now; below 0 it is ahead of its rate.
    private var allowance = Double(BitswapServer.maxWantBurst)
    private var allowanceTime: Duration?
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

    /// Whether a message is in the making or being written.
    var isBusy: Bool { isSending || loading != nil }

    var wantCount: Int { entries.count }

    var wantedCIDs: some Collection<CID> { entries.keys }

    func want(_ cid: CID) -> BitswapMessage.Want? { entries[cid]?.want }

    /// What came of a want.
    enum Acceptance: Equatable {
        /// The store has to be asked; the want that had to go for it, if one had to.
        case new(evicted: CID?)
        /// It is known, and its answer under way.
        case known
        /// The list is full of wants of as much priority.
        case refused
    }

    /// Remembers a want.
    mutating func remember(_ want: BitswapMessage.Want, limit: Int) -> Acceptance {
        if let entry = entries[want.cid] {
            // Said again before it was answered: nothing new.
            if entry.want == want, entry.state != .absent { return .known }
            replace(entry, by: want)
            return .new(evicted: nil)
        }
        var evicted: CID?
        if entries.count >= limit {
            guard let least = leastWanted.first, least.priority < want.priority else { return .refused }
            forget(least.key)
            evicted = least.key
        }
        entries[want.cid] = Entry(want: want, state: .lookedUp)
        leastWanted.insert(want.cid, priority: want.priority)
        return .new(evicted: evicted)
    }

    private mutating func replace(_ entry: Entry, by want: BitswapMessage.Want) {
        dropAnswer(to: want.cid)
        if entry.want.priority != want.priority { leastWanted.insert(want.cid, priority: want.priority) }
        entries[want.cid] = Entry(want: want, state: .lookedUp)
    }

    /// Drops a want and the answer to it.
    mutating func forget(_ cid: CID) {
        guard entries[cid] != nil else { return }
        dropAnswer(to: cid)
        entries[cid] = nil
        leastWanted.remove(cid)
    }

    /// Drops all wants and answers.
    mutating func forgetAll() {
        entries = [:]
        tasks.removeAll()
        leastWanted.removeAll()
        pendingSum = 0
    }

    private mutating func dropAnswer(to cid: CID) {
        guard case .queued(let answer) = entries[cid]?.state else { return }
        tasks.remove(cid)
        if case .block(let byteCount) = answer { pendingSum -= byteCount }
        entries[cid]?.state = .absent
    }

    /// Queues the answer to a remembered want, if there is one to give now.
    mutating func answer(_ cid: CID, byteCount: Int?) {
        guard let entry = entries[cid] else { return }
        let answer: Answer
        if let byteCount {
            guard entry.state == .lookedUp || entry.state == .absent || entry.state == .queued(.dontHave)
            else {
                return
            }
            let asBlock =
                entry.want.kind == .block || byteCount <= BitswapServer.maxInlineBlockByteCount
            answer = asBlock ? .block(byteCount: byteCount) : .have
        } else {
            // Others may have asked the store for the same block: who was answered is not told again.
            guard entry.state == .lookedUp else { return }
            guard entry.want.sendsDontHave else {
                entries[cid]?.state = .absent
                return
            }
            answer = .dontHave
        }
        dropAnswer(to: cid)
        entries[cid]?.state = .queued(answer)
        tasks.insert(cid, priority: entry.want.priority)
        if case .block(let byteCount) = answer { pendingSum += byteCount }
    }

    /// A block that was to be read is not there.
    mutating func noteAbsent(_ cid: CID) {
        if entries[cid]?.state == .loading { entries[cid]?.state = .absent }
    }

    /// Takes the answers of the next message: up to `BitswapServer.batchByteCount`, a larger block alone.
    mutating func takeBatch() -> Batch? {
        var batch = Batch(blocks: [], presences: [])
        var byteCount = 0
        while let task = tasks.first {
            guard case .queued(let answer) = entries[task.key]?.state else {
                preconditionFailure("an answer waits for a want that has none")
            }
            let cost = Self.cost(of: answer)
            if !batch.isEmpty, byteCount + cost > BitswapServer.batchByteCount { break }
            byteCount += cost
            dropAnswer(to: task.key)
            switch answer {
            case .block:
                batch.blocks.append(task.key)
                entries[task.key]?.state = .loading
            case .have:
                batch.presences.append(BitswapMessage.Presence(task.key, isHeld: true))
                forget(task.key)
            case .dontHave: batch.presences.append(BitswapMessage.Presence(task.key, isHeld: false))
            }
        }
        return batch.isEmpty ? nil : batch
    }

    private static func cost(of answer: Answer) -> Int {
        switch answer {
        case .block(let byteCount): byteCount
        case .have, .dontHave: BitswapServer.presenceByteCount
        }
    }

    /// Bytes of the blocks that wait, as the `pendingBytes` of a message.
    var pendingByteCount: Int32 { Int32(clamping: pendingSum) }

    // MARK: The rate of wants

    /// Counts a message with that many entries.
    mutating func charge(_ entryCount: Int, now: Duration) {
        refill(now: now)
        allowance -= Double(1 + entryCount)
    }

    /// When the peer's next message may be read: not before now, later when it is ahead of its rate.
    mutating func nextTurn(now: Duration) -> Duration {
        refill(now: now)
        guard allowance < 0 else { return now }
        return now + .seconds(-allowance / Double(BitswapServer.wantsPerSecond))
    }

    private mutating func refill(now: Duration) {
        defer { allowanceTime = max(now, allowanceTime ?? now) }
        guard let last = allowanceTime, last < now else { return }
        let earned = Double(BitswapServer.wantsPerSecond) * ((now - last) / .seconds(1))
        allowance = min(Double(BitswapServer.maxWantBurst), allowance + earned)
    }
}

extension BitswapLedger.Batch {
    var isEmpty: Bool { blocks.isEmpty && presences.isEmpty }
}
