import LibP2P
import Testing

private let start = Duration.seconds(1_000)
private let stream1 = YamuxStreamID(1)
private let stream2 = YamuxStreamID(2)
private let window = YamuxLimits.initialWindowByteCount

private func frame(
    _ kind: YamuxHeader.Kind,
    _ flags: YamuxHeader.Flags = [],
    _ stream: UInt32,
    _ length: Int,
    _ body: [UInt8] = []
) -> [UInt8] {
    YamuxHeader(kind, flags, stream: YamuxStreamID(stream), length: UInt32(length)).bytes + body
}

private func data(_ stream: UInt32, _ body: [UInt8], _ flags: YamuxHeader.Flags = []) -> [UInt8] {
    frame(.data, flags, stream, body.count, body)
}

extension YamuxSession {
    /// A session without the ping it starts with.
    fileprivate static func quiet(_ role: Role, _ change: (inout YamuxLimits) -> Void = { _ in })
        -> YamuxSession
    {
        var limits = YamuxLimits()
        change(&limits)
        var session = YamuxSession(role: role, limits: limits, now: start)
        _ = session.sent()
        return session
    }

    /// Everything it has to send, as bytes.
    fileprivate mutating func sent() -> [UInt8] {
        var bytes: [UInt8] = []
        while let frame = nextFrame(maxByteCount: 65_519) { bytes += frame.header.bytes + frame.body }
        return bytes
    }

    fileprivate mutating func receive(_ bytes: [UInt8], at now: Duration = start) -> [Action] {
        receive(bytes[...], now: now)
    }
}

@Suite("Yamux frames")
struct YamuxFrameTests {
    @Test("Headers are encoded and read as observed on the wire")
    func vectors() throws {
        let section = try Vectors.section("yamux")
        let frames: [(String, YamuxHeader)] = [
            ("syn stream 1", .init(.windowUpdate, .syn, stream: stream1, length: 0)),
            ("ack stream 1", .init(.windowUpdate, .ack, stream: stream1, length: 0)),
            ("fin stream 1", .init(.windowUpdate, .fin, stream: stream1, length: 0)),
            ("rst stream 1", .init(.windowUpdate, .rst, stream: stream1, length: 0)),
            ("ping 7", .init(.ping, .syn, stream: YamuxStreamID(0), length: 7)),
            ("pong 7", .init(.ping, .ack, stream: YamuxStreamID(0), length: 7)),
            ("go away, normal", .init(.goAway, stream: YamuxStreamID(0), length: 0)),
            ("grant 65536 on stream 3", .init(.windowUpdate, stream: YamuxStreamID(3), length: 65_536)),
        ]
        for (name, header) in frames {
            let bytes = try Vectors.bytes(section, name)
            #expect(header.bytes == bytes, "\(name)")
            #expect(try YamuxHeader(bytes: bytes[...]) == header)
        }
    }
}

@Suite("Yamux session: streams")
struct YamuxStreamTests {
    @Test("It starts with a ping, which the answer turns into a round trip")
    func firstPing() {
        var session = YamuxSession(role: .dialer, now: start)
        #expect(session.sent() == frame(.ping, .syn, 0, 0))
        let later = start + .milliseconds(3)
        #expect(session.receive(frame(.ping, .ack, 0, 0), at: later) == [.roundTrip(.milliseconds(3))])
        #expect(session.receive(frame(.ping, .ack, 0, 0)) == [], "a pong nobody asked for is ignored")
    }

    @Test("The dialer opens 1, 3, 5, the listener 2, 4, with SYN on an empty window update")
    func opening() throws {
        var dialer = YamuxSession.quiet(.dialer)
        var listener = YamuxSession.quiet(.listener)
        #expect(try [dialer.open(now: start).number, dialer.open(now: start).number] == [1, 3])
        #expect(try [listener.open(now: start).number, listener.open(now: start).number] == [2, 4])
        #expect(dialer.sent() == frame(.windowUpdate, .syn, 1, 0) + frame(.windowUpdate, .syn, 3, 0))
    }

    @Test("Data and FIN may follow SYN at once; the peer accepts, gets the bytes and the end")
    func openWriteClose() throws {
        var dialer = YamuxSession.quiet(.dialer)
        var listener = YamuxSession.quiet(.listener)
        let id = try dialer.open(now: start)
        dialer.write([1, 2, 3], on: id)
        dialer.closeWrite(id)
        let actions = listener.receive(dialer.sent())
        #expect(actions == [.accept(id), .deliver(id, [1, 2, 3]), .endOfStream(id)])
        let answer = listener.sent()
        #expect(answer == frame(.windowUpdate, .ack, 1, 0), "ACK comes at once, in a frame of its own")
        #expect(dialer.receive(answer) == [.acknowledged(id)])
    }

    @Test("FIN ends one direction only; the answer still comes, then the stream is gone")
    func halfClose() {
        var session = YamuxSession.quiet(.listener)
        _ = session.receive(frame(.windowUpdate, .syn, 1, 0) + data(1, [9], .fin))
        session.write([7, 7], on: stream1)
        session.closeWrite(stream1)
        #expect(session.streamCount == 1)
        let expected = frame(.windowUpdate, .ack, 1, 0) + data(1, [7, 7]) + frame(.windowUpdate, .fin, 1, 0)
        #expect(session.sent() == expected)
        #expect(session.streamCount == 0)
    }

    @Test("SYN may ride on data, and a SYN or ACK grant adds to 262,144")
    func synOnData() throws {
        var session = YamuxSession.quiet(.listener)
        #expect(session.receive(data(1, [5], .syn)) == [.accept(stream1), .deliver(stream1, [5])])
        var granted = YamuxSession.quiet(.listener)
        _ = granted.receive(frame(.windowUpdate, .syn, 1, 10))
        _ = granted.sent()
        granted.write([UInt8](repeating: 0, count: window + 20)[...], on: stream1)
        var byteCount = 0
        while let frame = granted.nextFrame(maxByteCount: 65_519) { byteCount += frame.body.count }
        #expect(byteCount == window + 10)
    }

    @Test("RST ends one stream, with or without a code, and its length is no grant", arguments: [0, 0x1001])
    func reset(code: Int) {
        var session = YamuxSession.quiet(.listener)
        _ = session.receive(frame(.windowUpdate, .syn, 1, 0) + frame(.windowUpdate, .syn, 3, 0))
        let actions = session.receive(frame(.windowUpdate, .rst, 1, code) + data(3, [1]))
        #expect(actions == [.resetStream(stream1, code: UInt32(code)), .deliver(YamuxStreamID(3), [1])])
    }

    @Test("Frames for a stream that is gone are dropped, their bodies read and discarded")
    func gone() {
        var session = YamuxSession.quiet(.listener)
        _ = session.receive(frame(.windowUpdate, .syn, 1, 0) + frame(.windowUpdate, .syn, 3, 0))
        session.reset(stream1)
        let ghosts = data(1, [1, 2, 3]) + frame(.windowUpdate, 1, 50) + frame(.windowUpdate, .fin, 1, 0)
        #expect(session.receive(ghosts + data(3, [4])) == [.deliver(YamuxStreamID(3), [4])])
    }

    @Test("A body that is coming in when the stream is reset is discarded to its end")
    func resetInsideBody() {
        var session = YamuxSession.quiet(.listener)
        _ = session.receive(frame(.windowUpdate, .syn, 1, 0) + frame(.data, 1, 4) + [1, 2])
        session.reset(stream1)
        #expect(session.receive([3, 4] + frame(.windowUpdate, .syn, 3, 0)) == [.accept(YamuxStreamID(3))])
    }

    @Test("Reset drops what is queued and says RST")
    func localReset() throws {
        var session = YamuxSession.quiet(.dialer)
        let id = try session.open(now: start)
        session.write([1, 2, 3], on: id)
        session.reset(id)
        #expect(session.sent() == frame(.windowUpdate, .syn, 1, 0) + frame(.windowUpdate, .rst, 1, 0))
        #expect(session.streamCount == 0)
    }

    @Test("Cut at every byte, or anywhere else, a session means the same", arguments: 1...40)
    func split(chunk: Int) {
        let wire =
            frame(.windowUpdate, .syn, 1, 0) + data(1, [1, 2, 3, 4, 5]) + frame(.ping, .syn, 0, 77)
            + data(1, Array(6...40), .fin) + frame(.windowUpdate, .syn, 3, 0)
            + frame(.windowUpdate, .rst, 3, 5)
        var session = YamuxSession.quiet(.listener)
        var received: [UInt8] = []
        var others: [YamuxSession.Action] = []
        for start in stride(from: 0, to: wire.count, by: chunk) {
            for action in session.receive(Array(wire[start..<min(wire.count, start + chunk)])) {
                if case .deliver(_, let bytes) = action { received += bytes } else { others.append(action) }
            }
        }
        #expect(received == Array(1...40))
        let third = YamuxStreamID(3)
        #expect(
            others == [.accept(stream1), .endOfStream(stream1), .accept(third), .resetStream(third, code: 5)]
        )
        #expect(session.sent().contains(frame(.ping, .ack, 0, 77)))
    }
}

@Suite("Yamux session: windows")
struct YamuxWindowTests {
    @Test("One frame as large as the window is taken, one byte more ends the session", arguments: [0, 1])
    func overrun(excess: Int) {
        var session = YamuxSession.quiet(.listener)
        let actions = session.receive(data(1, [UInt8](repeating: 0, count: window + excess), .syn))
        let fault = YamuxFault.windowExceeded(stream1, allowed: window, received: window + 1)
        #expect((actions.last == .terminate(fault)) == (excess == 1))
        if excess == 1 { #expect(session.sent() == frame(.goAway, 0, 1)) }
    }

    @Test("Headers do not count, SYN data does")
    func headersDoNotCount() {
        var session = YamuxSession.quiet(.listener)
        _ = session.receive(data(1, [UInt8](repeating: 0, count: window / 2), .syn))
        let rest = session.receive(data(1, [UInt8](repeating: 0, count: window / 2)))
        #expect(rest == [.deliver(stream1, ArraySlice(repeating: 0, count: window / 2))])
        #expect(
            session.receive(data(1, [0])).last
                == .terminate(.windowExceeded(stream1, allowed: 0, received: 1))
        )
    }

    @Test("Nothing is granted on arrival; half the window consumed restores it in one update")
    func grant() {
        var session = YamuxSession.quiet(.listener)
        _ = session.receive(data(1, [UInt8](repeating: 0, count: window), .syn))
        #expect(session.sent() == frame(.windowUpdate, .ack, 1, 0))
        session.consumed(window / 2 - 1, on: stream1, now: start)
        #expect(session.sent().isEmpty)
        session.consumed(1, on: stream1, now: start)
        #expect(session.sent() == frame(.windowUpdate, 1, window / 2))
    }

    @Test("A window that was the bottleneck doubles, up to the limit; a slow reader's does not")
    func tuning() {
        var session = YamuxSession(role: .listener, now: start)
        _ = session.sent()
        _ = session.receive(frame(.ping, .ack, 0, 0), at: start + .milliseconds(10))
        _ = session.receive(data(1, [UInt8](repeating: 0, count: window / 2), .syn))
        session.consumed(window / 2, on: stream1, now: start + .milliseconds(39))
        #expect(session.sent().suffix(12) == frame(.windowUpdate, 1, window / 2 + window)[...])
        _ = session.receive(data(1, [UInt8](repeating: 0, count: window)))
        session.consumed(window, on: stream1, now: start + .milliseconds(79))
        #expect(
            session.sent() == frame(.windowUpdate, 1, window),
            "four round trips later it was not the bottleneck"
        )
    }

    @Test("All windows of a session together grow by no more than their common budget")
    func tuningBudget() {
        var limits = YamuxLimits()
        limits.maxTunedByteCount = window
        var session = YamuxSession(role: .listener, limits: limits, now: start)
        _ = session.receive(frame(.ping, .ack, 0, 0), at: start + .milliseconds(10))
        let half = [UInt8](repeating: 0, count: window / 2)
        _ = session.receive(data(1, half, .syn) + data(3, half, .syn))
        _ = session.sent()
        session.consumed(window / 2, on: stream1, now: start)
        session.consumed(window / 2, on: YamuxStreamID(3), now: start)
        #expect(
            session.sent() == frame(.windowUpdate, 1, window / 2 + window)
                + frame(.windowUpdate, 3, window / 2)
        )
        session.reset(stream1)
        _ = session.receive(data(3, half))
        session.consumed(window / 2, on: YamuxStreamID(3), now: start)
        #expect(session.sent().suffix(12) == frame(.windowUpdate, 3, window / 2 + window)[...])
    }

    @Test("Never more is sent than granted, and a grant lets it go on")
    func respectsGrant() throws {
        var session = YamuxSession.quiet(.dialer)
        let id = try session.open(now: start)
        session.write([UInt8](repeating: 1, count: window + 100)[...], on: id)
        let first = session.sent()
        #expect(first.count == 12 + window + 12 * 5)
        #expect(session.sent().isEmpty)
        _ = session.receive(frame(.windowUpdate, 1, 60))
        #expect(session.sent().count == 12 + 60)
        _ = session.receive(frame(.windowUpdate, 1, 60))
        #expect(session.sent().count == 12 + 40)
    }

    @Test("Endless grants overflow nothing")
    func hugeGrants() throws {
        var session = YamuxSession.quiet(.dialer)
        let id = try session.open(now: start)
        for _ in 0..<1000 { #expect(session.receive(frame(.windowUpdate, 1, 0xffff_ffff)).isEmpty) }
        session.write([1], on: id)
        #expect(session.sent().suffix(13) == data(1, [1])[...])
    }
}

@Suite("Yamux session: order, time and abuse")
struct YamuxSessionRuleTests {
    @Test("Streams take turns, and control frames go first")
    func fairness() throws {
        var session = YamuxSession.quiet(.dialer)
        let first = try session.open(now: start)
        let second = try session.open(now: start)
        _ = session.sent()
        session.write([UInt8](repeating: 1, count: 200_000)[...], on: first)
        session.write([UInt8](repeating: 2, count: 100_000)[...], on: second)
        _ = session.receive(frame(.ping, .syn, 0, 5))
        var order: [UInt32] = []
        while let frame = session.nextFrame(maxByteCount: 65_519) { order.append(frame.header.stream.number) }
        #expect(order == [0, 1, 3, 1, 3, 1, 1])
    }

    @Test("Small writes travel in one frame, and a nearly full message is left for small frames")
    func packing() throws {
        var session = YamuxSession.quiet(.dialer)
        let id = try session.open(now: start)
        _ = session.sent()
        for byte in 0..<100 { session.write([UInt8(byte)], on: id) }
        #expect(session.sent() == data(1, Array(0..<100)))
        session.write([UInt8](repeating: 0, count: 10_000)[...], on: id)
        #expect(session.nextFrame(maxByteCount: 1_000) == nil)
        #expect(session.nextFrame(maxByteCount: 5_012)?.body.count == 5_000)
    }

    @Test("A writer is told when its queue has drained to the low-water mark")
    func lowWater() throws {
        var session = YamuxSession.quiet(.dialer)
        let id = try session.open(now: start)
        _ = session.sent()
        session.write([UInt8](repeating: 0, count: 262_144)[...], on: id)
        #expect(session.queueRoom(of: id) == 0)
        var reopened: [Bool] = []
        while let frame = session.nextFrame(maxByteCount: 65_519) { reopened.append(frame.reopensQueue) }
        #expect(reopened == [false, false, true, false, false])
        #expect(session.queueRoom(of: id) == 262_144)
    }

    @Test("The 257th unacknowledged open is refused here; an ACK makes room for it")
    func openBacklog() throws {
        var session = YamuxSession.quiet(.dialer)
        for _ in 0..<256 { _ = try session.open(now: start) }
        #expect(throws: YamuxOpenFault.tooManyUnacknowledged) { try session.open(now: start) }
        _ = session.receive(frame(.windowUpdate, .ack, 1, 0))
        #expect(try session.open(now: start).number == 513)
    }

    @Test("Streams beyond the limit are refused with RST; a stream that ends makes room")
    func inboundLimit() {
        var session = YamuxSession.quiet(.listener) { $0.maxInboundStreamCount = 2 }
        let actions = session.receive([1, 3, 5].flatMap { frame(.windowUpdate, .syn, $0, 0) })
        #expect(actions.last == .refused(YamuxStreamID(5)))
        #expect(session.sent().suffix(12) == frame(.windowUpdate, .rst, 5, 0)[...])
        _ = session.receive(frame(.windowUpdate, .rst, 1, 0))
        #expect(session.receive(frame(.windowUpdate, .syn, 7, 0)) == [.accept(YamuxStreamID(7))])
    }

    @Test("Ids that were passed over may come later, each once, if they are among the 512 below the highest")
    func idsOutOfOrder() {
        var session = YamuxSession.quiet(.listener)
        for id in [5, 1, 3, 2_001, 977, 1_999] as [UInt32] {
            #expect(session.receive(frame(.windowUpdate, .syn, id, 0)) == [.accept(YamuxStreamID(id))])
        }
        let tooOld = YamuxStreamID(975)
        #expect(session.receive(frame(.windowUpdate, .syn, 975, 0)) == [.terminate(.duplicateStream(tooOld))])
    }

    @Test("Of many gaps each id may come once")
    func gaps() {
        var session = YamuxSession.quiet(.listener)
        let opens =
            Array(stride(from: UInt32(1), to: 400, by: 4)) + Array(stride(from: UInt32(399), to: 2, by: -4))
        for id in opens {
            #expect(session.receive(frame(.windowUpdate, .syn, id, 0)) == [.accept(YamuxStreamID(id))])
        }
        let last = YamuxStreamID(3)
        #expect(session.receive(frame(.windowUpdate, .syn, 3, 0)) == [.terminate(.duplicateStream(last))])
    }

    @Test("A refused stream's id is used, too")
    func refusedID() {
        var session = YamuxSession.quiet(.listener) { $0.maxInboundStreamCount = 0 }
        #expect(session.receive(frame(.windowUpdate, .syn, 1, 0)) == [.refused(stream1)])
        #expect(session.receive(frame(.windowUpdate, .syn, 1, 0)) == [.terminate(.duplicateStream(stream1))])
    }

    @Test("The highest id can be opened, once")
    func lastID() {
        var session = YamuxSession.quiet(.listener)
        let last = YamuxStreamID(.max)
        #expect(session.receive(frame(.windowUpdate, .syn, .max, 0)) == [.accept(last)])
        #expect(session.receive(frame(.windowUpdate, .rst, .max, 0)) == [.resetStream(last, code: 0)])
        #expect(session.receive(frame(.windowUpdate, .syn, .max, 0)) == [.terminate(.duplicateStream(last))])
    }

    @Test(
        "What breaks the protocol ends the session with go away 1",
        arguments: [
            ("version 1", [1] + frame(.ping, .syn, 0, 1).dropFirst(), YamuxFault.version(1)),
            ("type 9", [0, 9] + frame(.ping, .syn, 0, 1).dropFirst(2), .frameType(9)),
            ("an even id from the dialer", frame(.windowUpdate, .syn, 2, 0), .parity(stream2)),
            (
                "an id opened twice", frame(.windowUpdate, .syn, 1, 0) + frame(.windowUpdate, .syn, 1, 0),
                .duplicateStream(stream1)
            ),
            (
                "an id opened again after its stream is gone",
                frame(.windowUpdate, .syn, 1, 0) + data(1, [1]) + frame(.windowUpdate, .rst, 1, 0)
                    + frame(.windowUpdate, .syn, 1, 0),
                .duplicateStream(stream1)
            ),
            ("data on stream 0", frame(.data, 0, 1), .streamID(YamuxStreamID(0))),
            ("a ping on stream 1", frame(.ping, .syn, 1, 0), .streamID(stream1)),
        ] as [(String, [UInt8], YamuxFault)]
    )
    func violations(name: String, bytes: [UInt8], fault: YamuxFault) {
        var session = YamuxSession.quiet(.listener)
        #expect(session.receive(bytes + data(1, [1])).last == .terminate(fault))
        #expect(session.sent() == frame(.goAway, 0, 1))
        #expect(session.receive(frame(.ping, .syn, 0, 1)).isEmpty && session.nextDeadline == nil)
    }

    @Test("A silent peer is pinged after 30 s and given up 10 s later")
    func keepalive() {
        var session = YamuxSession.quiet(.listener)
        _ = session.receive(frame(.ping, .ack, 0, 0))
        #expect(session.nextDeadline == start + .seconds(30))
        #expect(session.deadlineReached(now: start + .seconds(29)).isEmpty && session.sent().isEmpty)
        #expect(session.deadlineReached(now: start + .seconds(30)).isEmpty)
        #expect(session.sent() == frame(.ping, .syn, 0, 1))
        #expect(session.nextDeadline == start + .seconds(40))
        #expect(session.deadlineReached(now: start + .seconds(40)) == [.terminate(.keepaliveTimeout)])
    }

    @Test("Anything received keeps the session alive, a late pong included")
    func keptAlive() {
        var session = YamuxSession.quiet(.listener)
        _ = session.receive(frame(.ping, .ack, 0, 0))
        _ = session.deadlineReached(now: start + .seconds(30))
        _ = session.receive(frame(.windowUpdate, .syn, 1, 0), at: start + .seconds(39))
        #expect(session.deadlineReached(now: start + .seconds(40)).isEmpty)
        #expect(session.nextDeadline == start + .seconds(49))
    }

    @Test("After go away in either direction open streams live on and new ones are refused")
    func goAway() throws {
        var session = YamuxSession.quiet(.listener)
        _ = session.receive(frame(.windowUpdate, .syn, 1, 0))
        #expect(session.receive(frame(.goAway, 0, 0)) == [.remoteGoesAway(code: 0)])
        #expect(session.receive(data(1, [1])) == [.deliver(stream1, [1])])
        #expect(throws: YamuxOpenFault.closing) { try session.open(now: start) }
        #expect(session.receive(frame(.goAway, 0, 2)).last == .terminate(.remoteGoAway(2)))

        var leaving = YamuxSession.quiet(.listener)
        leaving.goAway()
        #expect(leaving.receive(frame(.windowUpdate, .syn, 1, 0)) == [.refused(stream1)])
        #expect(leaving.sent() == frame(.goAway, 0, 0) + frame(.windowUpdate, .rst, 1, 0))
    }

    @Test("Floods end the session: pings, empty frames, opened and reset streams")
    func floods() {
        var pinged = YamuxSession.quiet(.listener) { $0.pings = .init(burst: 3, perSecond: 1) }
        let ping = frame(.ping, .syn, 0, 1)
        #expect(pinged.receive(ping + ping + ping).isEmpty)
        #expect(pinged.receive(ping, at: start + .seconds(1)).isEmpty)
        #expect(pinged.receive(ping, at: start + .seconds(1)) == [.terminate(.tooManyPings)])

        var empty = YamuxSession.quiet(.listener) { $0.emptyFrames = .init(burst: 2, perSecond: 1) }
        let nothing = frame(.data, 1, 0)
        #expect(empty.receive(nothing + nothing + nothing).last == .terminate(.tooManyEmptyFrames))

        var reset = YamuxSession.quiet(.listener) { $0.resets = .init(burst: 2, perSecond: 1) }
        let rapid = [1, 3, 5].flatMap {
            frame(.windowUpdate, .syn, $0, 0) + frame(.windowUpdate, .rst, $0, 0)
        }
        #expect(reset.receive(rapid).last == .terminate(.tooManyResets))

        var deaf = YamuxSession.quiet(.listener) { $0.maxControlFrameCount = 2 }
        #expect(deaf.receive(ping + ping + ping).last == .terminate(.tooManyControlFrames))
    }

    @Test(
        "Two sessions over a wire cut anywhere move every byte, in order",
        arguments: [1, 2, 3, 4, 5] as [UInt64]
    )
    func pair(seed: UInt64) throws {
        var random = SplitMix(state: seed)
        var now = start
        let ends = [End(.dialer, now: now), End(.listener, now: now)]
        var wires: [[UInt8]] = [[], []]
        let ids = try [
            ends[0].session.open(now: now), ends[0].session.open(now: now), ends[1].session.open(now: now),
        ]
        let owner = [0, 0, 1]
        let payload = (0..<700_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }
        var written = [0, 0, 0]
        var received: [[UInt8]] = [[], [], []]
        var finished = 0
        var rounds = 0
        while finished < 3, rounds < 100_000 {
            rounds += 1
            now += .microseconds(50)
            for (index, id) in ids.enumerated() where written[index] < payload.count {
                let room = ends[owner[index]].session.queueRoom(of: id)
                let count = min(
                    Int.random(in: 0...40_000, using: &random),
                    room,
                    payload.count - written[index]
                )
                ends[owner[index]].session.write(payload[written[index]..<(written[index] + count)], on: id)
                written[index] += count
                if written[index] == payload.count { ends[owner[index]].session.closeWrite(id) }
            }
            for end in 0...1 {
                while let frame = ends[end].session.nextFrame(
                    maxByteCount: Int.random(in: 5_000...65_519, using: &random)
                ) {
                    wires[end] += frame.header.bytes + frame.body
                }
                let count = min(wires[end].count, Int.random(in: 1...150_000, using: &random))
                let chunk = Array(wires[end].prefix(count))
                wires[end].removeFirst(count)
                for action in ends[1 - end].session.receive(chunk[...], now: now) {
                    switch action {
                    case .deliver(let id, let bytes):
                        guard let index = ids.firstIndex(of: id) else { continue }
                        received[index] += bytes
                        ends[1 - end].session.consumed(bytes.count, on: id, now: now)
                    case .endOfStream: finished += 1
                    case .terminate, .resetStream, .refused: Issue.record("\(action)")
                    case .accept, .acknowledged, .roundTrip, .remoteGoesAway: break
                    }
                }
            }
        }
        #expect(received.allSatisfy { $0 == payload })
    }
}

/// One of two sessions that are addressed by index.
private final class End {
    var session: YamuxSession
    init(_ role: YamuxSession.Role, now: Duration) {
        session = YamuxSession(role: role, now: now)
    }
}

private func frame(_ kind: YamuxHeader.Kind, _ stream: UInt32, _ length: Int) -> [UInt8] {
    frame(kind, [], stream, length)
}
