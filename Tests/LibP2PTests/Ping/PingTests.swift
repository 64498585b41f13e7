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

    @Test("the answerer sends back whole pings only, however they are cut")
    func answering() {
        var answerer = PingAnswerer(now: .zero)
        #expect(answerer.receive(Self.payload.prefix(31), now: .seconds(1)) == [])
        #expect(answerer.nextDeadline == .seconds(60))
        #expect(answerer.receive([31] + Self.payload + [7], now: .seconds(2)) == Self.payload + Self.payload)
        #expect(answerer.nextDeadline == .seconds(62))
        #expect(
            answerer.receive([UInt8](repeating: 8, count: 31), now: .seconds(3)) == [7]
                + [UInt8](repeating: 8, count: 31)
        )
    }
}
