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
///     outbound: proposing ── agreed ──► open          inbound: listening ── agreed ──► open, its handler runs
///     open ── closeWrite, end of stream, in either order ──► done;   reset or fault at any time
@NetworkActor
package final class MuxedStream: PeerStream {
    private enum Negotiation {
        case proposing(MultistreamDialer)
        case listening(MultistreamListener)
        case done
    }

    /// The peer at the other end.
    package nonisolated let peer: PeerID
    nonisolated let id: YamuxStreamID
    /// The protocol agreed on; empty before.
    package private(set) var protocolID = ""

    private let connection: Connection
    private var negotiation: Negotiation
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
        negotiation = .listening(listener)
        connection.write(listener.start()[...], on: id)
        startTimer()
    }

    /// A stream that this end opened: proposes at once.
    init(opening id: YamuxStreamID, on connection: Connection, proposals: [String]) {
        self.id = id
        self.connection = connection
        peer = connection.peer
        let dialer = MultistreamDialer(proposals: proposals)
        negotiation = .proposing(dialer)
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
            if let slice = takeSlice(maxByteCount) {
                connection.consumed(slice.count, on: id)
                return slice
            }
            if hasEnded { return nil }
            if let fault { throw fault }
            await waitToRead()
        }
    }

    private func takeSlice(_ maxByteCount: Int) -> ArraySlice<UInt8>? {
        var taken: ArraySlice<UInt8>?
        inbox.updateFirst { first in
            taken = first.prefix(maxByteCount)
            first = first.dropFirst(maxByteCount)
            return !first.isEmpty
        }
        return taken
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
        if case .done = negotiation { false } else { true }
    }

    private func negotiate(_ bytes: inout ArraySlice<UInt8>) throws(MultistreamFault) {
        switch negotiation {
        case .done: break
        case .proposing(var dialer):
            switch try dialer.receive(&bytes) {
            case .wait(let answer):
                connection.write(answer[...], on: id)
                negotiation = .proposing(dialer)
            case .agreed(let name): finishNegotiation(name)
            }
        case .listening(var listener):
            switch try listener.receive(&bytes) {
            case .wait(let answer):
                connection.write(answer[...], on: id)
                negotiation = .listening(listener)
            case .agreed(let name, let answer):
                connection.write(answer[...], on: id)
                finishNegotiation(name)
                connection.startHandler(of: self)
            }
        }
    }

    private func finishNegotiation(_ name: String) {
        negotiation = .done
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
        guard !isDiscarding else { return connection.consumed(rest.count, on: id) }
        keep(rest)
        Self.wake(&reader)
    }

    /// Large pieces stay slices of the batch they came in; small ones are gathered, and free the batch.
    private func keep(_ bytes: ArraySlice<UInt8>) {
        let limit = ConnectionLimits.minKeptSliceByteCount
        guard bytes.count < limit else { return inbox.append(bytes) }
        let isJoined = inbox.updateLast { last in
            guard last.count + bytes.count <= limit else { return false }
            last += bytes
            return true
        }
        if !isJoined { inbox.append(Array(bytes)[...]) }
    }

    func receiveEnd() {
        hasEnded = true
        stopTimer()
        guard !isNegotiating else { return fail(.resetByPeer(code: 0)) }
        Self.wake(&reader)
    }

    func queueReopened() { Self.wake(&writer) }

    /// Ends the stream in both directions, and tells the peer unless it knows.
    func fail(_ fault: StreamFault) {
        guard self.fault == nil else { return }
        self.fault = fault
        if case .listening = negotiation { connection.countRefusal(fault.refusalName, because: fault) }
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
