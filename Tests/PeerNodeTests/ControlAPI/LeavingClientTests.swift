import Glibc
import Synchronization
import Testing

@testable import PeerNode

/// A server whose work for each request never ends by itself.
private final class EndlessServer: Sendable {
    let path: String
    private let folder: String
    private let server: HTTPServer
    let requests: AsyncStream<HTTPResponder>

    init() throws {
        var template = Array("/tmp/leaving-XXXXXX".utf8CString)
        let folder = try #require(mkdtemp(&template).map { String(cString: $0) })
        let (requests, arrive) = AsyncStream.makeStream(
            of: HTTPResponder.self,
            bufferingPolicy: .bufferingOldest(8)
        )
        self.folder = folder
        self.requests = requests
        path = folder + "/api.sock"
        server = HTTPServer(socketPath: path) { _, responder in arrive.yield(responder) }
        try server.start()
    }

    deinit {
        server.stop()
        rmdir(folder)
    }

    /// A connection that has sent a request.
    func ask() throws -> Int32 {
        let connection = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: Array(path.utf8)) }
        let connected = withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                connect(connection, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(connected == 0)
        let head = Array("GET /v1/id HTTP/1.1\r\nhost: peernode\r\n\r\n".utf8)
        try #require(send(connection, head, head.count, Int32(MSG_NOSIGNAL)) == head.count)
        return connection
    }
}

@Suite("Clients that leave before their answer", .timeLimit(.minutes(1)))
struct LeavingClientTests {
    @Test("the work for a client that closes its connection is cancelled", arguments: [false, true])
    func closed(hasBegun: Bool) async throws {
        let server = try EndlessServer()
        let connection = try server.ask()
        var requests = server.requests.makeAsyncIterator()
        let responder = try #require(await requests.next())
        if hasBegun {
            try responder.event(JSON.object([]))
            var byte: UInt8 = 0
            try #require(recv(connection, &byte, 1, 0) == 1)
        }
        let wasCancelled = Mutex(false)
        close(connection)
        await responder.whileClientStays {
            let (never, end) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
            for await _ in never {}
            end.finish()
            wasCancelled.withLock { $0 = Task.isCancelled }
        }
        #expect(wasCancelled.withLock { $0 })
    }

    @Test("the work for a client that only sends no more goes on, and is answered")
    func halfClosed() async throws {
        let server = try EndlessServer()
        let connection = try server.ask()
        defer { close(connection) }
        shutdown(connection, Int32(SHUT_WR))
        var requests = server.requests.makeAsyncIterator()
        let responder = try #require(await requests.next())
        await responder.whileClientStays { responder.respond(["ok": true]) }
        var answer = [UInt8](repeating: 0, count: 4096)
        let count = recv(connection, &answer, answer.count, 0)
        #expect(String(decoding: answer.prefix(max(0, count)), as: UTF8.self).hasPrefix("HTTP/1.1 200"))
    }
}
