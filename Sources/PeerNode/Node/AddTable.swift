internal import BlockStore
internal import Glibc
internal import Synchronization

/// The adds that are running on a node, each with the lease that protects its blocks.
final class AddTable: Sendable {
    /// Most adds at a time.
    static let limit = 64
    /// An add that nothing was asked of for so long, in milliseconds, is given up: its client is gone.
    static let idleLimitMilliseconds: Int64 = 3_600_000

    /// One running add.
    struct Add: Sendable {
        let ingest: Ingest
        let settings: ImportSettings
        var lastUsed: Int64
    }

    private let adds = Mutex<[String: Add]>([:])

    /// Puts a new add into the table.
    func begin(_ ingest: Ingest, _ settings: ImportSettings, now: Int64) throws(NodeError) -> AddSession {
        let id = RandomName.make()
        let (isFull, stale) = adds.withLock { adds -> (Bool, [Add]) in
            let stale = adds.filter { now - $0.value.lastUsed > AddTable.idleLimitMilliseconds }
            for id in stale.keys { adds[id] = nil }
            guard adds.count < AddTable.limit else { return (true, Array(stale.values)) }
            adds[id] = Add(ingest: ingest, settings: settings, lastUsed: now)
            return (false, Array(stale.values))
        }
        for add in stale { try? add.ingest.abandon() }  // its blocks are collectable either way
        if isFull {
            throw NodeError(.tooMuch, "\(AddTable.limit) adds are running; try again when one has ended")
        }
        return AddSession(id: id)
    }

    /// The add of a session, marked as used.
    func use(_ session: AddSession, now: Int64) throws(NodeError) -> Add {
        let add = adds.withLock { adds in
            adds[session.id]?.lastUsed = now
            return adds[session.id]
        }
        guard let add else { throw NodeError(.notFound, "there is no add \(session.id); it has ended") }
        return add
    }

    /// Takes an add out of the table.
    func end(_ session: AddSession) throws(NodeError) -> Add {
        guard let add = adds.withLock({ $0.removeValue(forKey: session.id) }) else {
            throw NodeError(.notFound, "there is no add \(session.id); it has ended")
        }
        return add
    }

    func closeAll() {
        let all = adds.withLock { adds in
            defer { adds = [:] }
            return Array(adds.values)
        }
        for add in all { try? add.ingest.abandon() }  // the lease ends with the process in any case
    }
}
