internal import Multiformats

// MARK: - Adding

extension ControlServer {
    func routeAdds(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        if request.method == .post, names.isEmpty {
            let onlyHash = try ControlServer.flag(request, "only-hash", default: false)
            let session = try await node.beginAdd(
                onlyHash: onlyHash,
                profile: try ControlServer.profile(request)
            )
            responder.respond(["add": .string(session.id)])
            return
        }
        guard let id = names.first else { throw ControlServer.unknown(request) }
        let session = AddSession(id: id)
        switch (request.method, Array(names.dropFirst())) {
        case (.delete, []):
            uploads.abandon(session)
            try await node.abandonAdd(session)
            responder.respond(ControlServer.done)
        case (.get, ["hold"]): try await hold(session, responder)
        case (.post, ["finish"]):
            let fields = try JSONFields(try await jsonBody(request), of: "finish")
            try await node.finishAdd(
                session,
                pins: fields.optional("pins") == nil ? [] : try fields.messages("pins")
            )
            responder.respond(ControlServer.done)
        case (.post, ["files"]):
            responder.respond(try await node.addFile(try bodySource(request), in: session))
        case (.post, ["directories"]):
            let entries: [NewEntry] = try JSONFields(try await jsonBody(request), of: "directory").messages(
                "entries"
            )
            responder.respond(try await node.addDirectory(entries, in: session))
        case (.post, ["symlinks"]):
            let target = try JSONFields(try await jsonBody(request), of: "symbolic link").text("target")
            responder.respond(try await node.addSymlink(target: target, in: session))
        case (_, let rest) where rest.first == "uploads":
            try await routeUploads(request, Array(rest.dropFirst()), session, responder)
        default: throw ControlServer.unknown(request)
        }
    }

    /// Time between the signs of life by which it is found out that a client that holds an add is gone.
    static let holdInterval = Duration.seconds(2)

    /// Answers for as long as the add lasts, and gives the add up when the client closes the connection or is gone.
    private func hold(_ session: AddSession, _ responder: HTTPResponder) async throws {
        try await node.holdAdd(session)
        uploads.hold(session)
        do {
            while true {
                try responder.event(JSON.object([]))
                try await Task.sleep(for: ControlServer.holdInterval)
                try await node.holdAdd(session)
            }
        } catch {
            uploads.abandon(session)
            try? await node.abandonAdd(session)  // it may have ended as it should
            responder.finish()
        }
    }

    private static func profile(_ request: HTTPRequest) throws(NodeError) -> ImportProfile {
        guard let name = request.queryItem("profile") else { return .standard }
        guard let profile = ImportProfile(rawValue: name) else {
            let known = ImportProfile.allCases.map(\.rawValue).joined(separator: ", ")
            throw NodeError(.invalidArgument, "there is no profile «\(name)»; there are \(known)")
        }
        return profile
    }

    /// A file whose length is not known beforehand, sent in pieces.
    private func routeUploads(
        _ request: HTTPRequest,
        _ names: [String],
        _ session: AddSession,
        _ responder: HTTPResponder
    ) async throws {
        switch (request.method, names.count) {
        case (.post, 0):
            let node = node
            let id = try uploads.begin(session) { try await node.addFile($0, in: session) }
            responder.respond(["upload": .string(id)])
        case (.put, 1):
            let upload = try uploads.upload(names[0])
            try upload.expect(offset: try ControlServer.number(request, "offset") ?? 0)
            try await pour(request, into: upload.pipe)
            upload.received(request.contentLength ?? 0)
            responder.respond(ControlServer.done)
        case (.post, 2) where names[1] == "finish":
            responder.respond(try await uploads.finish(names[0]))
        default: throw ControlServer.unknown(request)
        }
    }

    func routeFiles(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        switch (request.method, names.isEmpty) {
        case (.post, true), (.put, true): responder.respond(try await addWhole(request))
        case (.get, false):
            let path = try ControlServer.path(names)
            let offset = try ControlServer.number(request, "offset") ?? 0
            let length = try ControlServer.number(request, "length")
            let answer = try ByteAnswer(to: request, responder, contentType: ContentType.bytes)
            try await answer.send { sink in
                try await node.read(path, offset: offset, length: length, into: sink)
            }
        default: throw ControlServer.unknown(request)
        }
    }

    func routeResults(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        guard request.method == .get, names.count == 1 else { throw ControlServer.unknown(request) }
        let cid = try ControlServer.cid(names[0])
        let answer = try ByteAnswer(to: request, responder, contentType: ContentType.bytes)
        try await answer.send { sink in try await node.readResult(cid, into: sink) }
    }

    /// Adds and pins one file in one request.
    private func addWhole(_ request: HTTPRequest) async throws -> AddedNode {
        let source = try bodySource(request)
        let pins = try ControlServer.flag(request, "pin", default: true)
        let session = try await node.beginAdd(onlyHash: false, profile: try ControlServer.profile(request))
        do {
            let added = try await node.addFile(source, in: session)
            let pin = PinInfo(cid: added.cid, name: request.queryItem("name") ?? "")
            try await node.finishAdd(session, pins: pins ? [pin] : [])
            return added
        } catch {
            try? await node.abandonAdd(session)  // the first error is the one to show
            throw error
        }
    }
}

// MARK: - Reading

extension ControlServer {
    func routeNodes(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        guard request.method == .get else { throw ControlServer.unknown(request) }
        responder.respond(try await node.resolve(try ControlServer.path(names)))
    }

    func routeEntries(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        guard request.method == .get else { throw ControlServer.unknown(request) }
        responder.respond(["entries": .array(of: try await node.list(try ControlServer.path(names)))])
    }

    func routeBlocks(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        switch (request.method, names.count) {
        case (.post, 0):
            let bytes = try await body(request, limit: ControlServer.blockByteLimit)
            let codec = try ControlServer.number(request, "codec") ?? 0x55
            responder.respond(try await node.putBlock(bytes, codec: codec))
        case (.get, 1):
            let bytes = try await node.block(try ControlServer.cid(names[0]))
            responder.respond(status: 200, contentType: ContentType.bytes, body: bytes)
        case (.get, 2) where names[1] == "stat":
            responder.respond(try await node.blockInfo(try ControlServer.cid(names[0])))
        case (.delete, 1):
            try await node.removeBlock(try ControlServer.cid(names[0]))
            responder.respond(ControlServer.done)
        default: throw ControlServer.unknown(request)
        }
    }

    /// Longest block that is taken, in bytes.
    static let blockByteLimit = 2 << 20

    func routeDAGs(_ request: HTTPRequest, _ names: [String], _ responder: HTTPResponder) async throws {
        switch (request.method, names.count) {
        case (.post, 0):
            let pins = try ControlServer.flag(request, "pin", default: true)
            responder.respond(try await node.importCAR(try bodySource(request), pinsRoots: pins))
        case (.get, 1):
            let cid = try ControlServer.cid(names[0])
            let answer = try ByteAnswer(to: request, responder, contentType: ContentType.car)
            try await answer.send { sink in try await node.exportCAR(cid, into: sink) }
        case (.get, 2) where names[1] == "stat":
            responder.respond(try await node.dagStatistics(try ControlServer.cid(names[0])))
        default: throw ControlServer.unknown(request)
        }
    }
}
