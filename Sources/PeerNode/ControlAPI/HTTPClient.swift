internal import CWebSockets
internal import Glibc
internal import Synchronization

/// An HTTP/1.1 client for one Unix socket, on libwebsockets.
///
/// An exchange runs to its end on the thread that calls it, so that a slow reader of the answer slows the server down
/// without any queue between them. Several exchanges may run at once, on as many threads.
package final class HTTPClient: Sendable {
    /// How long a server may say nothing, in seconds.
    ///
    /// A server that works on a long request may be silent for as long as it likes, if it still answers a question of
    /// its own, which is asked meanwhile.
    package struct Patience: Sendable {
        /// Seconds of silence after which the server is asked whether it is alive.
        package var untilAsked = 1
        /// Seconds of further silence after which the user is told what is waited for.
        package var untilTold = 1
        /// Seconds of silence after a question at which the server is given up.
        package var untilGivenUp = 20
        /// Seconds of silence after a question that was answered, before the next.
        package var betweenQuestions = 10

        /// The usual patience.
        package init() {}
    }

    /// What is asked of a silent server: short, and answered at once by one that is alive.
    private static let question = "/v1/id"

    private let socketPath: String
    private let patience: Patience
    private let onSilence: @Sendable () -> Void
    private let idle = Mutex<[ClientLoop]>([])

    /// Makes a client; nothing is opened before the first exchange.
    ///
    /// `onSilence` is called when the server is waited for and shows no sign of life.
    package init(
        socketPath: String,
        patience: Patience = Patience(),
        onSilence: @escaping @Sendable () -> Void = {}
    ) {
        self.socketPath = socketPath
        self.patience = patience
        self.onSilence = onSilence
    }

    /// One request with what to do with its parts.
    package struct Call {
        package var method: HTTPMethod
        /// Path and query, percent-encoded.
        package var target: String
        package var contentType: String?
        package var contentLength: UInt64 = 0
        /// Gives the next piece of the body, at most that many bytes.
        package var nextBodyPiece: (_ limit: Int) throws -> [UInt8] = { _ in [] }
        /// Takes a piece of the answer's body.
        package var receive: (_ status: Int, _ bytes: UnsafeRawBufferPointer) throws -> Void = { _, _ in }
        /// Whether what was received says of itself that it is whole; asked at the end of an answer without a length.
        ///
        /// The HTTP library reports a body in chunks that was cut off as one that came to its end.
        package var isWhole: () -> Bool = { false }

        /// A request without a body.
        package init(_ method: HTTPMethod, _ target: String) {
            self.method = method
            self.target = target
        }
    }

    /// Performs one exchange on the calling thread.
    ///
    /// - Returns: the status code, after the whole body was received: as many bytes as its length says or, without a
    ///   length, up to where `call.isWhole`.
    /// - Throws: `HTTPFault`, `.interrupted` when the body ended before that, `.silent` when the server is not alive,
    ///   and what the closures of `call` throw.
    package func perform(_ call: Call, isCancelled: @escaping () -> Bool = { false }) throws -> Int {
        var limit = patience.untilAsked
        return try perform(call, isCancelled: isCancelled) { [patience] silence in
            guard silence >= limit else { return false }
            try self.askWhetherAlive(isCancelled)
            limit = patience.betweenQuestions
            return true
        }
    }

    /// Returns when the server answered a short question, whatever it said.
    private func askWhetherAlive(_ isCancelled: @escaping () -> Bool) throws {
        var isTold = false
        do {
            _ = try perform(Call(.get, HTTPClient.question), isCancelled: isCancelled) {
                [patience, onSilence] silence in
                if silence >= patience.untilTold, !isTold {
                    isTold = true
                    onSilence()
                }
                if silence >= patience.untilGivenUp { throw HTTPFault.silent(seconds: patience.untilGivenUp) }
                return false
            }
        } catch HTTPFault.unreachable, HTTPFault.interrupted {
            // A server with all its connections taken turns a question away; one that is gone ends the exchange itself.
        }
    }

    private func perform(
        _ call: Call,
        isCancelled: () -> Bool,
        onSilence: (Int) throws -> Bool
    ) throws -> Int {
        let loop = try idle.withLock { $0.popLast() } ?? ClientLoop()
        // A loop whose exchange did not end is dropped, and its connection with it.
        let status = try loop.perform(
            call,
            socketPath: socketPath,
            isCancelled: isCancelled,
            onSilence: onSilence
        )
        idle.withLock { $0.append(loop) }
        return status
    }
}

/// An event loop of the HTTP library that carries one exchange at a time.
private final class ClientLoop: @unchecked Sendable {
    // Unchecked: a loop is taken out of `HTTPClient.idle` by one thread, used there, and put back.

    private var context: OpaquePointer?
    private let protocols: UnsafeMutablePointer<lws_protocols>
    private let protocolName: UnsafeMutablePointer<CChar>?
    private let scratch = UnsafeMutableRawBufferPointer.allocate(
        byteCount: peernode_lws_pre + ClientLoop.pieceByteCount,
        alignment: 16
    )

    private var call: HTTPClient.Call?
    private var status = 0
    private var sentByteCount: UInt64 = 0
    private var receivedByteCount: UInt64 = 0
    /// What the answer's head says of its length.
    private var answerByteCount: UInt64?
    private var outcome: Result<Int, any Error>?
    private let tick: UnsafeMutablePointer<lws_sorted_usec_list_t>
    /// Ticks since a byte last moved: time during which this process was stopped is not the server's silence.
    private var silentTickCount = 0

    static let pieceByteCount = 1 << 17
    /// Time limit of the HTTP library for an answer, in seconds: longer than any, as silence is looked at here.
    static let answerLimitSeconds: UInt32 = 365 * 24 * 3_600
    /// Microseconds between looks at what has happened.
    static let tickMicroseconds: lws_usec_t = 1_000_000

    init() throws(HTTPFault) {
        tick = .allocate(capacity: 1)
        tick.initialize(to: lws_sorted_usec_list_t())
        protocolName = strdup("control")
        protocols = .allocate(capacity: 2)
        protocols.initialize(repeating: lws_protocols(), count: 2)
        protocols[0].name = UnsafePointer(protocolName)
        protocols[0].callback = handleClientEvent
        protocols[0].rx_buffer_size = ClientLoop.pieceByteCount
        lws_set_log_level(0, nil)
        var info = lws_context_creation_info()
        info.port = -1  // CONTEXT_PORT_NO_LISTEN
        info.protocols = UnsafePointer(protocols)
        info.fd_limit_per_thread = 16
        info.pt_serv_buf_size = UInt32(ClientLoop.pieceByteCount)
        info.options = UInt64(LWS_SERVER_OPTION_DISABLE_IPV6)
        info.max_http_header_data = UInt16(HTTPServer.headByteLimit)
        info.timeout_secs = ClientLoop.answerLimitSeconds
        info.user = Unmanaged.passUnretained(self).toOpaque()
        context = lws_create_context(&info)
        if context == nil { throw .noContext("libwebsockets cannot start") }
    }

    deinit {
        lws_sul_cancel(tick)
        if let context { lws_context_destroy(context) }
        tick.deallocate()
        scratch.deallocate()
        protocols.deallocate()
        free(protocolName)
    }

    /// Performs one exchange.
    ///
    /// `onSilence` gets the seconds since a byte last moved, about once a second, and says whether to count anew.
    func perform(
        _ call: HTTPClient.Call,
        socketPath: String,
        isCancelled: () -> Bool,
        onSilence: (Int) throws -> Bool
    ) throws -> Int {
        self.call = call
        status = 0
        sentByteCount = 0
        silentTickCount = 0
        receivedByteCount = 0
        answerByteCount = nil
        outcome = nil
        defer {
            self.call = nil
            lws_sul_cancel(tick)
        }
        connect(call, socketPath)
        var lastTick = lws_now_usecs()
        while outcome == nil {
            if isCancelled() { throw HTTPFault.cancelled }
            // Only ends the library's wait: set anew before each, it never comes due within one.
            lws_sul_schedule(context, 0, tick, { _ in }, ClientLoop.tickMicroseconds)
            guard lws_service(context, 0) >= 0 else { throw HTTPFault.interrupted }
            let now = lws_now_usecs()
            guard outcome == nil, now - lastTick >= ClientLoop.tickMicroseconds else { continue }
            lastTick = now
            silentTickCount += 1
            if try onSilence(silentTickCount) { silentTickCount = 0 }
        }
        return try outcome?.get() ?? 0
    }

    private func connect(_ call: HTTPClient.Call, _ socketPath: String) {
        var info = lws_client_connect_info()
        info.context = context
        info.port = 0
        let opened: OpaquePointer? = "+\(socketPath)".withCString { address in
            call.target.withCString { target in
                call.method.rawValue.withCString { method in
                    "peernode".withCString { host in
                        info.address = address
                        info.path = target
                        info.method = method
                        info.host = host
                        info.origin = host
                        info.`protocol` = UnsafePointer(protocolName)
                        info.local_protocol_name = UnsafePointer(protocolName)
                        info.ssl_connection = Int32(LCCSCF_HTTP_NO_FOLLOW_REDIRECT.rawValue)
                        return lws_client_connect_via_info(&info)
                    }
                }
            }
        }
        if opened == nil { settle(.failure(HTTPFault.unreachable(socketPath))) }
    }

    private func settle(_ result: Result<Int, any Error>) {
        if outcome == nil { outcome = result }
    }

    // MARK: Events

    func handle(
        _ reason: lws_callback_reasons,
        _ wsi: OpaquePointer?,
        _ bytes: UnsafeMutableRawPointer?,
        _ count: Int
    )
        -> Int32
    {
        switch reason {
        case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP, LWS_CALLBACK_RECEIVE_CLIENT_HTTP,
            LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ, LWS_CALLBACK_CLIENT_HTTP_WRITEABLE:
            silentTickCount = 0
        default: break
        }
        switch reason {
        case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER: return appendHeaders(wsi, bytes, count)
        case LWS_CALLBACK_CLIENT_HTTP_WRITEABLE: return writePiece(wsi)
        case LWS_CALLBACK_ESTABLISHED_CLIENT_HTTP:
            status = Int(lws_http_client_http_response(wsi))
            answerByteCount = contentLength(wsi)
            return 0
        case LWS_CALLBACK_RECEIVE_CLIENT_HTTP: return readPiece(wsi)
        case LWS_CALLBACK_RECEIVE_CLIENT_HTTP_READ:
            return receive(UnsafeRawBufferPointer(start: bytes, count: count))
        case LWS_CALLBACK_COMPLETED_CLIENT_HTTP:
            settle(isComplete ? .success(status) : .failure(HTTPFault.interrupted))
            return -1
        case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
            settle(.failure(HTTPFault.unreachable(reasonText(bytes, count))))
            return 0
        case LWS_CALLBACK_CLOSED_CLIENT_HTTP:
            settle(.failure(HTTPFault.interrupted))
            return 0
        default: return 0
        }
    }

    private func contentLength(_ wsi: OpaquePointer?) -> UInt64? {
        var text = [CChar](repeating: 0, count: 24)
        let count = lws_hdr_copy(wsi, &text, Int32(text.count), WSI_TOKEN_HTTP_CONTENT_LENGTH)
        guard count > 0 else { return nil }
        return UInt64(String(decoding: text.prefix(Int(count)).map { UInt8(bitPattern: $0) }, as: UTF8.self))
    }

    private var isComplete: Bool {
        if let answerByteCount { return receivedByteCount == answerByteCount }
        // An error without a length is read as far as it came: its status says that it is one.
        return status >= 300 || call?.isWhole() == true
    }

    private func reasonText(_ bytes: UnsafeMutableRawPointer?, _ count: Int) -> String {
        bytes.map { String(decoding: UnsafeRawBufferPointer(start: $0, count: count), as: UTF8.self) }
            ?? "no answer"
    }

    private func appendHeaders(_ wsi: OpaquePointer?, _ position: UnsafeMutableRawPointer?, _ room: Int)
        -> Int32
    {
        guard let call, call.contentLength > 0 || call.method == .post || call.method == .put else {
            return 0
        }
        guard let position = position?.assumingMemoryBound(to: UnsafeMutablePointer<UInt8>?.self) else {
            return -1
        }
        let end = position.pointee.map { $0 + room }
        let headers = [
            ("content-length:", "\(call.contentLength)"),
            ("content-type:", call.contentType ?? ContentType.bytes),
        ]
        for (name, value) in headers {
            let failed = lws_add_http_header_by_name(wsi, name, value, Int32(value.utf8.count), position, end)
            if failed != 0 { return -1 }
        }
        if call.contentLength > 0 {
            lws_client_http_body_pending(wsi, 1)
            lws_callback_on_writable(wsi)
        }
        return 0
    }

    private func writePiece(_ wsi: OpaquePointer?) -> Int32 {
        guard let call, sentByteCount < call.contentLength, let base = scratch.baseAddress else { return 0 }
        do {
            let left = call.contentLength - sentByteCount
            let piece = try call.nextBodyPiece(Int(min(UInt64(ClientLoop.pieceByteCount), left)))
            guard !piece.isEmpty else { throw HTTPFault.bodyBroken("the input ended early") }
            let start = (base + peernode_lws_pre).assumingMemoryBound(to: UInt8.self)
            start.update(from: piece, count: piece.count)
            sentByteCount += UInt64(piece.count)
            let isLast = sentByteCount == call.contentLength
            if isLast { lws_client_http_body_pending(wsi, 0) }
            let kind = isLast ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP
            guard lws_write(wsi, start, piece.count, kind) >= 0 else { throw HTTPFault.interrupted }
            if !isLast { lws_callback_on_writable(wsi) }
            return 0
        } catch {
            settle(.failure(error))
            return -1
        }
    }

    private func readPiece(_ wsi: OpaquePointer?) -> Int32 {
        guard let base = scratch.baseAddress else { return -1 }
        var cursor: UnsafeMutablePointer<CChar>? = (base + peernode_lws_pre).assumingMemoryBound(
            to: CChar.self
        )
        var room = Int32(ClientLoop.pieceByteCount)
        return lws_http_client_read(wsi, &cursor, &room) < 0 ? -1 : 0
    }

    private func receive(_ bytes: UnsafeRawBufferPointer) -> Int32 {
        receivedByteCount += UInt64(bytes.count)
        do {
            try call?.receive(status, bytes)
            return 0
        } catch {
            settle(.failure(error))
            return -1
        }
    }
}

private func handleClientEvent(
    _ wsi: OpaquePointer?,
    _ reason: lws_callback_reasons,
    _ user: UnsafeMutableRawPointer?,
    _ bytes: UnsafeMutableRawPointer?,
    _ count: Int
) -> Int32 {
    guard let wsi, let context = lws_get_context(wsi), let owner = lws_context_user(context) else { return 0 }
    return Unmanaged<ClientLoop>.fromOpaque(owner).takeUnretainedValue().handle(reason, wsi, bytes, count)
}
