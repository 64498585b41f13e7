internal import Glibc
public import MRProtocol
public import Multiformats

/// The node whose daemon listens at a socket, asked through the control API (docs/control-api.md).
public final class RemoteNode: NodeService {
    /// Longest answer that is held in memory, in bytes.
    static let answerByteLimit = 64 << 20
    /// Piece of a file of unknown length that is sent at a time, in bytes.
    static let uploadPieceByteCount = 4 << 20

    let client: HTTPClient
    let socketPath: String
    private let threads: WorkerThreads
    /// The connections that tell the daemon that this process still wants its adds.
    let holds = AddHolds()

    /// Asks the daemon at `socketPath`; nothing is sent before the first call.
    ///
    /// `onSilence` is called when a call waits for the daemon, and that gives no sign of life.
    public convenience init(socketPath: String, onSilence: @escaping @Sendable () -> Void = {}) {
        self.init(socketPath: socketPath, threads: WorkerThreads(), onSilence: onSilence)
    }

    package init(
        socketPath: String,
        threads: WorkerThreads,
        patience: HTTPClient.Patience = HTTPClient.Patience(),
        onSilence: @escaping @Sendable () -> Void = {}
    ) {
        client = HTTPClient(socketPath: socketPath, patience: patience, onSilence: onSilence)
        self.socketPath = socketPath
        self.threads = threads
    }

    // MARK: Calls

    /// A request whose answer is one JSON value.
    @discardableResult
    func ask(_ method: HTTPMethod, _ target: String, _ body: JSON? = nil) async throws -> JSON {
        let bytes = body?.encoded ?? []
        return try await send(method, target, length: UInt64(bytes.count), type: ContentType.json) {
            var rest = bytes[...]
            return { limit in
                defer { rest = rest.dropFirst(limit) }
                return Array(rest.prefix(limit))
            }
        }
    }

    /// A request with the bytes of `source`, whose answer is one JSON value.
    func send(_ method: HTTPMethod, _ target: String, _ source: any ByteSource, length: UInt64) async throws
        -> JSON
    {
        try await send(method, target, length: length, type: ContentType.bytes) {
            { limit in try source.readArray(upTo: limit) }
        }
    }

    private func send(
        _ method: HTTPMethod,
        _ target: String,
        length: UInt64,
        type: String,
        body: @escaping @Sendable () -> (Int) throws -> [UInt8]
    ) async throws -> JSON {
        let bytes = try await bytes(method, target, length: length, type: type, body: body)
        do { return try JSON(parsing: bytes, byteLimit: RemoteNode.answerByteLimit) } catch {
            throw NodeError(.internal, "the daemon's answer is not JSON: \(error)")
        }
    }

    /// A request whose answer is short enough for memory.
    private func bytes(
        _ method: HTTPMethod,
        _ target: String,
        length: UInt64 = 0,
        type: String = ContentType.bytes,
        body: @escaping @Sendable () -> (Int) throws -> [UInt8] = { { _ in [] } }
    ) async throws -> [UInt8] {
        try await exchange { client, isCancelled in
            var answer: [UInt8] = []
            var call = HTTPClient.Call(method, target)
            call.contentLength = length
            call.contentType = type
            call.nextBodyPiece = body()
            call.receive = { _, bytes in
                guard answer.count + bytes.count <= RemoteNode.answerByteLimit else {
                    throw NodeError(
                        .tooMuch,
                        "the daemon's answer is over \(RemoteNode.answerByteLimit) bytes"
                    )
                }
                answer += bytes
            }
            let status = try client.perform(call, isCancelled: isCancelled)
            guard status < 300 else { throw RemoteNode.error(status, answer) }
            return answer
        }
    }

    /// A request whose answer is bytes in frames, given to `sink` as they come.
    ///
    /// - Parameters:
    ///   - names: of the path, behind the version.
    ///   - query: further items of the query.
    ///   - sink: takes the bytes.
    /// - Throws: the daemon's error, also one in the middle of the bytes; `NodeError` with `.unreachable` when the answer
    ///   ends before it is whole.
    func download(_ names: [String], query: [(String, String)] = [], into sink: @escaping ByteSink)
        async throws
    {
        let target = RemoteNode.target(names, query: query + [("frames", "true")])
        try await exchange { client, isCancelled in
            var reader = AnswerFrameReader()
            var refusal: [UInt8] = []
            var call = HTTPClient.Call(.get, target)
            call.receive = { status, bytes in
                if status >= 300 {
                    refusal += bytes.prefix(max(0, RemoteNode.uploadPieceByteCount - refusal.count))
                } else {
                    try reader.receive(bytes, sink)
                }
            }
            call.isWhole = { reader.hasEnded }
            let status = try client.perform(call, isCancelled: isCancelled)
            guard status < 300 else { throw RemoteNode.error(status, refusal) }
        }
    }

    /// A request whose answer is events, one JSON value a line.
    func events(
        _ method: HTTPMethod,
        _ target: String,
        _ handle: @escaping @Sendable (JSON) throws -> Void
    ) async throws {
        try await exchange { client, isCancelled in
            var line: [UInt8] = []
            var call = HTTPClient.Call(method, target)
            call.receive = { status, bytes in
                line += bytes
                guard status < 300 else { return }
                while let end = line.firstIndex(of: 10) {
                    let text = Array(line[..<end])
                    line.removeSubrange(...end)
                    try RemoteNode.handle(event: text, handle)
                }
                guard line.count <= RemoteNode.answerByteLimit else {
                    throw NodeError(
                        .tooMuch,
                        "an event of the daemon is over \(RemoteNode.answerByteLimit) bytes"
                    )
                }
            }
            // Who reads events knows which one is the last.
            call.isWhole = { line.isEmpty }
            let status = try client.perform(call, isCancelled: isCancelled)
            guard status < 300 else { throw RemoteNode.error(status, line) }
        }
    }

    private static func handle(event text: [UInt8], _ handle: (JSON) throws -> Void) throws {
        let json: JSON
        do { json = try JSON(parsing: text, byteLimit: answerByteLimit) } catch {
            throw NodeError(.internal, "an event of the daemon is not JSON: \(error)")
        }
        if json["error"] != nil { throw try NodeError(json: json) }
        try handle(json)
    }

    /// Runs an exchange on a thread of its own; cancelling the task ends it.
    private func exchange<Value: Sendable>(
        _ body: @escaping @Sendable (HTTPClient, @escaping () -> Bool) throws -> Value
    ) async throws -> Value {
        let client = client
        do {
            return try await threads.run { try body(client) { Task.isCancelled } }
        } catch HTTPFault.silent(let seconds) {
            throw silence(seconds)
        } catch let fault as HTTPFault {
            throw NodeError(fault)
        }
    }

    /// The daemon is there and says nothing.
    private func silence(_ seconds: Int) -> NodeError {
        let home = homePath
        let process = HomeLock.holder(of: HomeFolder(path: home))
        let name = process.map { "process \($0)" } ?? "its process"
        let command = process.map { "`kill -CONT \($0)`" } ?? "SIGCONT"
        return NodeError(
            .unreachable,
            "the daemon of \(home) (\(name)) has said nothing for \(seconds) s, although it holds the home: "
                + "if it is stopped, \(command) lets it go on; if it is stuck, end it and start peernode again"
        )
    }

    /// The folder of the socket, which is the daemon's home.
    var homePath: String {
        String(socketPath.prefix(upTo: socketPath.lastIndex(of: "/") ?? socketPath.startIndex))
    }

    private static func error(_ status: Int, _ body: [UInt8]) -> NodeError {
        if let json = try? JSON(parsing: body, byteLimit: answerByteLimit),  // not JSON: the status must do
            let error = try? NodeError(json: json)
        {
            return error
        }
        return NodeError(.internal, "the daemon answered with HTTP status \(status)")
    }

    static func target(_ names: String..., query: [(String, String)] = []) -> String {
        target(names, query: query)
    }

    static func target(_ names: [String], query: [(String, String)] = []) -> String {
        let path = (["v1"] + names).map { "/" + PercentEncoding.encode($0) }.joined()
        guard !query.isEmpty else { return path }
        return path + "?" + query.map { "\($0.0)=\(PercentEncoding.encode($0.1))" }.joined(separator: "&")
    }
}

// MARK: - Adding

extension RemoteNode {
    /// As `NodeService` says.
    public func beginAdd(onlyHash: Bool, profile: ImportProfile) async throws -> AddSession {
        var query = [("profile", profile.rawValue)]
        if onlyHash { query.append(("only-hash", "true")) }
        let target = RemoteNode.target("adds", query: query)
        let session = AddSession(
            id: try JSONFields(try await ask(.post, target), of: "answer").text("add")
        )
        try await hold(session)
        return session
    }

    /// Opens the connection that the add ends with, so that the daemon gives it up when this process is gone.
    private func hold(_ session: AddSession) async throws {
        let (began, tell) = AsyncThrowingStream.makeStream(
            of: Void.self,
            bufferingPolicy: .bufferingNewest(1)
        )
        let hold = AddHold()
        holds.add(hold, for: session)
        let client = client
        // Outlives this call, so it is no child of it; it ends with the add, or with the process.
        hold.start {
            var call = HTTPClient.Call(.get, RemoteNode.target("adds", session.id, "hold"))
            call.receive = { status, _ in
                guard status < 300 else { return }
                tell.yield()
            }
            do {
                let status = try client.perform(call) { hold.hasEnded }
                tell.finish(throwing: status < 300 ? nil : HTTPFault.interrupted)
            } catch {
                tell.finish(throwing: error)
            }
        }
        do {
            for try await _ in began { return }
            throw HTTPFault.interrupted
        } catch {
            holds.end(session)
            if case HTTPFault.silent(let seconds) = error { throw silence(seconds) }
            throw NodeError.wrap(error)
        }
    }

    /// As `NodeService` says.
    public func addFile(_ source: any ByteSource, in session: AddSession) async throws -> AddedNode {
        if let length = source.byteCount {
            let target = RemoteNode.target("adds", session.id, "files")
            return try AddedNode(json: try await send(.post, target, source, length: length))
        }
        return try await upload(source, in: session)
    }

    /// Sends a file of unknown length in pieces.
    private func upload(_ source: any ByteSource, in session: AddSession) async throws -> AddedNode {
        let begun = try await ask(.post, RemoteNode.target("adds", session.id, "uploads"))
        let id = try JSONFields(begun, of: "answer").text("upload")
        var offset: UInt64 = 0
        while true {
            let piece = try await threads.run { try source.readArray(upTo: RemoteNode.uploadPieceByteCount) }
            if piece.isEmpty { break }
            let query = [("offset", "\(offset)")]
            let target = RemoteNode.target(["adds", session.id, "uploads", id], query: query)
            _ = try await send(.put, target, ArraySource(piece), length: UInt64(piece.count))
            offset += UInt64(piece.count)
        }
        return try AddedNode(
            json: try await ask(.post, RemoteNode.target("adds", session.id, "uploads", id, "finish"))
        )
    }

    /// As `NodeService` says.
    public func addDirectory(_ entries: [NewEntry], in session: AddSession) async throws -> AddedNode {
        let target = RemoteNode.target("adds", session.id, "directories")
        return try AddedNode(json: try await ask(.post, target, ["entries": .array(of: entries)]))
    }

    /// As `NodeService` says.
    public func addSymlink(target: String, in session: AddSession) async throws -> AddedNode {
        let route = RemoteNode.target("adds", session.id, "symlinks")
        return try AddedNode(json: try await ask(.post, route, ["target": .string(target)]))
    }

    /// As `NodeService` says.
    public func finishAdd(_ session: AddSession, pins: [PinInfo]) async throws {
        defer { holds.end(session) }
        try await ask(.post, RemoteNode.target("adds", session.id, "finish"), ["pins": .array(of: pins)])
    }

    /// As `NodeService` says.
    public func abandonAdd(_ session: AddSession) async throws {
        defer { holds.end(session) }
        try await ask(.delete, RemoteNode.target("adds", session.id))
    }

    /// Every add of this node is held by a connection from its beginning.
    public func holdAdd(_ session: AddSession) async throws {}
}

// MARK: - Reading

extension RemoteNode {
    /// As `NodeService` says.
    public func resolve(_ path: ContentPath) async throws -> ContentInfo {
        try ContentInfo(
            json: try await ask(.get, RemoteNode.target(["nodes", path.root.description] + path.names))
        )
    }

    /// As `NodeService` says.
    public func list(_ path: ContentPath) async throws -> [ContentEntry] {
        let answer = try await ask(.get, RemoteNode.target(["entries", path.root.description] + path.names))
        return try JSONFields(answer, of: "listing").messages("entries")
    }

    /// As `NodeService` says.
    public func read(
        _ path: ContentPath,
        offset: UInt64,
        length: UInt64?,
        into sink: @escaping ByteSink
    ) async throws {
        var query: [(String, String)] = []
        if offset > 0 { query.append(("offset", "\(offset)")) }
        if let length { query.append(("length", "\(length)")) }
        try await download(["files", path.root.description] + path.names, query: query, into: sink)
    }
}

extension RemoteNode {
    /// As `NodeService` says.
    public func readResult(_ cid: CID, into sink: @escaping ByteSink) async throws {
        try await download(["results", cid.description], into: sink)
    }
}

// MARK: - Blocks and DAGs

extension RemoteNode {
    /// As `NodeService` says.
    public func block(_ cid: CID) async throws -> [UInt8] {
        try await bytes(.get, RemoteNode.target("blocks", cid.description))
    }

    /// As `NodeService` says.
    public func putBlock(_ bytes: [UInt8], codec: UInt64) async throws -> BlockInfo {
        let target = RemoteNode.target("blocks", query: [("codec", "\(codec)")])
        return try BlockInfo(
            json: try await send(.post, target, ArraySource(bytes), length: UInt64(bytes.count))
        )
    }

    /// As `NodeService` says.
    public func blockInfo(_ cid: CID) async throws -> BlockInfo {
        try BlockInfo(json: try await ask(.get, RemoteNode.target("blocks", cid.description, "stat")))
    }

    /// As `NodeService` says.
    public func removeBlock(_ cid: CID) async throws {
        try await ask(.delete, RemoteNode.target("blocks", cid.description))
    }

    /// As `NodeService` says.
    public func exportCAR(_ cid: CID, into sink: @escaping ByteSink) async throws {
        try await download(["dags", cid.description], into: sink)
    }

    /// As `NodeService` says.
    public func importCAR(_ source: any ByteSource, pinsRoots: Bool) async throws -> ImportReport {
        let target = RemoteNode.target("dags", query: [("pin", "\(pinsRoots)")])
        if let length = source.byteCount {
            return try ImportReport(json: try await send(.post, target, source, length: length))
        }
        let folder = homePath
        let spooled = try await threads.run { try SpoolFile.spool(source, in: folder) }
        return try ImportReport(json: try await send(.post, target, spooled, length: spooled.byteCount ?? 0))
    }

    /// As `NodeService` says.
    public func dagStatistics(_ cid: CID) async throws -> DAGStatistics {
        try DAGStatistics(json: try await ask(.get, RemoteNode.target("dags", cid.description, "stat")))
    }
}

// MARK: - Pins and the repository

extension RemoteNode {
    /// As `NodeService` says.
    public func addPin(_ cid: CID, name: String) async throws {
        try await ask(
            .put,
            RemoteNode.target("pins", cid.description, query: name.isEmpty ? [] : [("name", name)])
        )
    }

    /// As `NodeService` says.
    public func removePin(_ cid: CID) async throws {
        try await ask(.delete, RemoteNode.target("pins", cid.description))
    }

    /// As `NodeService` says.
    public func pins() async throws -> [PinInfo] {
        try JSONFields(try await ask(.get, RemoteNode.target("pins")), of: "pins").messages("pins")
    }

    /// As `NodeService` says.
    public func repositoryStatistics() async throws -> RepositoryStatistics {
        try RepositoryStatistics(json: try await ask(.get, RemoteNode.target("repo")))
    }

    /// As `NodeService` says.
    public func collectGarbage(
        forgetsOutputs: Bool,
        removed: @escaping @Sendable (CID) throws -> Void
    ) async throws -> CollectionReport {
        try await report("gc", query: forgetsOutputs ? [("remembered", "true")] : []) {
            try removed(try JSONFields($0, of: "event").cid("removed"))
        }
    }

    /// As `NodeService` says.
    public func verify(progress: @escaping @Sendable (UInt64) throws -> Void) async throws
        -> VerificationReport
    {
        try await report("verify") { try progress(try JSONFields($0, of: "event").unsigned("checked")) }
    }

    /// Reads events up to the one that says `done`.
    private func report<Report: JSONMessage & Sendable>(
        _ name: String,
        query: [(String, String)] = [],
        _ handle: @escaping @Sendable (JSON) throws -> Void
    ) async throws -> Report {
        let last = LastValue<Report>()
        try await events(.post, RemoteNode.target("repo", name, query: query)) { event in
            if let done = event["done"] { last.set(try Report(json: done)) } else { try handle(event) }
        }
        guard let report = last.value else { throw NodeError(HTTPFault.interrupted) }
        return report
    }
}

// MARK: - Jobs

extension RemoteNode {
    /// As `NodeService` says.
    public func submit(_ submission: JobSubmission) async throws -> JobID {
        let answer = try await ask(.post, RemoteNode.target("jobs"), submission.json)
        return JobID(try JSONFields(answer, of: "answer").text("id"))
    }

    /// As `NodeService` says.
    public func jobs() async throws -> [JobStatus] {
        try JSONFields(try await ask(.get, RemoteNode.target("jobs")), of: "jobs").messages("jobs")
    }

    /// As `NodeService` says.
    public func job(_ id: JobID) async throws -> JobStatus {
        try JobStatus(json: try await ask(.get, RemoteNode.target("jobs", id.description)))
    }

    /// As `NodeService` says.
    public func watchJob(
        _ id: JobID,
        update: @escaping @Sendable (JobStatus) throws -> Void
    ) async throws -> JobStatus {
        let last = LastValue<JobStatus>()
        try await events(.get, RemoteNode.target("jobs", id.description, "events")) { event in
            let status = try JobStatus(json: event)
            last.set(status)
            try update(status)
        }
        guard let status = last.value, status.state.isFinal else { throw NodeError(HTTPFault.interrupted) }
        return status
    }

    /// As `NodeService` says.
    public func checkFunction(
        _ source: FunctionSource,
        name: String,
        limits: TaskLimits
    ) async throws -> FunctionDescription {
        let query = [("name", name)] + limits.query
        let answer: JSON
        switch source {
        case .file(let cid):
            answer = try await ask(
                .get,
                RemoteNode.target("functions", cid.description, query: query)
            )
        case .bytes(let bytes):
            let target = RemoteNode.target("functions", query: query)
            answer = try await send(.post, target, ArraySource(bytes), length: UInt64(bytes.count))
        case .command(let line):
            answer = try await ask(
                .post,
                RemoteNode.target("functions", query: query + [("command", line)])
            )
        }
        return try FunctionDescription(json: answer)
    }

    /// As `NodeService` says.
    public func cancelJob(_ id: JobID) async throws {
        try await ask(.delete, RemoteNode.target("jobs", id.description))
    }

    /// As `NodeService` says.
    public func jobLog(_ id: JobID) async throws -> [JobLogEntry] {
        let answer = try await ask(.get, RemoteNode.target("jobs", id.description, "log"))
        return try JSONFields(answer, of: "log").messages("entries")
    }
}

// MARK: - Policy

extension RemoteNode {
    /// As `NodeService` says.
    public func policy() async throws -> PolicyReport {
        try PolicyReport(json: try await ask(.get, RemoteNode.target("policy")))
    }

    /// As `NodeService` says.
    public func setPolicy(_ grant: PolicyGrant?, of subject: PolicySubject) async throws -> PolicyReport {
        let target = RemoteNode.target("policy", subject.text)
        return try PolicyReport(json: try await ask(grant == nil ? .delete : .put, target, grant?.json))
    }

    /// As `NodeService` says.
    public func resetPolicy() async throws -> PolicyReport {
        try PolicyReport(json: try await ask(.delete, RemoteNode.target("policy")))
    }
}

// MARK: - The node

extension RemoteNode {
    /// As `NodeService` says.
    public func identity() async throws -> NodeIdentity {
        try NodeIdentity(json: try await ask(.get, RemoteNode.target("id")))
    }

    /// As `NodeService` says.
    public func status() async throws -> NodeStatus {
        try NodeStatus(json: try await ask(.get, RemoteNode.target("status")))
    }

    /// As `NodeService` says.
    public func peers() async throws -> [PeerInfo] {
        try JSONFields(try await ask(.get, RemoteNode.target("peers")), of: "peers").messages("peers")
    }

    /// As `NodeService` says.
    public func connect(_ address: String) async throws -> String {
        let answer = try await ask(.post, RemoteNode.target("peers", query: [("address", address)]))
        return try JSONFields(answer, of: "answer").text("peerID")
    }

    /// As `NodeService` says.
    public func disconnect(_ peer: String) async throws {
        try await ask(.delete, RemoteNode.target("peers", peer))
    }

    /// As `NodeService` says.
    public func ping(_ peer: String) async throws -> Double {
        try JSONFields(try await ask(.get, RemoteNode.target("peers", peer, "ping")), of: "answer").double(
            "milliseconds"
        )
    }

    /// As `NodeService` says.
    public func echo(_ peer: String, byteCount: UInt64, halfCloses: Bool) async throws -> UInt64 {
        let query = [("bytes", "\(byteCount)"), ("halfClose", halfCloses ? "true" : "false")]
        let answer = try await ask(.post, RemoteNode.target("peers", peer, "echo", query: query))
        return UInt64(try JSONFields(answer, of: "answer").int("bytes"))
    }
}
