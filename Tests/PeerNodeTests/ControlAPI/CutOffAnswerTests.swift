import Glibc
import Multiformats
import Synchronization
import Testing

@testable import PeerNode

/// Answers whatever it is asked with bytes that were given to it, one connection after another, and closes.
private final class ScriptedServer: @unchecked Sendable {
    // Unchecked: constant after `init`.
    let path: String
    private let folder: String
    private let listener: Int32

    init() throws {
        var template = Array("/tmp/cut-off-XXXXXX".utf8CString)
        folder = try #require(mkdtemp(&template).map { String(cString: $0) })
        path = folder + "/api.sock"
        listener = socket(AF_UNIX, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        withUnsafeMutableBytes(of: &address.sun_path) { [path] in $0.copyBytes(from: Array(path.utf8)) }
        let bound = withUnsafePointer(to: &address) { [listener] pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                bind(listener, $0, socklen_t(MemoryLayout<sockaddr_un>.size))
            }
        }
        try #require(bound == 0 && listen(listener, 8) == 0)
    }

    deinit {
        close(listener)
        unlink(path)
        rmdir(folder)
    }

    /// Serves one connection for each answer; blocks its thread.
    func serve(_ answers: [[UInt8]]) {
        for answer in answers {
            let connection = accept(listener, nil, nil)
            readHead(connection)
            _ = answer.withUnsafeBytes { send(connection, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL)) }
            close(connection)
        }
    }

    private func readHead(_ connection: Int32) {
        var head: [UInt8] = []
        var byte: UInt8 = 0
        while head.suffix(4) != [13, 10, 13, 10], recv(connection, &byte, 1, 0) == 1 { head.append(byte) }
    }
}

@Suite("Answers that are cut off", .serialized)
struct CutOffAnswerTests {
    private static let cid = CID.of(Array("any".utf8), codec: .raw)
    private static let text = Array("the answer, not less".utf8)

    private static func chunked(_ pieces: [[UInt8]]) -> [UInt8] {
        let head = "HTTP/1.1 200 OK\r\ncontent-type: \(ContentType.frames)\r\ntransfer-encoding: chunked\r\n"
        return Array("\(head)connection: close\r\n\r\n".utf8)
            + pieces.flatMap { Array("\(String($0.count, radix: 16))\r\n".utf8) + $0 + [13, 10] }
            + Array("0\r\n\r\n".utf8)
    }

    /// What comes of `ask` for each of the answers: the bytes, or the error.
    private static func outcomes(
        of answers: [[UInt8]],
        _ ask: @escaping @Sendable (RemoteNode) async throws -> [UInt8]
    ) async throws -> [Result<[UInt8], NodeError>] {
        let server = try ScriptedServer()
        let threads = WorkerThreads()
        let node = RemoteNode(socketPath: server.path, threads: threads)
        async let served: Void = threads.run { server.serve(answers) }
        var outcomes: [Result<[UInt8], NodeError>] = []
        for _ in answers {
            do {
                outcomes.append(.success(try await ask(node)))
            } catch let error as NodeError {
                outcomes.append(.failure(error))
            }
        }
        try await served
        return outcomes
    }

    private static let read: @Sendable (RemoteNode) async throws -> [UInt8] = { node in
        let gathered = Mutex<[UInt8]>([])
        try await node.read(ContentPath(root: cid), offset: 0, length: nil) { piece in
            gathered.withLock { $0 += piece }
        }
        return gathered.withLock { $0 }
    }

    @Test("bytes in frames that are cut off at whatever place are an error, and never a shorter file")
    func frames() async throws {
        let end = AnswerFrame.encode(.end, [])
        let whole = Self.chunked([
            AnswerFrame.encode(.bytes, Self.text.prefix(9)),
            AnswerFrame.encode(.bytes, Self.text.dropFirst(9)), end,
        ])
        // Behind the frame that says so the answer is whole: the chunk's end and the last chunk add nothing.
        let certain = whole.count - Array("\r\n0\r\n\r\n".utf8).count
        let answers = (0..<whole.count).map { Array(whole.prefix($0)) } + [whole]
        for (count, outcome) in try await Self.outcomes(of: answers, Self.read).enumerated() {
            switch outcome {
            case .success(let bytes):
                #expect(count >= certain, "cut at \(count) of \(whole.count)")
                #expect(bytes == Self.text)
            case .failure(let error):
                #expect(count < whole.count)
                #expect(error.code == .unreachable, "cut at \(count): \(error)")
            }
        }
    }

    @Test("the error that ends an answer is the one that the caller sees")
    func errorFrame() async throws {
        let error = NodeError(.missingBlock, "block X of Y at byte 5 cannot be read")
        let answer = Self.chunked([
            AnswerFrame.encode(.bytes, Self.text), AnswerFrame.encode(.error, error.json.encoded),
        ])
        #expect(try await Self.outcomes(of: [answer], Self.read) == [.failure(error)])
    }

    @Test(
        "what is not in frames, or follows their end, is no answer",
        arguments: [
            [7, 0, 0, 0, 0], [0, 255, 0, 0, 0], AnswerFrame.encode(.end, []) + [0],
        ]
    )
    func malformed(bytes: [UInt8]) async throws {
        let outcomes = try await Self.outcomes(of: [Self.chunked([bytes])], Self.read)
        #expect(throws: NodeError.self) { try outcomes[0].get() }
    }

    @Test("a body with a length that is cut off is an error, at whatever place")
    func contentLength() async throws {
        let head = Array("HTTP/1.1 200 OK\r\ncontent-length: \(Self.text.count)\r\n\r\n".utf8)
        let answers = (0...Self.text.count).map { head + Self.text.prefix($0) }
        let outcomes = try await Self.outcomes(of: answers) { try await $0.block(Self.cid) }
        for (count, outcome) in outcomes.enumerated() {
            if count == Self.text.count {
                #expect(try outcome.get() == Self.text)
            } else {
                #expect(throws: NodeError.self, "cut at \(count)") { try outcome.get() }
            }
        }
    }
}
