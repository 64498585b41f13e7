/// An answer of bytes that says itself whether it is whole: HTTP's own end of a body does not reach every client, and a
/// status code is out before the first byte.
///
/// **Layout** frames of { kind: 1 byte, length: 4 bytes big-endian, body: `length` bytes }. Kind 0: bytes of the answer.
/// Kind 1: the end, without a body. Kind 2: the answer failed; the body is the error as JSON. Nothing follows 1 or 2.
/// **Source** docs/control-api.md.
package enum AnswerFrame {
    /// What a frame says.
    package enum Kind: UInt8, Sendable {
        case bytes = 0
        case end = 1
        case error = 2
    }

    /// Bytes of a frame before its body.
    package static let headByteCount = 5
    /// Longest body that is read, in bytes.
    package static let bodyByteLimit = 64 << 20

    /// A frame with a copy of `body`.
    package static func encode(_ kind: Kind, _ body: some Collection<UInt8>) -> [UInt8] {
        var frame: [UInt8] = []
        frame.reserveCapacity(headByteCount + body.count)
        frame.append(kind.rawValue)
        for shift in [24, 16, 8, 0] { frame.append(UInt8(truncatingIfNeeded: body.count >> shift)) }
        frame += body
        return frame
    }
}

/// Reads the frames of an answer, cut into pieces anyhow.
package struct AnswerFrameReader {
    private var head: [UInt8] = []
    private var kind = AnswerFrame.Kind.bytes
    /// Bytes of the frame's body that are still to come.
    private var leftByteCount = 0
    private var errorText: [UInt8] = []
    /// Whether the end came: only then is the answer whole.
    package private(set) var hasEnded = false

    /// Stands before the first frame.
    package init() {}

    /// Takes the next piece and hands the answer's bytes in it to `sink`.
    ///
    /// - Throws: the answer's own error, `NodeError` with `.internal` for what is no frame, and what `sink` throws.
    package mutating func receive(
        _ piece: UnsafeRawBufferPointer,
        _ sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        var rest = piece
        while !rest.isEmpty {
            guard !hasEnded else { throw Self.malformed }
            if leftByteCount == 0 {
                try takeHead(&rest)
            } else {
                let body = UnsafeRawBufferPointer(rebasing: rest.prefix(leftByteCount))
                rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(body.count))
                leftByteCount -= body.count
                try take(body, sink)
            }
        }
    }

    private mutating func takeHead(_ rest: inout UnsafeRawBufferPointer) throws {
        let part = rest.prefix(AnswerFrame.headByteCount - head.count)
        head += part
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(part.count))
        guard head.count == AnswerFrame.headByteCount else { return }
        let length = head.dropFirst().reduce(0) { $0 << 8 | Int($1) }
        guard let kind = AnswerFrame.Kind(rawValue: head[0]), length <= AnswerFrame.bodyByteLimit else {
            throw Self.malformed
        }
        head = []
        self.kind = kind
        leftByteCount = length
        switch kind {
        case .bytes: break
        case .end:
            guard length == 0 else { throw Self.malformed }
            hasEnded = true
        case .error: if length == 0 { throw Self.malformed }
        }
    }

    private mutating func take(
        _ body: UnsafeRawBufferPointer,
        _ sink: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        guard kind == .error else { return try sink(body) }
        errorText += body
        if leftByteCount == 0 {
            throw try NodeError(json: try JSON(parsing: errorText, byteLimit: AnswerFrame.bodyByteLimit))
        }
    }

    private static let malformed = NodeError(
        .internal,
        "the daemon's answer is not in frames; is it of another version than peerctl?"
    )
}

/// The server's end: an answer of bytes, in frames for a client that asked for them.
struct ByteAnswer {
    let responder: HTTPResponder
    let contentType: String
    let isFramed: Bool

    /// An answer in the form that the request asks for.
    init(to request: HTTPRequest, _ responder: HTTPResponder, contentType: String) throws(NodeError) {
        self.responder = responder
        isFramed = try ControlServer.flag(request, "frames", default: false)
        self.contentType = isFramed ? ContentType.frames : contentType
    }

    /// Sends what `work` gives, and then the end or the reason why there is none.
    ///
    /// An error before the first byte is thrown on, so that it still has a status of its own.
    func send(_ work: (@escaping ByteSink) async throws -> Void) async throws {
        do {
            try await work { try self.write($0) }
        } catch {
            guard isFramed, responder.hasBegun else { throw error }
            try responder.write(AnswerFrame.encode(.error, NodeError.wrap(error).json.encoded))
            return responder.finish()
        }
        responder.begin(contentType: contentType)
        if isFramed { try responder.write(AnswerFrame.encode(.end, [])) }
        responder.finish()
    }

    private func write(_ bytes: UnsafeRawBufferPointer) throws {
        guard !bytes.isEmpty else { return }
        responder.begin(contentType: contentType)
        try responder.write(isFramed ? AnswerFrame.encode(.bytes, bytes) : Array(bytes))
    }
}
