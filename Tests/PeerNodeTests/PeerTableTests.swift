import Glibc
import Multiformats
import PeerNode
import Testing

@Suite("Peer table")
struct PeerTableTests {
    private let path = "/tmp/peer-table-\(getpid())-\(UInt64.random(in: .min ... .max)).db"

    private func removeFiles() {
        for name in [path, path + ".damaged"] { for end in ["", "-wal", "-shm"] { unlink(name + end) } }
    }

    private func row(_ number: UInt8, _ lastAlive: Int64) -> PeerTable.Row {
        PeerTable.Row(peer: .numbered(number), envelope: [number, 1, 2], lastAlive: lastAlive)
    }

    @Test("peers survive a restart, the last alive first, newer records over older ones")
    func survives() async throws {
        defer { removeFiles() }
        try await PeerTable(path: path).save([row(1, 10), row(2, 30), row(3, 20)])
        let second = PeerTable(path: path)
        try await second.save([row(1, 40)])
        try await second.remove([.numbered(3)])
        #expect(try await PeerTable(path: path).rows() == [row(1, 40), row(2, 30)])
    }

    @Test("the table keeps the peers alive last when it is over its limit")
    func bounded() async throws {
        defer { removeFiles() }
        let table = PeerTable(path: path)
        let many = (0..<PeerTable.maxRowCount + 10).map { index in
            let key =
                [UInt8](repeating: 0, count: 28) + withUnsafeBytes(of: UInt32(index).bigEndian) { Array($0) }
            return PeerTable.Row(peer: .key(key), envelope: [1], lastAlive: Int64(index))
        }
        try await table.save(many)
        let kept = try await table.rows()
        #expect(kept.count == PeerTable.maxRowCount)
        #expect(kept.last?.lastAlive == 10)
    }

    @Test("a damaged file is set aside and a new one begun")
    func damaged() async throws {
        defer { removeFiles() }
        let file = try #require(fopen(path, "w"))
        fputs(
            "this is no database, and long enough for SQLite to look at its header: "
                + String(repeating: "x", count: 200),
            file
        )
        fclose(file)
        let table = PeerTable(path: path)
        #expect(try await table.rows().isEmpty)
        try await table.save([row(1, 10)])
        #expect(try await table.rows() == [row(1, 10)])
        #expect(access(path + ".damaged", F_OK) == 0)
    }
}
