internal import BlockStore
internal import Glibc
internal import Synchronization

/// The adds that are running on a node, each with the lease that protects its blocks.
final class AddTable: Sendable {
    /// Most adds at a time.
    static let limit = 64
    /// An add that nobody holds and that nothing was asked of for so long, in milliseconds, is given up.
    static let idleLimitMilliseconds: Int64 = 60_000

    /// One running add.
    struct Add: Sendable {
        let ingest: Ingest
        let settings: ImportSettings
        var lastUsed: Int64
        /// A connection of its client stands for it: it has no idle limit.
        var isHeld = false
        /// Calls that are under way.
        var callCount = 0
        /// Given up as soon as no call is under way.
        var isAbandoned = false
    }

    private let adds = Mutex<[String: Add]>([:])

    /// Puts a new add into the table.
    func begin(_ ingest: Ingest, _ settings: ImportSettings, now: Int64) throws(NodeError) -> AddSession {
        let id = RandomName.make()
        dropIdle(now: now)
        let isFull = adds.withLock { adds in
            guard adds.count < AddTable.limit else { return true }
            adds[id] = Add(ingest: ingest, settings: settings, lastUsed: now)
            return false
        }
        if isFull {
            try? ingest.abandon()  // it holds nothing yet
            throw NodeError(.tooMuch, "\(AddTable.limit) adds are running; try again when one has ended")
        }
        return AddSession(id: id)
    }

    /// Gives up adds whose client is gone.
    func dropIdle(now: Int64) {
        let idle = adds.withLock { adds in
            let idle = adds.filter {
                !$0.value.isHeld && $0.value.callCount == 0
                    && now - $0.value.lastUsed > AddTable.idleLimitMilliseconds
            }
            for id in idle.keys { adds[id] = nil }
            return idle.values.map(\.ingest)
        }
        for ingest in idle { try? ingest.abandon() }  // its blocks are collectable either way
    }

    /// Takes the idle limit from an add.
    func hold(_ session: AddSession) throws(NodeError) {
        let isKnown = adds.withLock { adds in
            guard let add = adds[session.id], !add.isAbandoned else { return false }
            adds[session.id]?.isHeld = true
            return true
        }
        if !isKnown { throw AddTable.unknown(session) }
    }

    /// The add of a session, for one call; `endUse` ends that.
    func beginUse(_ session: AddSession, now: Int64) throws(NodeError) -> Add {
        let add = adds.withLock { adds -> Add? in
            guard let add = adds[session.id], !add.isAbandoned else { return nil }
            adds[session.id]?.lastUsed = now
            adds[session.id]?.callCount += 1
            return add
        }
        guard let add else { throw AddTable.unknown(session) }
        return add
    }

    /// A call is over; the last one of an add that was given up ends it.
    func endUse(_ session: AddSession, now: Int64) {
        let ended = adds.withLock { adds -> Add? in
            guard var add = adds[session.id] else { return nil }
            add.callCount -= 1
            add.lastUsed = now
            guard add.isAbandoned, add.callCount == 0 else {
                adds[session.id] = add
                return nil
            }
            return adds.removeValue(forKey: session.id)
        }
        try? ended?.ingest.abandon()  // its blocks are collectable either way
    }

    /// Takes an add out of the table, to finish it.
    func end(_ session: AddSession) throws(NodeError) -> Add {
        let add = adds.withLock { adds -> Add? in
            guard let add = adds[session.id], !add.isAbandoned else { return nil }
            return adds.removeValue(forKey: session.id)
        }
        guard let add else { throw AddTable.unknown(session) }
        return add
    }

    /// Gives an add up: at once, or with the end of the calls that are under way.
    ///
    /// - Returns: what is to be abandoned now.
    func abandon(_ session: AddSession) throws(NodeError) -> Ingest? {
        let add = adds.withLock { adds -> Add? in
            guard let add = adds[session.id], !add.isAbandoned else { return nil }
            if add.callCount == 0 { return adds.removeValue(forKey: session.id) }
            adds[session.id]?.isAbandoned = true
            return add
        }
        guard let add else { throw AddTable.unknown(session) }
        return add.callCount == 0 ? add.ingest : nil
    }

    func closeAll() {
        let all = adds.withLock { adds in
            defer { adds = [:] }
            return Array(adds.values)
        }
        for add in all { try? add.ingest.abandon() }  // the lease ends with the process in any case
    }

    private static func unknown(_ session: AddSession) -> NodeError {
        NodeError(.notFound, "there is no add \(session.id); it has ended")
    }
}
