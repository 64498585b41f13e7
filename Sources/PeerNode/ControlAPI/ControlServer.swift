internal import Synchronization

/// Serves the control API of a node: turns requests into calls of a `NodeService` (docs/control-api.md).
package final class ControlServer: Sendable {
    /// Longest JSON body that is read, in bytes.
    package static let jsonByteLimit = 16 << 20

    let node: any NodeService
    let uploads: UploadTable
    private let server: HTTPServer
    private let incoming: AsyncStream<(HTTPRequest, HTTPResponder)>
    private let arrive: AsyncStream<(HTTPRequest, HTTPResponder)>.Continuation
    private let threads: WorkerThreads

    /// A server for `node` at a socket path; `start` opens it.
    package init(node: any NodeService, socketPath: String, threads: WorkerThreads) {
        self.node = node
        self.threads = threads
        uploads = UploadTable()
        let (incoming, arrive) = AsyncStream.makeStream(
            of: (HTTPRequest, HTTPResponder).self,
            bufferingPolicy: .bufferingOldest(HTTPServer.connectionLimit)
        )
        self.incoming = incoming
        self.arrive = arrive
        server = HTTPServer(socketPath: socketPath) { request, responder in
            if case .enqueued = arrive.yield((request, responder)) { return }
            responder.respond(NodeError(.tooMuch, "too many requests are waiting; try again"))
        }
    }

    /// Opens the socket; requests wait until `run`.
    ///
    /// - Throws: `NodeError` with code `file`.
    package func start() throws(NodeError) {
        do { try server.start() } catch { throw NodeError(.file, "\(error)") }
    }

    /// Answers requests until `stop` is called or the task is cancelled.
    package func run() async {
        await withDiscardingTaskGroup { group in
            for await (request, responder) in incoming {
                group.addTask { await self.answer(request, responder) }
            }
            group.cancelAll()
        }
        server.stop()
    }

    /// Takes no more requests and ends the running ones.
    package func stop() {
        arrive.finish()
        uploads.abandonAll()
    }

    private func answer(_ request: HTTPRequest, _ responder: HTTPResponder) async {
        await responder.whileClientStays {
            do {
                try await self.route(request, responder)
            } catch {
                responder.respond(NodeError.wrap(error))
            }
        }
    }

    /// Reads a JSON body on a thread that may block.
    func jsonBody(_ request: HTTPRequest) async throws -> JSON {
        try await threads.run {
            do {
                let bytes = try request.readBody(limit: ControlServer.jsonByteLimit)
                if bytes.isEmpty { return .object([]) }
                return try JSON(parsing: bytes, byteLimit: ControlServer.jsonByteLimit)
            } catch let fault as JSONFault {
                throw NodeError(
                    .invalidArgument,
                    "the request's body is not JSON that is read here: \(fault)"
                )
            } catch HTTPFault.bodyTooLong(let limit) {
                throw NodeError(.tooMuch, "the request's JSON body is over \(limit) bytes")
            }
        }
    }

    /// Reads a body that must be short on a thread that may block.
    func body(_ request: HTTPRequest, limit: Int) async throws -> [UInt8] {
        try await threads.run {
            do { return try request.readBody(limit: limit) } catch HTTPFault.bodyTooLong(let limit) {
                throw NodeError(.tooMuch, "the request's body is over \(limit) bytes")
            }
        }
    }

    /// The request's body as a source of bytes; its length must be known.
    func bodySource(_ request: HTTPRequest) throws(NodeError) -> PipeSource {
        guard let length = request.contentLength else {
            throw NodeError(
                .invalidArgument,
                "the request has no Content-Length; send the file with its length, or use /v1/adds/ID/uploads"
            )
        }
        return PipeSource(request.body, byteCount: length)
    }

    /// Moves a body of unknown length, piece by piece, on a thread that may block.
    func pour(_ request: HTTPRequest, into pipe: BytePipe) async throws {
        try await threads.run {
            while true {
                let bytes = try request.body.read(upTo: .max)
                if bytes.isEmpty { return }
                try pipe.write(bytes)
            }
        }
    }
}

extension HTTPResponder {
    func respond(_ message: some JSONMessage) { respond(message.json) }

    func respond(_ json: JSON) { respond(status: 200, body: json.encoded + [10]) }

    /// Answers with an error; when bytes of an answer are out already, breaks the connection.
    func respond(_ error: NodeError) {
        if hasBegun {
            abort(error.message)
        } else {
            respond(status: error.httpStatus, body: error.json.encoded + [10])
        }
    }

    /// Sends one JSON value on a line of its own.
    func event(_ json: JSON) throws {
        begin(contentType: ContentType.events)
        try write(json.encoded + [10])
    }
}

extension NodeError {
    /// Any error as one of ours.
    package static func wrap(_ error: any Error) -> NodeError {
        switch error {
        case let error as NodeError: error
        case let error as JobServiceError: NodeError(error)
        case let fault as HTTPFault: NodeError(fault)
        case is CancellationError: NodeError(.cancelled, "cancelled")
        case BytePipe.End.broken(let reason): NodeError(.cancelled, "the transfer was broken off: \(reason)")
        default: NodeError(.internal, "\(error)")
        }
    }

    init(_ error: JobServiceError) {
        let code: Code =
            switch error.code {
            case .invalidJob: .invalidArgument
            case .invalidFunction: .invalidFunction
            case .unknownJob: .notFound
            case .jobEnded: .conflict
            case .tooManyJobs: .tooMuch
            case .notAllowed: .notAllowed
            case .database: .database
            case .stopped: .unreachable
            }
        self.init(code, error.message)
    }

    init(_ fault: HTTPFault) {
        switch fault {
        case .bodyTooLong(let limit): self.init(.tooMuch, "the body is over \(limit) bytes")
        case .bodyBroken(let reason): self.init(.cancelled, "the transfer was broken off: \(reason)")
        case .unreachable(let what):
            self.init(.unreachable, "the daemon does not answer (\(what)); is peernode running?")
        case .interrupted: self.init(.unreachable, "the daemon broke off its answer; its log says why")
        case .cancelled: self.init(.cancelled, "cancelled")
        case .silent: self.init(.unreachable, "the daemon does not answer (\(fault))")
        case .noContext(let reason): self.init(.internal, reason)
        }
    }
}
