import LibP2P
import Testing

@Suite("Ping")
struct PingTests {
    private static let payload = (0..<32).map { UInt8($0) }

    @Test("an echo in pieces of any size gives the round trip", arguments: [1, 5, 32])
    func echo(size: Int) {
        var asker = PingAsker()
        #expect(asker.ping(payload: Self.payload, now: .seconds(1)) == [.send(Self.payload)])
        var actions: [PingAsker.Action] = []
        for start in stride(from: 0, to: 32, by: size) {
            #expect(actions.isEmpty)
            actions = asker.receive(Self.payload[start..<min(start + size, 32)], now: .seconds(3))
        }
        #expect(actions == [.measured(roundTrip: .seconds(2))])
        #expect(asker.nextDeadline == nil)
    }

    @Test("the stream serves one ping after the other, never two at once")
    func sequence() {
        var asker = PingAsker()
        _ = asker.ping(payload: Self.payload, now: .zero)
        #expect(asker.ping(payload: Self.payload, now: .zero) == [])
        _ = asker.receive(Self.payload, now: .zero)
        #expect(asker.ping(payload: Self.payload, now: .zero) == [.send(Self.payload)])
    }

    @Test("a wrong byte, a byte too many and a byte unasked each fail the stream for good")
    func wrongEcho() {
        var wrong = PingAsker()
        _ = wrong.ping(payload: Self.payload, now: .zero)
        #expect(wrong.receive([0, 1, 3], now: .zero) == [.fail(.mismatch)])
        #expect(wrong.receive(Self.payload, now: .zero) == [])
        var long = PingAsker()
        _ = long.ping(payload: Self.payload, now: .zero)
        #expect(long.receive(Self.payload + [0], now: .zero) == [.fail(.unasked)])
        var unasked = PingAsker()
        #expect(unasked.receive([0], now: .zero) == [.fail(.unasked)])
    }

    @Test("no echo in time fails the stream, a moment earlier does not")
    func timeout() {
        var asker = PingAsker()
        _ = asker.ping(payload: Self.payload, now: .seconds(1))
        #expect(asker.nextDeadline == .seconds(11))
        #expect(asker.deadlineReached(now: .seconds(10.9)) == [])
        #expect(asker.deadlineReached(now: .seconds(11)) == [.fail(.timeout)])
    }

    @Test("an end before the echo fails it, an end between pings does not")
    func end() {
        var asker = PingAsker()
        #expect(asker.end() == [])
        _ = asker.ping(payload: Self.payload, now: .zero)
        #expect(asker.end() == [.fail(.ended)])
    }

    @Test("the responder sends back whole pings only, wherever they are cut")
    func responding() {
        let sent = (0..<96).map { UInt8($0) }
        for cut in 1..<95 {
            var responder = PingResponder(now: .zero)
            let first = responder.receive(sent[..<cut], now: .zero)
            #expect(first.elementsEqual(sent[..<(cut / 32 * 32)]), "cut at \(cut)")
            let second = responder.receive(sent[cut...], now: .zero)
            #expect(second.elementsEqual(sent[(cut / 32 * 32)...]), "cut at \(cut)")
        }
    }

    @Test("a byte at a time, each ping is answered with its last byte")
    func respondingToBytes() {
        var responder = PingResponder(now: .zero)
        for round in 0..<3 {
            for index in 0..<32 {
                let answer = responder.receive(Self.payload[index...index], now: .zero)
                let expected = index < 31 ? [] : Self.payload
                #expect(Array(answer) == expected, "ping \(round), byte \(index)")
            }
        }
    }

    @Test("whole pings put the responder's deadline off, pieces do not")
    func idleTimeout() {
        var responder = PingResponder(now: .seconds(1))
        #expect(responder.nextDeadline == .seconds(61))
        _ = responder.receive(Self.payload.prefix(31), now: .seconds(5))
        #expect(responder.nextDeadline == .seconds(61))
        _ = responder.receive(Self.payload.suffix(1), now: .seconds(6))
        #expect(responder.nextDeadline == .seconds(66))
        _ = responder.receive(Self.payload[...], now: .seconds(7))
        #expect(responder.nextDeadline == .seconds(67))
    }
}
