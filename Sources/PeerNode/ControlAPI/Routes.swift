internal import Engines
internal import MRProtocol
internal import Multiformats

extension ControlServer {
    /// Answers one request: the first name of the path below `/v1` chooses the table.
    func route(_ request: HTTPRequest, _ responder: HTTPResponder) async throws {
        let names = request.path.split(separator: "/").map(String.init)
        guard names.first == "v1", names.count >= 2 else { throw ControlServer.unknown(request) }
        let rest = Array(names.dropFirst(2))
        switch names[1] {
        case "adds": try await routeAdds(request, rest, responder)
        case "files": try await routeFiles(request, rest, responder)
        case "results": try await routeResults(request, rest, responder)
        case "nodes": try await routeNodes(request, rest, responder)
        case "entries": try await routeEntries(request, rest, responder)
        case "blocks": try await routeBlocks(request, rest, responder)
        case "dags": try await routeDAGs(request, rest, responder)
        case "pins": try await routePins(request, rest, responder)
        case "repo": try await routeRepository(request, rest, responder)
        case "jobs": try await routeJobs(request, rest, responder)
        case "functions": try await routeFunctions(request, rest, responder)
        case "policy": try await routePolicy(request, rest, responder)
        case "id", "status", "peers": try await routeNode(request, Array(names.dropFirst()), responder)
        default: throw ControlServer.unknown(request)
        }
    }

    static func unknown(_ request: HTTPRequest) -> NodeError {
        NodeError(
            .invalidArgument,
            "there is no \(request.method.rawValue) \(request.path); see docs/control-api.md"
        )
    }

    static func cid(_ text: String) throws(NodeError) -> CID {
        guard let cid = CID(text) else { throw NodeError(.invalidArgument, "«\(text)» is not a CID") }
        return cid
    }

    static func path(_ names: [String]) throws(NodeError) -> ContentPath {
        guard let first = names.first else { throw NodeError(.invalidArgument, "the request names no CID") }
        return ContentPath(root: try cid(first), names: Array(names.dropFirst()))
    }

    static func number(_ request: HTTPRequest, _ name: String) throws(NodeError) -> UInt64? {
        guard let text = request.queryItem(name) else { return nil }
        guard let value = UInt64(text) else {
            throw NodeError(.invalidArgument, "«\(name)=\(text)» is not a number")
        }
        return value
    }

    static func flag(_ request: HTTPRequest, _ name: String, default standard: Bool) throws(NodeError) -> Bool
    {
        switch request.queryItem(name) {
        case nil: return standard
        case "", "1", "true": return true
        case "0", "false": return false
        case .some(let text): throw NodeError(.invalidArgument, "«\(name)=\(text)» is not true or false")
        }
    }

    /// The answer to a call that gives nothing.
    static let done: JSON = ["ok": true]
}

// MARK: - The node

extension ControlServer {
    func routeNode(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        switch (request.method, names.count, names[0]) {
        case (.get, 1, "id"): responder.respond(try await node.identity())
        case (.get, 1, "status"): responder.respond(try await node.status())
        case (.get, 1, "peers"): responder.respond(["peers": .array(of: try await node.peers())])
        case (.post, 1, "peers"):
            guard let address = request.queryItem("address") else {
                throw NodeError(.invalidArgument, "POST /v1/peers needs ?address=MULTIADDR")
            }
            responder.respond(["peerID": .string(try await node.connect(address))])
        case (.delete, 2, "peers"):
            try await node.disconnect(names[1])
            responder.respond(ControlServer.done)
        case (.get, 3, "peers") where names[2] == "ping":
            responder.respond(["milliseconds": .number(try await node.ping(names[1]))])
        case (.post, 3, "peers") where names[2] == "echo":
            let byteCount = try ControlServer.number(request, "bytes") ?? 0
            let halfCloses = try ControlServer.flag(request, "halfClose", default: false)
            let received = try await node.echo(names[1], byteCount: byteCount, halfCloses: halfCloses)
            responder.respond(["bytes": .count(received)])
        default: throw ControlServer.unknown(request)
        }
    }
}

// MARK: - Policy

extension ControlServer {
    func routePolicy(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        switch (request.method, names.count) {
        case (.get, 0): responder.respond(try await node.policy())
        case (.delete, 0): responder.respond(try await node.resetPolicy())
        case (.put, 1):
            let subject = try PolicySubject(parsing: names[0])
            let grant = try PolicyGrant(json: try await jsonBody(request), for: subject)
            responder.respond(try await node.setPolicy(grant, of: subject))
        case (.delete, 1):
            responder.respond(try await node.setPolicy(nil, of: try PolicySubject(parsing: names[0])))
        default: throw ControlServer.unknown(request)
        }
    }
}

// MARK: - Functions

extension ControlServer {
    /// Largest function that is taken, in bytes: that of a WebAssembly module.
    static let functionByteLimit = LoadedFunction.maxModuleByteCount

    func routeFunctions(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        let name = request.queryItem("name") ?? ""
        let limits = try TaskLimits(of: request)
        switch (request.method, names.count) {
        case (.get, 1):
            let source = FunctionSource.file(try ControlServer.cid(names[0]))
            responder.respond(try await node.checkFunction(source, name: name, limits: limits))
        case (.post, 0):
            if let line = request.queryItem("command") {
                responder.respond(try await node.checkFunction(.command(line), name: name, limits: limits))
                return
            }
            let bytes = try await body(request, limit: ControlServer.functionByteLimit)
            responder.respond(try await node.checkFunction(.bytes(bytes), name: name, limits: limits))
        default: throw ControlServer.unknown(request)
        }
    }
}

// MARK: - Jobs

extension ControlServer {
    func routeJobs(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        switch (request.method, names.count) {
        case (.get, 0): responder.respond(["jobs": .array(of: try await node.jobs())])
        case (.post, 0):
            let submission = try JobSubmission(json: try await jsonBody(request))
            responder.respond(["id": .string(try await node.submit(submission).description)])
        case (.get, 1): responder.respond(try await node.job(JobID(names[0])))
        case (.delete, 1):
            try await node.cancelJob(JobID(names[0]))
            responder.respond(ControlServer.done)
        case (.get, 2) where names[1] == "log":
            responder.respond(["entries": .array(of: try await node.jobLog(JobID(names[0])))])
        case (.get, 2) where names[1] == "events":
            _ = try await node.watchJob(JobID(names[0])) { try responder.event($0.json) }
            responder.finish()
        default: throw ControlServer.unknown(request)
        }
    }
}

// MARK: - Pins and the repository

extension ControlServer {
    func routePins(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        switch (request.method, names.count) {
        case (.get, 0): responder.respond(["pins": .array(of: try await node.pins())])
        case (.put, 1):
            try await node.addPin(try ControlServer.cid(names[0]), name: request.queryItem("name") ?? "")
            responder.respond(ControlServer.done)
        case (.delete, 1):
            try await node.removePin(try ControlServer.cid(names[0]))
            responder.respond(ControlServer.done)
        default: throw ControlServer.unknown(request)
        }
    }

    func routeRepository(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        switch (request.method, names) {
        case (.get, []): responder.respond(try await node.repositoryStatistics())
        case (.post, ["gc"]):
            let forgets = try ControlServer.flag(request, "remembered", default: false)
            try await stream(responder) {
                try await self.node.collectGarbage(forgetsOutputs: forgets) {
                    try responder.event(["removed": .cid($0)])
                }.json
            }
        case (.post, ["verify"]):
            try await stream(responder) {
                try await self.node.verify { try responder.event(["checked": .count($0)]) }.json
            }
        default: throw ControlServer.unknown(request)
        }
    }

    /// Ends a stream of events with `{"done": …}` or `{"error": …}`.
    private func stream(_ responder: HTTPResponder, _ work: () async throws -> JSON) async throws {
        do {
            try responder.event(["done": try await work()])
        } catch {
            guard responder.hasBegun else { throw error }
            try responder.event(NodeError.wrap(error).json)
        }
        responder.finish()
    }
}
