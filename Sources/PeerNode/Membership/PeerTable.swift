import Database
import Glibc
package import Multiformats

/// `peers.db`: the signed records of peers that this node has heard of, so that it finds them after a restart.
///
/// A table that cannot be read is set aside and begun anew: peers can be learned again.
package actor PeerTable {
    private let executor = ThreadExecutor()
    private let path: String
    private var connection: Database.Connection?

    package nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// A peer as it is kept.
    package struct Row: Equatable, Sendable {
        package var peer: PeerID
        /// Its sealed record, as it can be passed on.
        package var envelope: [UInt8]
        /// When it was last known to be alive, in seconds since 1970.
        package var lastAlive: Int64

        /// Describes a peer.
        package init(peer: PeerID, envelope: [UInt8], lastAlive: Int64) {
            self.peer = peer
            self.envelope = envelope
            self.lastAlive = lastAlive
        }
    }

    /// Most peers that are kept; those alive longest ago go first.
    package static let maxRowCount = 4096
    private static let schemaVersion: Int64 = 1

    /// A table in a file, which is opened at the first use.
    package init(path: String) { self.path = path }

    /// Every peer, the one that was alive last first.
    package func rows() throws -> [Row] {
        try repaired { connection in
            try connection.rows(
                "SELECT peer, envelope, last_alive FROM peer ORDER BY last_alive DESC LIMIT ?",
                .integer(Int64(Self.maxRowCount)),
                row: Row.init
            ).compactMap { $0 }
        }
    }

    /// Writes peers over what was known of them, in one transaction, and drops those over the limit.
    package func save(_ rows: [Row]) throws {
        try repaired { connection in
            try connection.transaction {
                for row in rows {
                    try connection.run(
                        "INSERT OR REPLACE INTO peer VALUES(?, ?, ?)",
                        .blob(row.peer.bytes),
                        .blob(row.envelope),
                        .integer(row.lastAlive)
                    )
                }
                try connection.run(
                    "DELETE FROM peer WHERE peer NOT IN (SELECT peer FROM peer ORDER BY last_alive DESC LIMIT ?)",
                    .integer(Int64(Self.maxRowCount))
                )
            }
        }
    }

    /// Forgets peers.
    package func remove(_ peers: [PeerID]) throws {
        try repaired { connection in
            try connection.transaction {
                for peer in peers { try connection.run("DELETE FROM peer WHERE peer = ?", .blob(peer.bytes)) }
            }
        }
    }

    /// Runs `body`; when the file turns out to be damaged, once more on a new one.
    private func repaired<Value>(_ body: (Database.Connection) throws -> Value) throws -> Value {
        do {
            return try body(try open())
        } catch let error as DatabaseError where Self.isDamage(error) {
            connection = nil
            for end in ["", "-wal", "-shm"] { rename(path + end, path + ".damaged" + end) }
            return try body(try open())
        }
    }

    private static func isDamage(_ error: DatabaseError) -> Bool {
        error.code.primary == .corrupt || error.code.primary == .notADatabase
    }

    private func open() throws(DatabaseError) -> Database.Connection {
        if let connection { return connection }
        let opened = try Database.Connection(path: path)
        try opened.useWriteAheadLog()
        try opened.execute("PRAGMA synchronous=NORMAL")
        let version = try opened.integer("PRAGMA user_version") ?? 0
        guard version <= Self.schemaVersion else {
            throw DatabaseError(
                code: .readOnly,
                message:
                    "\(path) has schema \(version), written by a newer peernode; this one knows \(Self.schemaVersion)"
            )
        }
        try opened.execute(
            """
            CREATE TABLE IF NOT EXISTS peer(
                peer BLOB PRIMARY KEY, envelope BLOB NOT NULL, last_alive INTEGER NOT NULL) WITHOUT ROWID;
            CREATE INDEX IF NOT EXISTS peer_last_alive ON peer(last_alive);
            PRAGMA user_version=\(Self.schemaVersion);
            """
        )
        connection = opened
        return opened
    }
}

extension PeerTable.Row {
    /// A row of the file; `nil` when it is not what this version writes.
    fileprivate init?(_ statement: Statement) {
        // What cannot be read was not written by this program; the peer can be learned again.
        guard let peer = try? PeerID(bytes: statement.bytes(0)) else { return nil }
        self.init(peer: peer, envelope: statement.bytes(1), lastAlive: statement.integer(2))
    }
}
