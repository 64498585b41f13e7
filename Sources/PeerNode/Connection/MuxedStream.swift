package import LibP2P
package import Multiformats

/// Why a stream gave no more bytes, or took none.
package enum StreamFault: Error, Equatable, Sendable {
    /// The peer reset it; the code is 0 from most.
    case resetByPeer(code: UInt32)
    /// This node reset it, or closed its writing half before.
    case closedHere
    /// The peer serves none of the protocols.
    case protocolsRefused
    case negotiation(MultistreamFault)
    case timedOut
    /// The task that waited was cancelled; the stream is reset.
    case cancelled
    /// The connection ended.
    case connection(ConnectionFault)
}

extension StreamFault: CustomStringConvertible {
    /// What happened, in words.
    package var description: String {
        switch self {
        case .resetByPeer: "the peer reset the stream"
        case .closedHere: "this node closed the stream"
        case .protocolsRefused: "the peer serves none of the protocols"
        case .negotiation(let fault): "negotiation failed: \(fault)"
        case .timedOut: "no answer in time"
        case .cancelled: "cancelled"
        case .connection(let fault): "the connection ended: \(fault)"
        }
    }
}

extension StreamFault {
    /// A short stable name for counters, of a stream that came to no protocol.
    var refusalName: String {
        switch self {
        case .timedOut: "negotiation timed out"
        case .negotiation, .protocolsRefused: "negotiation failed"
        case .resetByPeer, .closedHere, .cancelled, .connection: "gave up negotiating"
        }
    }
}

/// One stream of a connection: negotiates its protocol, then carries bytes with backpressure both ways.
///
/// Bytes that the application has not read stay in the stream's window, so a slow reader stops its peer and nobody
/// else. Written bytes are kept as slices until the connection's writer seals them.
///
///     outbound: proposing ── agreed ──► open      inbound: listening ── agreed ──► open (its handler runs) or responding
///     open, responding ── closeWrite, end of stream, in either order ──► done;   reset or fault at any time
@NetworkActor
package final class MuxedStream: PeerStream {
    private enum Phase {
        case proposing(MultistreamDialer)
        case listening(MultistreamListener)
        /// A task reads and writes.
        case open
        /// What comes is answered at once.
        case responding(ResponderSession)
    }

    /// The peer at the other end.
    package nonisolated let peer: PeerID
    nonisolated let id: YamuxStreamID
    /// The protocol agreed on; empty before.
    package private(set) var protocolID = ""

    private let connection: Connection
    private var phase: Phase
    private var timer: TimerID?

    private var inbox = FIFO<ArraySlice<UInt8>>()
    private var hasEnded = false
    private var isWriteClosed = false
    private var isDiscarding = false
    private(set) var fault: StreamFault?

    private var reader: UnsafeContinuation<Void, Never>?
    private var writer: UnsafeContinuation<Void, Never>?
    private var proposer: UnsafeContinuation<Void, Never>?

    /// A stream that the peer opened: waits for its proposals.
    init(accepting id: YamuxStreamID, on connection: Connection, protocols: Set<String>) {
        self.id = id
        self.connection = connection
        peer = connection.peer
        let listener = MultistreamListener(protocols: protocols)
        phase = .listening(listener)
        connection.write(listener.start()[...], on: id)
        startTimer()
    }

    /// A stream that this end opened: proposes at once.
    init(opening id: YamuxStreamID, on connection: Connection, proposals: [String]) {
        self.id = id
        self.connection = connection
        peer = connection.peer
        let dialer = MultistreamDialer(proposals: proposals)
        phase = .proposing(dialer)
        connection.write(dialer.start()[...], on: id)
        startTimer()
    }

    // MARK: Reading

    package func read(atMost maxByteCount: Int) async throws -> [UInt8]? {
        precondition(maxByteCount > 0, "a read of \(maxByteCount) bytes")
        return try await readSlice(atMost: maxByteCount).map { Array($0) }
    }

    /// The next bytes as they came, without a copy; `nil` after the peer's half-close.
    ///
    /// - Throws: `StreamFault`.
    package func readSlice(atMost maxByteCount: Int = .max) async throws(StreamFault) -> ArraySlice<UInt8>? {
        while true {
            if let slice = inbox.takePiece(atMost: maxByteCount) {
                connection.consumed(slice.count, on: id)
                return slice
            }
            if hasEnded { return nil }
            if let fault { throw fault }
            await waitToRead()
        }
    }

    /// Every wait looks again before it suspends: the task may have come here by way of another executor.
    private func waitToRead() async {
        await withTaskCancellationHandler {
            guard !Task.isCancelled else { return cancel() }
            await withUnsafeContinuation { continuation in
                guard inbox.isEmpty, !hasEnded, fault == nil else { return continuation.resume() }
                precondition(reader == nil, "one task reads a stream")
                reader = continuation
            }
        } onCancel: {
            NetworkActor.post { self.cancel() }
        }
    }

    // MARK: Writing

    package func write(_ bytes: [UInt8]) async throws { try await write(slice: bytes[...]) }

    /// Writes all bytes; returns when they are queued.
    ///
    /// - Throws: `StreamFault`.
    package func write(slice bytes: ArraySlice<UInt8>) async throws(StreamFault) {
        var rest = bytes
        while !rest.isEmpty {
            if let fault { throw fault }
            guard !isWriteClosed else { throw .closedHere }
            let room = connection.queueRoom(of: id)
            guard room > 0 else {
                await waitToWrite()
                continue
            }
            connection.write(rest.prefix(room), on: id)
            rest = rest.dropFirst(room)
        }
    }

    private func waitToWrite() async {
        await withTaskCancellationHandler {
            guard !Task.isCancelled else { return cancel() }
            await withUnsafeContinuation { continuation in
                guard fault == nil, connection.queueRoom(of: id) == 0 else { return continuation.resume() }
                precondition(writer == nil, "one task writes a stream")
                writer = continuation
            }
        } onCancel: {
            NetworkActor.post { self.cancel() }
        }
    }

    package func closeWrite() {
        guard !isWriteClosed, fault == nil else { return }
        isWriteClosed = true
        connection.closeWrite(id)
    }

    package func reset() { fail(.closedHere) }

    /// Ends the stream after a handler: FIN behind what is queued, and what still comes is thrown away.
    ///
    /// A peer that does not end its half within `HostLimits.negotiationTimeout` is reset.
    func finish() {
        closeWrite()
        guard !hasEnded, fault == nil else { return }
        isDiscarding = true
        while let slice = inbox.popFirst() { connection.consumed(slice.count, on: id) }
        startTimer()
    }

    // MARK: Negotiation

    /// Waits until the peer has agreed on a protocol.
    ///
    /// - Throws: `StreamFault`.
    func agreed() async throws(StreamFault) {
        while true {
            if let fault { throw fault }
            guard isNegotiating else { return }
            await withTaskCancellationHandler {
                guard !Task.isCancelled else { return cancel() }
                await withUnsafeContinuation { continuation in
                    guard isNegotiating, fault == nil else { return continuation.resume() }
                    proposer = continuation
                }
            } onCancel: {
                NetworkActor.post { self.cancel() }
            }
        }
    }

    private var isNegotiating: Bool {
        switch phase {
        case .proposing, .listening: true
        case .open, .responding: false
        }
    }

    private func negotiate(_ bytes: inout ArraySlice<UInt8>) throws(MultistreamFault) {
        switch phase {
        case .open, .responding: break
        case .proposing(var dialer):
            switch try dialer.receive(&bytes) {
            case .wait(let answer):
                connection.write(answer[...], on: id)
                phase = .proposing(dialer)
            case .agreed(let name): finishNegotiation(name)
            }
        case .listening(var listener):
            switch try listener.receive(&bytes) {
            case .wait(let answer):
                connection.write(answer[...], on: id)
                phase = .listening(listener)
            case .agreed(let name, let answer):
                connection.write(answer[...], on: id)
                finishNegotiation(name)
                connection.startService(of: self)
            }
        }
    }

    private func finishNegotiation(_ name: String) {
        phase = .open
        protocolID = name
        stopTimer()
        Self.wake(&proposer)
    }

    private func startTimer() {
        stopTimer()
        timer = NetworkActor.schedule(after: connection.limits.negotiationTimeout) { self.fail(.timedOut) }
    }

    private func stopTimer() {
        NetworkActor.cancel(timer)
        timer = nil
    }

    // MARK: Responding

    /// Has a responder answer what comes, until it ends or fails.
    func serve(by responder: any StreamResponder) {
        phase = .responding(ResponderSession(responder))
        watchResponder()
    }

    /// Looks when the deadline that it knows has come, and not at every answer.
    private func watchResponder() {
        guard case .responding(let session) = phase else { return }
        let delay = session.nextDeadline - NetworkClock.now
        guard delay > .zero else { return fail(.timedOut) }
        timer = NetworkActor.schedule(after: delay) { self.watchResponder() }
    }

    /// Tells the responder what happened, and does what it says.
    private func respond(_ event: (inout ResponderSession) -> Void) {
        guard case .responding(var session) = phase else { return }
        // Moved out, so that it is changed in place.
        phase = .open
        event(&session)
        let now = NetworkClock.now
        while let step = session.next(room: connection.queueRoom(of: id), now: now) {
            switch step {
            case .answer(let bytes, let consumedByteCount):
                connection.answer(bytes, consumedByteCount: consumedByteCount, on: id, now: now)
            case .end:
                stopTimer()
                closeWrite()
                return connection.responderEnded(protocolID)
            }
        }
        phase = .responding(session)
    }

    // MARK: What the connection reports

    func receive(_ bytes: ArraySlice<UInt8>) {
        var rest = bytes
        if isNegotiating {
            do throws(MultistreamFault) {
                try negotiate(&rest)
            } catch {
                return fail(error == .noneAgreed ? .protocolsRefused : .negotiation(error))
            }
            connection.consumed(bytes.count - rest.count, on: id)
        }
        guard !rest.isEmpty, fault == nil else { return }
        if case .responding = phase { return respond { [rest] in $0.receive(rest) } }
        guard !isDiscarding else { return connection.consumed(rest.count, on: id) }
        inbox.keep(rest)
        Self.wake(&reader)
    }

    func receiveEnd() {
        hasEnded = true
        if case .responding = phase { return respond { $0.receiveEnd() } }
        stopTimer()
        guard !isNegotiating else { return fail(.resetByPeer(code: 0)) }
        Self.wake(&reader)
    }

    func queueReopened() {
        Self.wake(&writer)
        respond { _ in }
    }

    /// Ends the stream in both directions, and tells the peer unless it knows.
    func fail(_ fault: StreamFault) {
        guard self.fault == nil else { return }
        self.fault = fault
        switch phase {
        case .listening: connection.countRefusal(fault.refusalName, because: fault)
        case .responding: connection.responderFailed(protocolID)
        case .proposing, .open: break
        }
        phase = .open
        stopTimer()
        if !hasEnded { inbox = FIFO() }
        connection.reset(id)
        Self.wake(&reader)
        Self.wake(&writer)
        Self.wake(&proposer)
    }

    private func cancel() { fail(.cancelled) }

    private static func wake(_ waiter: inout UnsafeContinuation<Void, Never>?) {
        guard let continuation = waiter else { return }
        waiter = nil
        continuation.resume()
    }
}
