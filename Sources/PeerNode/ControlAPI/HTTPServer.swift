internal import CWebSockets
internal import Glibc
internal import Synchronization

/// An HTTP/1.1 server on a Unix socket: libwebsockets on one thread of its own.
///
/// The handler is called on that thread and must not block: it starts the work elsewhere, which reads the request's
/// body and writes the answer through pipes that make a fast side wait for a slow one.
package final class HTTPServer: @unchecked Sendable {
    // Unchecked: everything but `shared` is touched on the service thread only, or before it starts.

    /// Starts the work for one request.
    package typealias Handler = @Sendable (HTTPRequest, HTTPResponder) -> Void

    /// Most connections at a time.
    package static let connectionLimit = 128
    /// Longest request head, in bytes.
    package static let headByteLimit = 16 << 10

    /// The library's event loop; `lws_cancel_service` is the one call on it that any thread may make.
    private struct Context: @unchecked Sendable {
        let pointer: OpaquePointer
    }

    private struct Shared: Sendable {
        var context: Context?
        var isStopping = false
        var waiting: [HTTPExchange] = []
        var thread: pthread_t?
    }

    private let handler: Handler
    private let socketPath: String
    private let shared = Mutex(Shared())
    private let scratch = UnsafeMutableRawBufferPointer.allocate(
        byteCount: peernode_lws_pre + HTTPExchange.writeByteCount + 64,
        alignment: 16
    )
    private let protocols: UnsafeMutablePointer<lws_protocols>
    private let protocolName: UnsafeMutablePointer<CChar>?

    /// Describes a server; `start` opens it.
    package init(socketPath: String, handler: @escaping Handler) {
        self.socketPath = socketPath
        self.handler = handler
        protocolName = strdup("control")
        protocols = .allocate(capacity: 2)
        protocols.initialize(repeating: lws_protocols(), count: 2)
        protocols[0].name = UnsafePointer(protocolName)
        protocols[0].callback = handleServerEvent
        protocols[0].per_session_data_size = MemoryLayout<UnsafeRawPointer?>.size
        protocols[0].rx_buffer_size = 1 << 16
    }

    deinit {
        scratch.deallocate()
        protocols.deallocate()
        free(protocolName)
    }

    /// Opens the socket (mode 0600) and starts to serve.
    ///
    /// A socket file left by a daemon that died is replaced: the caller holds the home's lock.
    package func start() throws(HTTPFault) {
        guard socketPath.utf8.count < 108 else {
            throw .noContext("the path of the socket is longer than 107 bytes: \(socketPath)")
        }
        unlink(socketPath)
        lws_set_log_level(0, nil)
        let mask = umask(0o177)
        let made = socketPath.withCString { path in makeContext(path) }
        umask(mask)
        guard let context = made else {
            throw .noContext("cannot listen at \(socketPath): \(String(cString: strerror(errno)))")
        }
        let held = Context(pointer: context)
        shared.withLock { $0.context = held }
        var thread = pthread_t()
        let unmanaged = Unmanaged.passRetained(self)
        guard pthread_create(&thread, nil, runServiceLoop, unmanaged.toOpaque()) == 0 else {
            unmanaged.release()
            throw .noContext("no thread for the control API")
        }
        let started = thread
        shared.withLock { $0.thread = started }
    }

    private func makeContext(_ path: UnsafePointer<CChar>) -> OpaquePointer? {
        var info = lws_context_creation_info()
        info.iface = path
        info.protocols = UnsafePointer(protocols)
        info.options = UInt64(LWS_SERVER_OPTION_UNIX_SOCK | LWS_SERVER_OPTION_DISABLE_IPV6)
        info.fd_limit_per_thread = UInt32(HTTPServer.connectionLimit)
        info.pt_serv_buf_size = 1 << 17
        info.max_http_header_data = UInt16(HTTPServer.headByteLimit)
        info.user = Unmanaged.passUnretained(self).toOpaque()
        return lws_create_context(&info)
    }

    /// Closes the socket and every connection, and waits for the thread to end.
    package func stop() {
        let thread = shared.withLock { shared -> pthread_t? in
            shared.isStopping = true
            if let context = shared.context { lws_cancel_service(context.pointer) }
            defer { shared.thread = nil }
            return shared.thread
        }
        if let thread { pthread_join(thread, nil) }
    }

    fileprivate func serve() {
        guard let context = shared.withLock({ $0.context })?.pointer else { return }
        while !shared.withLock({ $0.isStopping }), lws_service(context, 0) >= 0 {}
        shared.withLock { $0.context = nil }
        lws_context_destroy(context)
        unlink(socketPath)
    }

    /// Asks the service thread to look at `exchange`; callable from any thread.
    fileprivate func wake(_ exchange: HTTPExchange) {
        shared.withLock { shared in
            guard let context = shared.context else { return }
            shared.waiting.append(exchange)
            lws_cancel_service(context.pointer)
        }
    }

    // MARK: Events, on the service thread

    fileprivate func handle(
        _ reason: lws_callback_reasons,
        _ wsi: OpaquePointer?,
        _ slot: UnsafeMutablePointer<UnsafeRawPointer?>?,
        _ bytes: UnsafeRawBufferPointer
    ) -> Int32 {
        switch reason {
        case LWS_CALLBACK_EVENT_WAIT_CANCELLED:
            for exchange in shared.withLock({ shared in
                defer { shared.waiting = [] }
                return shared.waiting
            }) { exchange.resume() }
            return 0
        case LWS_CALLBACK_HTTP:
            guard let wsi, let slot else { return -1 }
            return begin(wsi, slot, path: String(decoding: bytes, as: UTF8.self))
        case LWS_CALLBACK_HTTP_BODY:
            exchange(slot)?.receive(bytes)
            return 0
        case LWS_CALLBACK_HTTP_BODY_COMPLETION:
            exchange(slot)?.bodyEnded()
            return 0
        case LWS_CALLBACK_HTTP_WRITEABLE:
            return exchange(slot)?.writeMore(scratch) ?? 0
        case LWS_CALLBACK_CLOSED_HTTP, LWS_CALLBACK_HTTP_DROP_PROTOCOL:
            if let held = slot?.pointee {
                slot?.pointee = nil
                let exchange = Unmanaged<HTTPExchange>.fromOpaque(held)
                exchange.takeUnretainedValue().connectionEnded()
                exchange.release()
            }
            return 0
        default:
            return lws_callback_http_dummy(
                wsi,
                reason,
                slot,
                UnsafeMutableRawPointer(mutating: bytes.baseAddress),
                bytes.count
            )
        }
    }

    private func exchange(_ slot: UnsafeMutablePointer<UnsafeRawPointer?>?) -> HTTPExchange? {
        slot?.pointee.map { Unmanaged<HTTPExchange>.fromOpaque($0).takeUnretainedValue() }
    }

    private func begin(_ wsi: OpaquePointer, _ slot: UnsafeMutablePointer<UnsafeRawPointer?>, path: String)
        -> Int32
    {
        let head = HTTPRequestHead(reading: wsi, path: path)
        guard let method = head.method else { return -1 }
        let exchange = HTTPExchange(wsi: wsi, head: head) { [weak self] exchange in self?.wake(exchange) }
        slot.pointee = UnsafeRawPointer(Unmanaged.passRetained(exchange).toOpaque())
        lws_set_timeout(wsi, NO_PENDING_TIMEOUT, 0)
        exchange.awaitWork()
        if head.expectsContinue { exchange.sendContinue(scratch) }
        let request = HTTPRequest(
            method: method,
            path: path,
            query: head.query,
            contentLength: head.contentLength,
            body: exchange.requestBody
        )
        handler(request, HTTPResponder(exchange: exchange))
        return 0
    }
}

private func handleServerEvent(
    _ wsi: OpaquePointer?,
    _ reason: lws_callback_reasons,
    _ user: UnsafeMutableRawPointer?,
    _ bytes: UnsafeMutableRawPointer?,
    _ count: Int
) -> Int32 {
    guard let wsi, let context = lws_get_context(wsi), let owner = lws_context_user(context) else { return 0 }
    let server = Unmanaged<HTTPServer>.fromOpaque(owner).takeUnretainedValue()
    let slot = user?.assumingMemoryBound(to: UnsafeRawPointer?.self)
    return server.handle(
        reason,
        wsi,
        slot,
        UnsafeRawBufferPointer(start: bytes, count: bytes == nil ? 0 : count)
    )
}

private func runServiceLoop(_ argument: UnsafeMutableRawPointer?) -> UnsafeMutableRawPointer? {
    guard let argument else { return nil }
    let server = Unmanaged<HTTPServer>.fromOpaque(argument).takeRetainedValue()
    server.serve()
    return nil
}
