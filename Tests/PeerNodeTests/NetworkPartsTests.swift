import Multiformats
import PeerCrypto
import Testing

@testable import PeerNode

@Suite("Timer queue")
struct TimerQueueTests {
    private let start = ContinuousClock.now

    @Test("Calls come in the order of their deadlines, and only those due")
    func order() {
        var queue = TimerQueue()
        let fired = Log()
        for delay in [30, 10, 20, 40, 5] {
            _ = queue.add(start + .milliseconds(delay)) { fired.entries.append(delay) }
        }
        for call in queue.takeDue(now: start + .milliseconds(20)) { call() }
        #expect(fired.entries == [5, 10, 20])
        #expect(queue.millisecondsToNext(now: start + .milliseconds(25)) == 5)
    }

    @Test("A cancelled timer never fires, also among a thousand others")
    func cancel() {
        var queue = TimerQueue()
        let fired = Log()
        let ids = (0..<1000).map { number in
            queue.add(start + .milliseconds(number)) { fired.entries.append(number) }
        }
        for (number, id) in ids.enumerated() where number % 10 != 0 { queue.cancel(id) }
        for call in queue.takeDue(now: start + .seconds(2)) { call() }
        #expect(fired.entries == Array(stride(from: 0, to: 1000, by: 10)))
        #expect(queue.millisecondsToNext(now: start) == -1)
    }

    @Test("Waiting times are rounded up, so that a timer is not asked for too early")
    func rounding() {
        var queue = TimerQueue()
        _ = queue.add(start + .microseconds(1_001)) {}
        #expect(queue.millisecondsToNext(now: start) == 2)
        #expect(queue.millisecondsToNext(now: start + .seconds(1)) == 0)
    }

    private final class Log {
        var entries: [Int] = []
    }
}

@Suite("Dialing policy")
struct DialingTests {
    private let now = ContinuousClock.now

    private func endpoint(_ port: UInt16) throws -> TCPEndpoint {
        try #require(try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/\(port)").tcpEndpoint)
    }

    @Test(
        "A failed address is left alone for 5 s + n² s, at most 5 min",
        arguments: [(1, 6), (2, 9), (5, 30), (100, 300)]
    )
    func backoff(failures: Int, seconds: Int) throws {
        var backoff = DialBackoff()
        let address = try endpoint(1)
        for _ in 0..<failures { backoff.failed(address, now: now) }
        #expect(!backoff.allows(address, now: now + .seconds(seconds) - .milliseconds(1)))
        #expect(backoff.allows(address, now: now + .seconds(seconds)))
        backoff.succeeded(address)
        #expect(backoff.allows(address, now: now))
    }

    @Test("Failures beyond the limit displace those that end soonest")
    func boundedBackoff() throws {
        var backoff = DialBackoff()
        let last = UInt16(ConnectionLimits.maxBackoffCount + 1)
        for port in 1...last { backoff.failed(try endpoint(port), now: now + .milliseconds(Int(port))) }
        #expect(backoff.allows(try endpoint(1), now: now))
        #expect(!backoff.allows(try endpoint(last), now: now))
    }

    @Test("The address book keeps the latest addresses, without peer, and no more than its limit")
    func addressBook() throws {
        var book = AddressBook()
        let peer = PeerID(try PublicKey(ed25519: Ed25519.KeyPair().publicKey.bytes))
        for port in 1...20 {
            book.add([try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/\(port)").with(peer: peer)], of: peer)
        }
        book.add([try Multiaddr(parsing: "/ip4/10.0.0.1/udp/9/quic-v1")], of: peer)
        #expect(book[peer].count == AddressBook.maxAddressCount)
        #expect(try book[peer].first == Multiaddr(parsing: "/ip4/10.0.0.1/tcp/20"))
    }
}
