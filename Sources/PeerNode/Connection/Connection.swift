import LibP2P
package import Multiformats

/// A connection to a peer: drives a yamux session over a secured channel, and runs the handlers of its streams.
///
/// Reading and writing take no tasks: the event loop gives the connection a turn when its socket is ready and, when it
/// asked for one, at the end of a round, where everything that the round's jobs wrote goes out together. A turn moves
/// one batch each way, so that others get theirs. Handlers are child tasks; what a responder answers goes out in the turn
/// that brought the question. A timer watches.
///
/// Nothing is written while the socket holds bytes back, and nothing read while the peer leaves too many control frames
/// unread. Data waits in streams: the peer's in its window, this end's in a bounded queue.
@NetworkActor
package final class Connection: LoopClient {
    /// The peer, as its handshake proved.
    package let peer: PeerID
    /// Whether the peer dialed.
    package let isInbound: Bool
    /// The transport address at the other end.
    package let remote: TCPEndpoint
    /// What identify told; `nil` until then.
    var identity: IdentifyMessage?

    private let channel: SecuredChannel
    private let protocols: ProtocolTable
    private let counters: NetworkCounters
    let limits: HostLimits
    private let tasks = TaskNursery()
    private var session: YamuxSession
    private var streams: [YamuxStreamID: MuxedStream] = [:]
    private var inboundCounts: [String: Int] = [:]
    /// Turns begin with `run`, which takes what came behind the negotiation first.
    private var isRunning = false
    private var isTurnDue = false
    private var isInTurn = false
    /// A responder wrote something in this turn.
    private var hasAnswers = false
    private var openers = FIFO<UnsafeContinuation<Void, Never>>()
    private var timer: TimerID?
    /// Why it ended; `nil` while it lives.
    private(set) var fault: ConnectionFault?

    init(
        _ upgraded: ConnectionUpgrade.Outcome,
        isInbound: Bool,
        protocols: ProtocolTable,
        counters: NetworkCounters,
        limits: HostLimits
    ) {
        self.limits = limits
        peer = upgraded.remote.peer
        self.isInbound = isInbound
        channel = upgraded.channel
        remote = channel.raw.socket.remote
        self.protocols = protocols
        self.counters = counters
        session = YamuxSession(
            role: isInbound ? .listener : .dialer,
            limits: limits.muxer,
            now: NetworkClock.now
        )
    }

    /// The latest round trip that the muxer measured.
    var roundTrip: Duration? { session.lastRoundTrip }
    /// Whether new streams may be opened.
    var isUsable: Bool { fault == nil && !session.isClosing }
    /// Streams open now.
    var streamCount: Int { streams.count }

    // MARK: Life

    /// Owns every task of the connection; returns when it has ended.
    ///
    /// - Parameters:
    ///   - leftover: plaintext that came behind the negotiation.
    ///   - started: work that belongs to the connection's start, such as identify.
    func run(leftover: ArraySlice<UInt8>, started: @escaping @Sendable @NetworkActor () async -> Void) async {
        channel.raw.socket.notify(self)
        isRunning = true
        receive(leftover)
        askForTurn()
        tasks.add(started)
        watch()
        await withTaskCancellationHandler {
            await tasks.run()
        } onCancel: {
            NetworkActor.post { self.close(.closedHere) }
        }
    }

    /// Says go away; the connection closes when its streams have ended.
    func goAway() {
        session.goAway()
        askForTurn()
    }

    /// Closes at once; a last go away is sent if the socket takes it.
    func close(_ fault: ConnectionFault) {
        guard self.fault == nil else { return }
        self.fault = fault
        count(
            .connectionEnded,
            fault.name,
            because: fault.isOrdinary ? nil : fault.reason,
            isMisbehaviour: fault.isMisbehaviour
        )
        session.goAway()
        // Whatever fails here fails because the connection is gone, which is what is wanted.
        try? channel.submit(&session) { _ in }
        channel.raw.socket.close()
        NetworkActor.cancel(timer)
        let open = streams
        streams = [:]
        for stream in open.values { stream.fail(.connection(fault)) }
        tasks.close()
        while let opener = openers.popFirst() { opener.resume() }
    }

    // MARK: Turns

    package func readinessChanged() { moveBatches() }

    package func takeTurn() {
        isTurnDue = false
        moveBatches()
    }

    /// Writes a batch, reads a batch, sends what is answered already, and asks for another turn if more can be done.
    private func moveBatches() {
        guard isRunning, fault == nil else { return }
        isInTurn = true
        hasAnswers = false
        do throws(ConnectionFault) {
            try writeBatch()
            if canRead { receive(try channel.readNow()[...]) }
            if hasAnswers, fault == nil { try writeBatch() }
        } catch {
            return close(error)
        }
        isInTurn = false
        if session.isClosing, streams.isEmpty, !session.hasFrames, !channel.raw.hasUnsent {
            return close(.closedHere)
        }
        if canRead || canWrite { askForTurn() }
    }

    /// At its end a turn looks itself whether another is due.
    private func askForTurn() {
        guard !isTurnDue, !isInTurn, fault == nil else { return }
        isTurnDue = true
        EventLoop.shared.giveTurn(to: self)
    }

    private var canRead: Bool {
        channel.mayHaveMore && session.controlFrameCount <= ConnectionLimits.maxWaitingControlFrameCount
    }

    private var canWrite: Bool { session.hasFrames && !channel.raw.hasUnsent }

    private func writeBatch() throws(ConnectionFault) {
        try channel.raw.sendUnsent()
        if canWrite { try sendFrames() }
    }

    private func sendFrames() throws(ConnectionFault) {
        var reopened: [YamuxStreamID] = []
        var ended: [YamuxStreamID] = []
        try channel.submit(&session) { frame in
            if frame.reopensQueue { reopened.append(frame.header.stream) }
            if frame.endsStream { ended.append(frame.header.stream) }
        }
        for id in reopened { streams[id]?.queueReopened() }
        for id in ended { forget(id) }
    }

    /// Keepalive, and the end of a socket that takes nothing.
    private func watch() {
        guard fault == nil, let deadline = session.nextDeadline else { return }
        let now = NetworkClock.now
        if let since = channel.raw.stalledSince, now - since >= ConnectionLimits.writeStallTimeout {
            return close(.writeStalled)
        }
        apply(session.deadlineReached(now: now))
        askToWrite()
        guard fault == nil else { return }
        let delay = min(max(deadline - now, .milliseconds(10)), ConnectionLimits.watchInterval)
        timer = NetworkActor.schedule(after: delay) { self.watch() }
    }

    // MARK: The session's actions

    private func receive(_ bytes: ArraySlice<UInt8>) {
        apply(session.receive(bytes, now: NetworkClock.now))
        askToWrite()
    }

    private func apply(_ actions: [YamuxSession.Action]) {
        for action in actions {
            switch action {
            case .accept(let id):
                streams[id] = MuxedStream(accepting: id, on: self, protocols: protocols.names)
            case .acknowledged:
                openers.popFirst()?.resume()
            case .deliver(let id, let bytes):
                streams[id]?.receive(bytes)
            case .endOfStream(let id):
                streams[id]?.receiveEnd()
                if !session.contains(id) { forget(id) }
            case .resetStream(let id, let code):
                streams.removeValue(forKey: id)?.fail(.resetByPeer(code: code))
                openers.popFirst()?.resume()
            case .refused:
                count(
                    .streamRefused,
                    "too many streams",
                    because: "it has too many streams open",
                    isMisbehaviour: true
                )
            case .roundTrip:
                break
            case .remoteGoesAway:
                askForTurn()
            case .terminate(let fault):
                close(.yamux(fault))
            }
        }
    }

    private func forget(_ id: YamuxStreamID) {
        streams[id] = nil
        openers.popFirst()?.resume()
        if session.isClosing, streams.isEmpty { askForTurn() }
    }

    // MARK: For streams

    /// While the socket holds bytes back, its readiness brings the next turn.
    private func askToWrite() {
        if canWrite { askForTurn() }
    }

    func queueRoom(of id: YamuxStreamID) -> Int { session.queueRoom(of: id) }

    func write(_ bytes: ArraySlice<UInt8>, on id: YamuxStreamID) {
        session.write(bytes, on: id)
        askToWrite()
    }

    func closeWrite(_ id: YamuxStreamID) {
        session.closeWrite(id)
        askToWrite()
    }

    func reset(_ id: YamuxStreamID) {
        session.reset(id)
        forget(id)
        askToWrite()
    }

    func consumed(_ byteCount: Int, on id: YamuxStreamID) {
        guard byteCount > 0 else { return }
        session.consumed(byteCount, on: id, now: NetworkClock.now)
        askToWrite()
    }

    /// Opens a stream and proposes protocols.
    ///
    /// - Parameter proposals: one that the peer is known to serve needs no round trip: bytes may follow at once.
    /// - Returns: the stream, agreed on or proposed.
    /// - Throws: `StreamFault`.
    func openStream(_ proposals: [String]) async throws(StreamFault) -> MuxedStream {
        let id = try await openSession()
        let stream = MuxedStream(opening: id, on: self, proposals: proposals)
        streams[id] = stream
        if proposals.count == 1, identity?.protocols.contains(proposals[0]) == true { return stream }
        try await stream.agreed()
        return stream
    }

    private func openSession() async throws(StreamFault) -> YamuxStreamID {
        while true {
            if let fault { throw .connection(fault) }
            do throws(YamuxOpenFault) {
                return try session.open(now: NetworkClock.now)
            } catch {
                switch error {
                case .closing, .idsExhausted: throw .connection(.ended)
                case .tooManyStreams, .tooManyUnacknowledged:
                    await withUnsafeContinuation { continuation in
                        guard !session.canOpen, fault == nil else { return continuation.resume() }
                        openers.append(continuation)
                    }
                }
            }
        }
    }

    /// Counts a stream of the peer's that never came to a protocol.
    func countRefusal(_ name: String, because fault: StreamFault) {
        var isFault = false
        switch fault {
        case .negotiation, .protocolsRefused, .timedOut: isFault = true
        case .resetByPeer, .closedHere, .cancelled, .connection: break
        }
        count(
            .streamRefused,
            name,
            because: isFault ? fault.description : nil,
            isMisbehaviour: fault.isMisbehaviour
        )
    }

    /// Counts what became of the connection or a stream; the log hears of it where there is a reason.
    private func count(
        _ kind: NetworkCounters.Kind,
        _ name: String,
        because reason: String?,
        isMisbehaviour: Bool
    ) {
        guard let reason else { return counters.count(kind, name) }
        counters.count(
            kind,
            name,
            because: reason,
            at: remote.multiaddr,
            peer: peer,
            isMisbehaviour: isMisbehaviour
        )
    }

    // MARK: Services

    /// Serves an inbound stream, or resets a stream too many.
    func startService(of stream: MuxedStream) {
        let name = stream.protocolID
        guard let service = protocols.services[name] else { return stream.reset() }
        guard inboundCounts[name, default: 0] < service.maxStreamCount else {
            count(
                .streamRefused,
                name,
                because: "it has \(service.maxStreamCount) streams of \(name) open",
                isMisbehaviour: true
            )
            return stream.reset()
        }
        inboundCounts[name, default: 0] += 1
        switch service.manner {
        case .responder(let make): stream.serve(by: make(NetworkClock.now))
        case .handler(let handler): start(handler, of: stream)
        }
    }

    private func start(_ handler: @escaping ProtocolTable.Handler, of stream: MuxedStream) {
        let name = stream.protocolID
        let peer = peer
        tasks.add {
            do {
                try await handler(peer, stream)
                stream.finish()
            } catch {
                // Streams end with their connection, and by whoever opened them.
                let isFault = !(error is StreamFault || error is CancellationError)
                self.count(
                    .handlerFailed,
                    name,
                    because: isFault ? "\(name): \(error)" : nil,
                    isMisbehaviour: HandlerFault.isMisbehaviour(error)
                )
                stream.reset()
            }
            self.inboundCounts[name, default: 1] -= 1
        }
    }

    /// Takes what a stream's responder answers, to be sent at the end of this turn.
    func answer(_ bytes: ArraySlice<UInt8>, consumedByteCount: Int, on id: YamuxStreamID, now: Duration) {
        session.consumed(consumedByteCount, on: id, now: now)
        session.write(bytes, on: id)
        hasAnswers = true
    }

    /// A stream's responder has answered everything, and the peer asks no more.
    func responderEnded(_ name: String) { inboundCounts[name, default: 1] -= 1 }

    /// A stream ended before its responder did.
    func responderFailed(_ name: String) {
        count(.handlerFailed, name, because: nil, isMisbehaviour: false)
        responderEnded(name)
    }
}
