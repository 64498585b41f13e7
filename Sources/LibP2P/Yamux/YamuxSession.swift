/// One end of a yamux session: many streams, each with flow control of its own, over one secured channel.
///
/// Responsibilities: frames in any chunking, stream life cycles, windows and their tuning, fair order of sending,
/// pings, keepalive, go away, and budgets against abuse. Bodies pass through as slices and are never gathered.
///
/// Bytes come in by `receive`. Frames go out by `nextFrame`, which the one writer calls when it has room: control
/// frames first, then one frame of each stream in turn. So nothing is queued here beyond what is bounded.
///
///     session: open ── go away, either way ──► draining ── last stream gone ──► (driver closes)
///                └──────── any fault ─────────────┴──────────────────────────► terminated
///     stream:  open ─ FIN out ─► half-closed (local) ─ FIN in ─► gone;  likewise in the other order;  RST: gone
///
/// Deviations: SYN and ACK always ride on empty window updates (py ignores FIN beside ACK); RST carries no code
/// (older peers would add it to a window); frames for unknown streams are discarded, whatever they are.
///
/// Times are passed since an origin that the driver chose, as `Duration`: the layout of the clock's own type is not known to
/// the compiler, and would make that of every stream a matter of the runtime.
///
/// Not copyable: a question such as `hasFrames` would otherwise copy all of it for each caller in another module.
/// **Source** libp2p/specs yamux; WIRE section 6.
package struct YamuxSession: ~Copyable, Sendable {
    /// Protocol id in multistream-select and in Noise.
    package static let protocolID = "/yamux/1.0.0"

    /// Which end dialed TCP: it opens the odd streams.
    package enum Role: Sendable {
        case dialer
        case listener
    }

    /// What the driver has to do, in order.
    package enum Action: Equatable, Sendable {
        /// The peer opened a stream; it is acknowledged already.
        case accept(YamuxStreamID)
        /// The peer took a stream that this end opened: one more may be opened.
        case acknowledged(YamuxStreamID)
        /// The peer's bytes; report them by `consumed` once the application has them.
        case deliver(YamuxStreamID, ArraySlice<UInt8>)
        /// The peer sends no more on this stream.
        case endOfStream(YamuxStreamID)
        /// The peer reset this stream; the code is 0 from most.
        case resetStream(YamuxStreamID, code: UInt32)
        /// A stream of the peer's was refused, for the limit of open streams or because this end is going away.
        case refused(YamuxStreamID)
        /// The answer to a ping came.
        case roundTrip(Duration)
        /// The peer opens and takes no more streams; those open live on.
        case remoteGoesAway(code: UInt32)
        /// The session is over; always the last action. A go away frame may still be taken by `nextFrame`.
        case terminate(YamuxFault)
    }

    private enum State: Equatable {
        case open
        case draining
        case terminated
    }

    /// Where the bytes of the data frame being received go.
    private struct Body {
        var stream: YamuxStreamID?
        var remaining: Int
        var endsStream: Bool
    }

    private let role: Role
    private let limits: YamuxLimits
    private var state = State.open
    private var streams: [YamuxStreamID: YamuxStreamState] = [:]
    private var nextStreamNumber: UInt64
    private var openedByPeer: OpenedStreamIDs
    private var inboundCount = 0
    private var outboundCount = 0
    private var unacknowledgedCount = 0
    private var tunedByteCount = 0

    private var header: [UInt8] = []
    private var body: Body?

    private var control = FIFO<YamuxHeader>()
    private var line = FIFO<YamuxStreamID>()

    private var lastReceived: Duration
    private var pingSent: (value: UInt32, at: Duration)?
    private var nextPingValue: UInt32 = 0
    private var roundTrip: Duration?

    private var pingBudget: AbuseBudget
    private var resetBudget: AbuseBudget
    private var emptyBudget: AbuseBudget

    /// Starts a session; its first frame is a ping, which measures the round trip for window tuning.
    package init(role: Role, limits: YamuxLimits = .init(), now: Duration) {
        self.role = role
        self.limits = limits
        nextStreamNumber = role == .dialer ? 1 : 2
        openedByPeer = OpenedStreamIDs(first: YamuxStreamID(role == .dialer ? 2 : 1))
        lastReceived = now
        pingBudget = AbuseBudget(limits.pings, now: now)
        resetBudget = AbuseBudget(limits.resets, now: now)
        emptyBudget = AbuseBudget(limits.emptyFrames, now: now)
        sendPing(now: now)
    }

    // MARK: Questions

    /// Streams open now, in both directions.
    package var streamCount: Int { streams.count }
    /// Whether a go away passed in either direction, or the session is over.
    package var isClosing: Bool { state != .open }
    /// Control frames waiting; the driver reads no more while there are many.
    package var controlFrameCount: Int { control.count }
    /// Whether `nextFrame` has anything.
    package var hasFrames: Bool { !control.isEmpty || !line.isEmpty }
    /// The latest measured round trip.
    package var lastRoundTrip: Duration? { roundTrip }

    /// Bytes that a stream's queue still takes before its writer should wait; 0 for a stream that is gone.
    package func queueRoom(of stream: YamuxStreamID) -> Int {
        guard let state = streams[stream], state.sending == .open else { return 0 }
        return max(0, limits.maxQueuedByteCount - state.queuedByteCount)
    }

    /// When `deadlineReached` is due; `nil` once terminated.
    package var nextDeadline: Duration? {
        guard state != .terminated else { return nil }
        guard let pingSent else { return lastReceived + limits.keepaliveInterval }
        return max(pingSent.at, lastReceived) + limits.keepaliveTimeout
    }

    /// Whether the stream is open in either direction.
    package func contains(_ stream: YamuxStreamID) -> Bool { streams[stream] != nil }

    // MARK: What the application does

    /// Whether neither limit keeps `open` from opening a stream.
    package var canOpen: Bool {
        outboundCount < limits.maxOutboundStreamCount && unacknowledgedCount < limits.maxUnacknowledgedCount
    }

    /// Opens a stream; it may be written to at once.
    package mutating func open(now: Duration) throws(YamuxOpenFault) -> YamuxStreamID {
        guard state == .open else { throw .closing }
        guard outboundCount < limits.maxOutboundStreamCount else { throw .tooManyStreams }
        guard unacknowledgedCount < limits.maxUnacknowledgedCount else { throw .tooManyUnacknowledged }
        guard let number = UInt32(exactly: nextStreamNumber) else { throw .idsExhausted }
        nextStreamNumber += 2
        let id = YamuxStreamID(number)
        streams[id] = YamuxStreamState(isOutbound: true, now: now)
        outboundCount += 1
        unacknowledgedCount += 1
        control.append(YamuxHeader(.windowUpdate, .syn, stream: id, length: 0))
        return id
    }

    /// Queues bytes on a stream.
    ///
    /// Ignored when the stream is gone, which the application learns from the action that ended it.
    ///
    /// - Parameters:
    ///   - bytes: kept as a slice until sent; `queueRoom(of:)` says how many the caller should hand over.
    ///   - stream: whose sending half is open.
    package mutating func write(_ bytes: ArraySlice<UInt8>, on stream: YamuxStreamID) {
        guard !bytes.isEmpty, let state = streams[stream], state.sending == .open else { return }
        state.enqueue(bytes)
        schedule(stream, state)
    }

    /// Ends this end's half of a stream, behind everything queued.
    package mutating func closeWrite(_ stream: YamuxStreamID) {
        guard let state = streams[stream], state.sending == .open else { return }
        state.sending = .closing
        schedule(stream, state)
    }

    /// Ends a stream in both directions at once; what is queued is dropped.
    package mutating func reset(_ stream: YamuxStreamID) {
        guard streams[stream] != nil else { return }
        control.append(YamuxHeader(.windowUpdate, .rst, stream: stream, length: 0))
        remove(stream)
    }

    /// Says that the application took delivered bytes, which may let the peer send more.
    package mutating func consumed(_ byteCount: Int, on stream: YamuxStreamID, now: Duration) {
        guard let state = streams[stream] else { return }
        let before = state.receiveWindow.tunedByteCount
        let room = limits.maxTunedByteCount - tunedByteCount
        let maxTarget = min(limits.maxWindowByteCount, state.receiveWindow.target + room)
        let grant = state.receiveWindow.consume(
            byteCount,
            now: now,
            roundTrip: roundTrip,
            maxTarget: maxTarget
        )
        tunedByteCount += state.receiveWindow.tunedByteCount - before
        guard let grant, !state.isReceivingClosed else { return }
        control.append(YamuxHeader(.windowUpdate, stream: stream, length: grant))
    }

    /// Tells the peer that this end opens and takes no more streams.
    package mutating func goAway() {
        guard state == .open else { return }
        state = .draining
        control.append(YamuxHeader(.goAway, stream: .session, length: GoAwayCode.normal))
    }

    // MARK: What time does

    /// Pings a silent peer, and gives up on one that stays silent.
    package mutating func deadlineReached(now: Duration) -> [Action] {
        guard let deadline = nextDeadline, now >= deadline else { return [] }
        guard pingSent != nil else {
            sendPing(now: now)
            return []
        }
        return [terminate(.keepaliveTimeout, code: GoAwayCode.internalError)]
    }

    private mutating func sendPing(now: Duration) {
        control.append(YamuxHeader(.ping, .syn, stream: .session, length: nextPingValue))
        pingSent = (nextPingValue, now)
        nextPingValue &+= 1
    }

    // MARK: What the peer does

    /// Takes the peer's bytes, in pieces of any size.
    package mutating func receive(_ bytes: ArraySlice<UInt8>, now: Duration) -> [Action] {
        guard state != .terminated, !bytes.isEmpty else { return [] }
        lastReceived = now
        var rest = bytes
        var actions: [Action] = []
        do throws(YamuxFault) {
            while !rest.isEmpty {
                if body != nil {
                    receiveBody(&rest, &actions)
                } else if let header = try takeHeader(&rest) {
                    try receiveHeader(header, now: now, &actions)
                }
            }
        } catch {
            actions.append(terminate(error, code: error.goAwayCode))
        }
        return actions
    }

    private mutating func takeHeader(_ rest: inout ArraySlice<UInt8>) throws(YamuxFault) -> YamuxHeader? {
        if header.isEmpty, rest.count >= YamuxHeader.byteCount {
            let bytes = rest.prefix(YamuxHeader.byteCount)
            rest = rest.dropFirst(YamuxHeader.byteCount)
            return try YamuxHeader(bytes: bytes)
        }
        let piece = rest.prefix(YamuxHeader.byteCount - header.count)
        header += piece
        rest = rest.dropFirst(piece.count)
        guard header.count == YamuxHeader.byteCount else { return nil }
        defer { header.removeAll(keepingCapacity: true) }
        return try YamuxHeader(bytes: header[...])
    }

    private mutating func receiveBody(_ rest: inout ArraySlice<UInt8>, _ actions: inout [Action]) {
        guard var current = body else { return }
        let piece = rest.prefix(current.remaining)
        rest = rest.dropFirst(piece.count)
        current.remaining -= piece.count
        body = current
        // A stream that this end reset meanwhile takes no more: the body is read and discarded.
        if let stream = current.stream, streams[stream] != nil { actions.append(.deliver(stream, piece)) }
        if current.remaining == 0 { endBody(current, &actions) }
    }

    private mutating func endBody(_ ended: Body, _ actions: inout [Action]) {
        body = nil
        if ended.endsStream, let stream = ended.stream { receiveFIN(stream, &actions) }
    }

    private mutating func receiveHeader(
        _ header: YamuxHeader,
        now: Duration,
        _ actions: inout [Action]
    ) throws(YamuxFault) {
        switch header.kind {
        case .data: try receiveData(header, now: now, &actions)
        case .windowUpdate: try receiveWindowUpdate(header, now: now, &actions)
        case .ping: try receivePing(header, now: now, &actions)
        case .goAway: try receiveGoAway(header, &actions)
        }
        guard control.count <= limits.maxControlFrameCount else { throw .tooManyControlFrames }
    }

    private mutating func receiveData(
        _ header: YamuxHeader,
        now: Duration,
        _ actions: inout [Action]
    ) throws(YamuxFault) {
        if header.length == 0, header.flags.isEmpty, !emptyBudget.spend(now: now) {
            throw .tooManyEmptyFrames
        }
        try receiveFlags(header, now: now, &actions)
        let byteCount = Int(header.length)
        var target = YamuxStreamID?.none
        if let state = streams[header.stream], !state.isReceivingClosed {
            let allowed = state.receiveWindow.remaining
            guard state.receiveWindow.receive(byteCount) else {
                throw .windowExceeded(header.stream, allowed: allowed, received: byteCount)
            }
            target = header.stream
        }
        let frame = Body(stream: target, remaining: byteCount, endsStream: header.flags.contains(.fin))
        if byteCount == 0 { endBody(frame, &actions) } else { body = frame }
    }

    private mutating func receiveWindowUpdate(
        _ header: YamuxHeader,
        now: Duration,
        _ actions: inout [Action]
    ) throws(YamuxFault) {
        if header.length == 0, header.flags.isEmpty, !emptyBudget.spend(now: now) {
            throw .tooManyEmptyFrames
        }
        try receiveFlags(header, now: now, &actions)
        // After RST the length is an error code, and the stream is gone: nothing to add to.
        guard let state = streams[header.stream] else { return }
        state.sendWindow.grow(header.length)
        schedule(header.stream, state)
        if header.flags.contains(.fin) { receiveFIN(header.stream, &actions) }
    }

    /// SYN, ACK and RST, which mean the same on both kinds of stream frames; FIN comes behind a body.
    private mutating func receiveFlags(
        _ header: YamuxHeader,
        now: Duration,
        _ actions: inout [Action]
    ) throws(YamuxFault) {
        let id = header.stream
        guard id != .session else { throw .streamID(id) }
        if header.flags.contains(.syn) { try receiveSYN(id, now: now, &actions) }
        if header.flags.contains(.ack) { receiveACK(id, &actions) }
        guard header.flags.contains(.rst), let stream = streams[id] else { return }
        if !stream.isOutbound, !resetBudget.spend(now: now) { throw .tooManyResets }
        remove(id)
        actions.append(.resetStream(id, code: header.kind == .windowUpdate ? header.length : 0))
    }

    private mutating func receiveSYN(
        _ id: YamuxStreamID,
        now: Duration,
        _ actions: inout [Action]
    ) throws(YamuxFault) {
        let isDialers = id.number % 2 == 1
        guard isDialers != (role == .dialer) else { throw .parity(id) }
        guard openedByPeer.take(id) else { throw .duplicateStream(id) }
        guard state == .open, inboundCount < limits.maxInboundStreamCount else {
            control.append(YamuxHeader(.windowUpdate, .rst, stream: id, length: 0))
            actions.append(.refused(id))
            return
        }
        streams[id] = YamuxStreamState(isOutbound: false, now: now)
        inboundCount += 1
        control.append(YamuxHeader(.windowUpdate, .ack, stream: id, length: 0))
        actions.append(.accept(id))
    }

    private mutating func receiveACK(_ id: YamuxStreamID, _ actions: inout [Action]) {
        guard let stream = streams[id], stream.isOutbound, !stream.isAcknowledged else { return }
        stream.isAcknowledged = true
        unacknowledgedCount -= 1
        actions.append(.acknowledged(id))
    }

    private mutating func receiveFIN(_ id: YamuxStreamID, _ actions: inout [Action]) {
        guard let stream = streams[id], !stream.isReceivingClosed else { return }
        stream.isReceivingClosed = true
        actions.append(.endOfStream(id))
        if stream.sending == .closed { remove(id) }
    }

    private mutating func receivePing(
        _ header: YamuxHeader,
        now: Duration,
        _ actions: inout [Action]
    ) throws(YamuxFault) {
        guard header.stream == .session else { throw .streamID(header.stream) }
        if header.flags.contains(.syn) {
            guard pingBudget.spend(now: now) else { throw .tooManyPings }
            control.append(YamuxHeader(.ping, .ack, stream: .session, length: header.length))
        } else if header.flags.contains(.ack), let sent = pingSent, sent.value == header.length {
            pingSent = nil
            roundTrip = now - sent.at
            actions.append(.roundTrip(now - sent.at))
        }
    }

    private mutating func receiveGoAway(_ header: YamuxHeader, _ actions: inout [Action]) throws(YamuxFault) {
        guard header.stream == .session else { throw .streamID(header.stream) }
        guard header.length == GoAwayCode.normal else { throw .remoteGoAway(header.length) }
        state = .draining
        actions.append(.remoteGoesAway(code: header.length))
    }

    private mutating func terminate(_ fault: YamuxFault, code: UInt32?) -> Action {
        state = .terminated
        streams = [:]
        line = FIFO()
        body = nil
        control = FIFO()
        if let code { control.append(YamuxHeader(.goAway, stream: .session, length: code)) }
        return .terminate(fault)
    }

    // MARK: Sending

    /// The next frame to send: control frames first, then one of each stream in turn.
    ///
    /// - Parameter maxByteCount: room for header and body; at least a header.
    /// - Returns: `nil` when nothing is to be sent, or nothing worth it fits.
    package mutating func nextFrame(maxByteCount: Int) -> YamuxFrame? {
        guard maxByteCount >= YamuxHeader.byteCount else { return nil }
        if let header = control.popFirst() { return YamuxFrame(header) }
        while let id = line.popFirst() {
            guard let stream = streams[id] else { continue }
            guard stream.isSendable else {
                stream.isScheduled = false
                continue
            }
            let room = min(maxByteCount - YamuxHeader.byteCount, YamuxLimits.maxFrameBodyByteCount)
            if room < YamuxLimits.minFrameBodyByteCount, stream.queuedByteCount > room {
                line.append(id)
                return nil
            }
            return frame(of: id, stream, maxBodyByteCount: room)
        }
        return nil
    }

    private mutating func frame(
        of id: YamuxStreamID,
        _ stream: YamuxStreamState,
        maxBodyByteCount: Int
    ) -> YamuxFrame {
        stream.isScheduled = false
        let before = stream.queuedByteCount
        guard before > 0 else { return finFrame(of: id, stream) }
        let body = stream.dequeue(maxByteCount: maxBodyByteCount)
        var frame = YamuxFrame(YamuxHeader(.data, stream: id, length: UInt32(body.count)), body: body)
        let low = YamuxLimits.lowWaterByteCount
        frame.reopensQueue = before > low && before - body.count <= low
        schedule(id, stream)
        return frame
    }

    private mutating func finFrame(of id: YamuxStreamID, _ stream: YamuxStreamState) -> YamuxFrame {
        stream.sending = .closed
        var frame = YamuxFrame(YamuxHeader(.windowUpdate, .fin, stream: id, length: 0))
        if stream.isReceivingClosed {
            remove(id)
            frame.endsStream = true
        }
        return frame
    }

    private mutating func schedule(_ id: YamuxStreamID, _ stream: YamuxStreamState) {
        guard stream.isSendable, !stream.isScheduled else { return }
        stream.isScheduled = true
        line.append(id)
    }

    private mutating func remove(_ id: YamuxStreamID) {
        guard let stream = streams.removeValue(forKey: id) else { return }
        tunedByteCount -= stream.receiveWindow.tunedByteCount
        if stream.isOutbound { outboundCount -= 1 } else { inboundCount -= 1 }
        if stream.isOutbound, !stream.isAcknowledged { unacknowledgedCount -= 1 }
    }
}

/// Codes of the go away frame.
enum GoAwayCode {
    static let normal: UInt32 = 0
    static let protocolError: UInt32 = 1
    static let internalError: UInt32 = 2
}

extension YamuxStreamID {
    /// Stream 0: the session itself.
    static let session = YamuxStreamID(0)
}

extension YamuxFault {
    /// What the peer is told; `nil` when it ended the session itself.
    var goAwayCode: UInt32? {
        switch self {
        case .remoteGoAway: nil
        case .keepaliveTimeout: GoAwayCode.internalError
        case .version, .frameType, .streamID, .parity, .duplicateStream, .windowExceeded, .tooManyPings,
            .tooManyResets, .tooManyEmptyFrames, .tooManyControlFrames:
            GoAwayCode.protocolError
        }
    }
}
