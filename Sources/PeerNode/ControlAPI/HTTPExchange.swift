internal import CWebSockets
internal import Glibc
internal import Synchronization

/// One request and its answer on a server connection.
///
/// The service thread moves bytes between the connection and two pipes; the work on the other end of the pipes runs
/// on threads of its own.
final class HTTPExchange: @unchecked Sendable {
    // Unchecked: `wsi` and the progress flags are touched on the service thread only; `answer` is behind a lock.

    /// Most bytes given to the connection at a time.
    static let writeByteCount = 1 << 16

    struct Answer {
        var status: Int
        var contentType: String
        /// `nil`: sent in chunks.
        var contentLength: UInt64?
    }

    let requestBody: BytePipe
    let responseBody: BytePipe
    /// The client closed the connection.
    let clientLeft = EndSignal()
    private let answer = Mutex<Answer?>(nil)
    private let wake: @Sendable () -> Void

    private var wsi: OpaquePointer?
    private let awaitsUnreadBody: Bool
    private let closesAfterwards: Bool
    private var receivedWholeBody: Bool
    private var isPaused = false
    /// Nothing is read until there is something to write.
    private var awaitsWork = false
    private let hasChunkedBody: Bool
    private var sentHead = false
    private var isChunked = false

    init(wsi: OpaquePointer, head: HTTPRequestHead, wakeServer: @escaping @Sendable (HTTPExchange) -> Void) {
        let waker = Waker(wakeServer)
        let wake: @Sendable () -> Void = { waker.wake() }
        self.wake = wake
        self.wsi = wsi
        requestBody = BytePipe(onSpace: wake)
        responseBody = BytePipe(onBytes: wake)
        awaitsUnreadBody = head.hasBody && !head.isChunked
        receivedWholeBody = !awaitsUnreadBody
        hasChunkedBody = head.isChunked
        // A body in chunks is refused unread, and one of unknown length confuses the library's keep-alive.
        closesAfterwards = head.isChunked || (head.method != .get && head.contentLength == nil)
        waker.exchange = self
        if receivedWholeBody { requestBody.finish() }
    }

    /// Lets pipes that are made before the exchange wake the server for it.
    private final class Waker: @unchecked Sendable {
        // Unchecked: `exchange` is set once, before the pipes are shared.
        weak var exchange: HTTPExchange?
        let wakeServer: @Sendable (HTTPExchange) -> Void
        init(_ wakeServer: @escaping @Sendable (HTTPExchange) -> Void) { self.wakeServer = wakeServer }
        func wake() { if let exchange { wakeServer(exchange) } }
    }

    // MARK: Service thread

    /// Reads nothing while the work for a whole request brings nothing to write.
    ///
    /// Else the library would neither take the end of a connection that the client closes meanwhile nor stop asking for
    /// it. It writes only while it reads.
    func awaitWork() {
        guard let wsi, receivedWholeBody, !hasChunkedBody else { return }
        awaitsWork = true
        lws_rx_flow_control(wsi, 0)
    }

    /// Takes a piece of the request's body.
    func receive(_ bytes: UnsafeRawBufferPointer) {
        guard let wsi, awaitsUnreadBody else { return }
        if !requestBody.offer(Array(bytes)) {
            isPaused = true
            lws_rx_flow_control(wsi, 0)
        }
    }

    func bodyEnded() {
        receivedWholeBody = true
        requestBody.finish()
        awaitWork()
        resume()
    }

    /// Looks at what has changed: room for the request's body, bytes of the answer.
    func resume() {
        guard let wsi else { return }
        if isPaused, !receivedWholeBody, requestBody.hasRoom {
            isPaused = false
            lws_rx_flow_control(wsi, 1)
        }
        guard receivedWholeBody, answer.withLock({ $0 != nil }) else { return }
        if awaitsWork {
            awaitsWork = false
            lws_rx_flow_control(wsi, 1)
        }
        lws_callback_on_writable(wsi)
    }

    func connectionEnded() {
        wsi = nil
        requestBody.fail("the client went away")
        responseBody.fail("the client went away")
        clientLeft.end()
    }

    /// Writes the head or the next piece of the answer; -1 closes the connection.
    func writeMore(_ scratch: UnsafeMutableRawBufferPointer) -> Int32 {
        guard let wsi, receivedWholeBody, let answer = answer.withLock({ $0 }) else { return 0 }
        guard sentHead else {
            sentHead = true
            guard writeHead(answer, wsi, scratch) else { return -1 }
            lws_callback_on_writable(wsi)
            return 0
        }
        switch responseBody.poll(upTo: HTTPExchange.writeByteCount) {
        case .nothingYet:
            awaitWork()
            return 0
        case .bytes(let bytes):
            guard writePiece(bytes, wsi, scratch) else { return -1 }
            lws_callback_on_writable(wsi)
            return 0
        case .ended(.finished): return end(wsi, scratch)
        case .ended(.broken): return -1
        }
    }

    /// Tells a client that asked first (`Expect: 100-continue`) to send its body.
    func sendContinue(_ scratch: UnsafeMutableRawBufferPointer) {
        guard let wsi, let start = start(of: scratch) else { return }
        let line = Array("HTTP/1.1 100 Continue\r\n\r\n".utf8)
        start.update(from: line, count: line.count)
        lws_write(wsi, start, line.count, LWS_WRITE_HTTP_HEADERS)
    }

    private func start(of scratch: UnsafeMutableRawBufferPointer) -> UnsafeMutablePointer<UInt8>? {
        scratch.baseAddress.map { ($0 + peernode_lws_pre).assumingMemoryBound(to: UInt8.self) }
    }

    private func writeHead(_ answer: Answer, _ wsi: OpaquePointer, _ scratch: UnsafeMutableRawBufferPointer)
        -> Bool
    {
        isChunked = answer.contentLength == nil
        var lines: [(String, String)] = [("content-type:", answer.contentType)]
        if isChunked { lines.append(("transfer-encoding:", "chunked")) }
        if closes { lines.append(("connection:", "close")) }
        guard let start = start(of: scratch) else { return false }
        let end = start + HTTPExchange.writeByteCount
        var cursor: UnsafeMutablePointer<UInt8>? = start
        guard lws_add_http_header_status(wsi, UInt32(answer.status), &cursor, end) == 0 else { return false }
        for (name, value) in lines {
            let failed = lws_add_http_header_by_name(wsi, name, value, Int32(value.utf8.count), &cursor, end)
            guard failed == 0 else { return false }
        }
        if let length = answer.contentLength {
            guard lws_add_http_header_content_length(wsi, lws_filepos_t(length), &cursor, end) == 0 else {
                return false
            }
        }
        return lws_finalize_write_http_header(wsi, start, &cursor, end) == 0
    }

    private var closes: Bool { closesAfterwards || isChunked }

    private func writePiece(_ bytes: [UInt8], _ wsi: OpaquePointer, _ scratch: UnsafeMutableRawBufferPointer)
        -> Bool
    {
        guard let start = start(of: scratch) else { return false }
        var cursor = start
        if isChunked { cursor = append(Array("\(String(bytes.count, radix: 16))\r\n".utf8), at: cursor) }
        cursor = append(bytes, at: cursor)
        if isChunked { cursor = append([13, 10], at: cursor) }
        let count = cursor - start
        return lws_write(wsi, start, count, LWS_WRITE_HTTP) == Int32(count)
    }

    private func append(_ bytes: [UInt8], at cursor: UnsafeMutablePointer<UInt8>) -> UnsafeMutablePointer<
        UInt8
    > {
        cursor.update(from: bytes, count: bytes.count)
        return cursor + bytes.count
    }

    private func end(_ wsi: OpaquePointer, _ scratch: UnsafeMutableRawBufferPointer) -> Int32 {
        if isChunked, let start = start(of: scratch) {
            let count = append(Array("0\r\n\r\n".utf8), at: start) - start
            lws_write(wsi, start, count, LWS_WRITE_HTTP_FINAL)
        }
        if closes { return -1 }
        return lws_http_transaction_completed(wsi) == 0 ? 0 : -1
    }

    // MARK: Any thread

    var hasBegun: Bool { answer.withLock { $0 != nil } }

    /// Sets the head of the answer; only the first one counts.
    func begin(_ head: Answer) {
        answer.withLock { if $0 == nil { $0 = head } }
        wake()
    }
}

/// Writes the answer to one request; usable from any thread, and blocks it while the client reads slowly.
package final class HTTPResponder: Sendable {
    private let exchange: HTTPExchange

    init(exchange: HTTPExchange) { self.exchange = exchange }

    /// Whether the head of the answer is decided.
    package var hasBegun: Bool { exchange.hasBegun }

    /// Answers with a body that is at hand.
    package func respond(status: Int, contentType: String = ContentType.json, body: [UInt8]) {
        _ = exchange.responseBody.offer(body)
        exchange.responseBody.finish()
        exchange.begin(.init(status: status, contentType: contentType, contentLength: UInt64(body.count)))
    }

    /// Does the work for the request; it is cancelled when the client closes the connection.
    func whileClientStays(_ work: @escaping @Sendable () async -> Void) async {
        await exchange.clientLeft.cancelling(work)
    }

    /// Starts an answer whose body follows through `write`.
    package func begin(status: Int = 200, contentType: String, contentLength: UInt64? = nil) {
        exchange.begin(.init(status: status, contentType: contentType, contentLength: contentLength))
    }

    /// Appends to the body.
    ///
    /// - Throws: `BytePipe.End` when the client is gone.
    package func write(_ bytes: [UInt8]) throws { try exchange.responseBody.write(bytes) }

    /// Ends the body.
    package func finish() { exchange.responseBody.finish() }

    /// Breaks the connection, so that the client does not take what it has for the whole.
    package func abort(_ reason: String) { exchange.responseBody.fail(reason) }
}
