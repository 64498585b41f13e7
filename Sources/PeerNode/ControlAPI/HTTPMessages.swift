/// The head of a request, as the server hands it on.
package struct HTTPRequest: Sendable {
    package var method: HTTPMethod
    /// The path, percent-decoded, without the query.
    package var path: String
    /// Query items in order, percent-decoded.
    package var query: [(name: String, value: String)]
    /// Bytes of the body; `nil`: the request said neither a length nor that it has none.
    package var contentLength: UInt64?
    package var body: BytePipe

    /// The first query item of that name.
    package func queryItem(_ name: String) -> String? { query.first { $0.name == name }?.value }

    /// Reads a whole body that must be short; blocks the calling thread.
    package func readBody(limit: Int) throws(HTTPFault) -> [UInt8] {
        var bytes: [UInt8] = []
        while true {
            let piece: [UInt8]
            do { piece = try body.read(upTo: 1 << 16) } catch { throw .bodyBroken("\(error)") }
            if piece.isEmpty { return bytes }
            guard bytes.count + piece.count <= limit else { throw .bodyTooLong(limit: limit) }
            bytes += piece
        }
    }
}

/// Methods of the control API.
package enum HTTPMethod: String, Sendable, CaseIterable {
    case get = "GET"
    case post = "POST"
    case put = "PUT"
    case delete = "DELETE"
    case head = "HEAD"
}

/// What goes wrong between an HTTP client and server.
package enum HTTPFault: Error, Equatable, Sendable {
    case bodyTooLong(limit: Int)
    case bodyBroken(String)
    /// Nobody answers at the socket.
    case unreachable(String)
    /// The connection ended in the middle of an answer.
    case interrupted
    case cancelled
    /// The server gave no sign of life for that many seconds, not even to a question of its own.
    case silent(seconds: Int)
    /// The event loop of the HTTP library could not be made.
    case noContext(String)
}

extension HTTPFault: CustomStringConvertible {
    /// What went wrong, in words.
    package var description: String {
        switch self {
        case .bodyTooLong(let limit): "the body is over \(limit) bytes"
        case .bodyBroken(let reason): "the transfer was broken off: \(reason)"
        case .unreachable(let what): "nobody answers (\(what))"
        case .interrupted: "the answer broke off"
        case .cancelled: "cancelled"
        case .silent(let seconds): "no sign of life for \(seconds) s"
        case .noContext(let reason): reason
        }
    }
}

/// Names of the content types that the control API speaks.
package enum ContentType {
    package static let json = "application/json"
    /// One JSON value a line.
    package static let events = "application/x-ndjson"
    package static let bytes = "application/octet-stream"
    /// Bytes in frames of `AnswerFrame`.
    package static let frames = "application/vnd.peernode.frames"
    package static let car = "application/vnd.ipld.car; version=1; order=dfs; dups=n"
}
