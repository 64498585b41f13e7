import LibP2P
import Testing

private let ping = (0..<32).map { UInt8($0) }

/// Sends back what comes, and remembers when it last came.
private struct Echo: StreamResponder {
    var nextDeadline = Duration.seconds(60)

    mutating func receive(_ bytes: ArraySlice<UInt8>, now: Duration) -> ArraySlice<UInt8> {
        nextDeadline = now + .seconds(60)
        return bytes
    }
}

@Suite("Responder session")
struct ResponderSessionTests {
    @Test("It answers no more than the queue has room for, and consumes no more than it answers")
    func room() {
        var session = ResponderSession(Echo())
        session.receive([1, 2, 3, 4, 5])
        #expect(session.next(room: 0, now: .zero) == nil)
        #expect(session.next(room: 2, now: .zero) == .answer([1, 2], consumedByteCount: 2))
        #expect(session.next(room: 0, now: .zero) == nil)
        session.receive([6])
        #expect(session.next(room: 9, now: .zero) == .answer([3, 4, 5, 6], consumedByteCount: 4))
        #expect(session.next(room: 9, now: .zero) == nil)
    }

    @Test("The end comes behind the last answer, once")
    func end() {
        var session = ResponderSession(Echo())
        session.receive([1, 2])
        session.receiveEnd()
        #expect(session.next(room: 0, now: .zero) == nil)
        #expect(session.next(room: 9, now: .zero) == .answer([1, 2], consumedByteCount: 2))
        #expect(session.next(room: 0, now: .zero) == .end)
        #expect(session.next(room: 9, now: .zero) == nil)
        session.receiveEnd()
        #expect(session.next(room: 9, now: .zero) == nil)
    }

    @Test("What waits for room does not put the deadline off")
    func deadline() {
        var session = ResponderSession(Echo())
        session.receive([1])
        #expect(session.next(room: 0, now: .seconds(30)) == nil)
        #expect(session.nextDeadline == .seconds(60))
        _ = session.next(room: 1, now: .seconds(30))
        #expect(session.nextDeadline == .seconds(90))
    }

    @Test("A piece of a ping is consumed and answered with nothing yet")
    func piece() {
        var session = ResponderSession(PingResponder(now: .zero))
        session.receive(ping[..<20])
        #expect(session.next(room: 100, now: .zero) == .answer([], consumedByteCount: 20))
        session.receive(ping[20...])
        #expect(session.next(room: 100, now: .zero) == .answer(ping[...], consumedByteCount: 12))
    }
}

@Suite("A ping over two yamux sessions")
struct PingOverYamuxTests {
    @Test("Pings come back whole through a wire cut at every byte", arguments: [1, 7, 12, 13, 44, 100])
    func cut(size: Int) throws {
        let wire = try PingWire()
        let sent = (0..<20).flatMap { number in ping.map { $0 &+ UInt8(number) } }
        wire.asker.write(sent[...], on: wire.stream)
        wire.move(inPiecesOf: size)
        #expect(wire.received == sent)
    }

    @Test("A peer that reads no answers is written its window, and asks no more than windows and queue hold")
    func notRead() throws {
        let wire = try PingWire()
        wire.isReading = false
        var asked = 0
        // Four times what can be on the way.
        for _ in 0..<4_000 {
            let room = wire.asker.queueRoom(of: wire.stream) / 1_024 * 1_024
            let pings = [UInt8](repeating: 7, count: min(room, 1_024))
            wire.asker.write(pings[...], on: wire.stream)
            asked += pings.count
            wire.move()
        }
        let window = YamuxLimits.initialWindowByteCount
        let queue = YamuxLimits().maxQueuedByteCount
        #expect(wire.received.count == window)
        // Answered and sent, answered and queued, waiting for an answer, and the asker's own queue.
        #expect(asked == window + queue + window + queue)
        #expect(wire.room == 0)
        wire.isReading = true
        wire.read()
        for _ in 0..<100 { wire.move() }
        #expect(wire.received == [UInt8](repeating: 7, count: asked))
    }

    @Test("After the peer's half-close whole pings are answered, then the stream is gone")
    func halfClose() throws {
        let wire = try PingWire()
        wire.asker.write((ping + ping + ping[..<9])[...], on: wire.stream)
        wire.asker.closeWrite(wire.stream)
        wire.move()
        #expect(wire.received == ping + ping)
        #expect(wire.hasEnded)
        #expect(wire.isOpen == (false, false))
    }

    @Test("A half-close with answers unread ends behind the last of them")
    func halfCloseUnread() throws {
        let wire = try PingWire()
        wire.isReading = false
        for _ in 0..<600 {
            wire.asker.write([UInt8](repeating: 7, count: 1_024)[...], on: wire.stream)
            wire.move()
        }
        wire.asker.closeWrite(wire.stream)
        wire.move()
        #expect(!wire.hasEnded && wire.isOpen.answering)
        wire.isReading = true
        wire.read()
        for _ in 0..<100 { wire.move() }
        #expect(wire.received.count == 600 * 1_024)
        #expect(wire.hasEnded && !wire.isOpen.answering)
    }

    @Test("A reset ends the stream at once, with what waits, and no other")
    func reset() throws {
        let wire = try PingWire()
        wire.isReading = false
        for _ in 0..<600 {
            wire.asker.write([UInt8](repeating: 7, count: 1_024)[...], on: wire.stream)
            wire.move()
        }
        wire.asker.reset(wire.stream)
        wire.move()
        #expect(!wire.isOpen.answering)
        let count = wire.received.count
        try wire.open()
        wire.isReading = true
        wire.asker.write(ping[...], on: wire.stream)
        wire.move()
        #expect(wire.received.dropFirst(count).elementsEqual(ping))
    }
}

/// An asker and an answerer joined by a wire in memory; the answerer's streams have responders.
private final class PingWire {
    var asker = YamuxSession(role: .dialer, now: .zero)
    var answerer = YamuxSession(role: .listener, now: .zero)
    /// The asker's latest stream.
    private(set) var stream = YamuxStreamID(0)
    /// Whether the asker's application takes what comes.
    var isReading = true
    /// What came on all of the asker's streams.
    private(set) var received: [UInt8] = []
    private(set) var hasEnded = false
    private var unread = 0
    /// Whether the ends still know the stream.
    var isOpen: (asking: Bool, answering: Bool) { (asker.contains(stream), answerer.contains(stream)) }
    /// What the answerer's queue still takes.
    var room: Int { answerer.queueRoom(of: stream) }
    private var responders: [YamuxStreamID: ResponderSession] = [:]

    init() throws {
        try open()
        move()
    }

    /// Opens another stream, and leaves the one before alone.
    func open() throws {
        stream = try asker.open(now: .zero)
        unread = 0
    }

    /// Reads what came while nobody read.
    func read() {
        asker.consumed(unread, on: stream, now: .zero)
        unread = 0
    }

    /// Moves everything that can move, both ways.
    func move(inPiecesOf size: Int = .max) {
        while asker.hasFrames || answerer.hasFrames {
            let asked = askerSends()
            for piece in pieces(of: asked, size) { answer(answerer.receive(piece, now: .zero)) }
            let answered = answererSends()
            for piece in pieces(of: answered, size) { take(asker.receive(piece, now: .zero)) }
            // What waits for a window has frames and cannot send them.
            if asked.isEmpty, answered.isEmpty { return }
        }
    }

    private func askerSends() -> [UInt8] {
        var bytes: [UInt8] = []
        while let frame = asker.nextFrame(maxByteCount: 65_519) { bytes += frame.header.bytes + frame.body }
        return bytes
    }

    private func answererSends() -> [UInt8] {
        var bytes: [UInt8] = []
        while let frame = answerer.nextFrame(maxByteCount: 65_519) {
            bytes += frame.header.bytes + frame.body
            if frame.reopensQueue { respond(on: frame.header.stream) { _ in } }
        }
        return bytes
    }

    private func pieces(of bytes: [UInt8], _ size: Int) -> [ArraySlice<UInt8>] {
        var rest = bytes[...]
        var pieces: [ArraySlice<UInt8>] = []
        while !rest.isEmpty {
            pieces.append(rest.prefix(size))
            rest = rest.dropFirst(size)
        }
        return pieces
    }

    private func answer(_ actions: [YamuxSession.Action]) {
        for action in actions {
            switch action {
            case .accept(let id): responders[id] = ResponderSession(PingResponder(now: .zero))
            case .deliver(let id, let bytes): respond(on: id) { $0.receive(bytes) }
            case .endOfStream(let id): respond(on: id) { $0.receiveEnd() }
            case .resetStream(let id, _): responders[id] = nil
            case .roundTrip: break
            case .acknowledged, .refused, .remoteGoesAway, .terminate: Issue.record("\(action)")
            }
        }
    }

    private func respond(on id: YamuxStreamID, _ event: (inout ResponderSession) -> Void) {
        guard var session = responders[id] else { return }
        event(&session)
        while let step = session.next(room: answerer.queueRoom(of: id), now: .zero) {
            switch step {
            case .answer(let bytes, let consumedByteCount):
                answerer.consumed(consumedByteCount, on: id, now: .zero)
                answerer.write(bytes, on: id)
            case .end: answerer.closeWrite(id)
            }
        }
        responders[id] = session
    }

    private func take(_ actions: [YamuxSession.Action]) {
        for action in actions {
            switch action {
            case .deliver(_, let bytes):
                received += bytes
                unread += bytes.count
                if isReading { read() }
            case .endOfStream: hasEnded = true
            case .acknowledged, .roundTrip: break
            case .accept, .resetStream, .refused, .remoteGoesAway, .terminate: Issue.record("\(action)")
            }
        }
    }
}
