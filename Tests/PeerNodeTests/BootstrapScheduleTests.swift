import Multiformats
import PeerNode
import Testing

@Suite("Bootstrap schedule")
struct BootstrapScheduleTests {
    private let own = PeerID.numbered(1)
    private let peer = PeerID.numbered(2)

    private func address(_ peer: PeerID, port: Int = 4001) throws -> Multiaddr {
        try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/\(port)/p2p/\(peer)")
    }

    @Test("every address is due at once, repeated ones once and this node itself never")
    func start() throws {
        let anonymous = try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/4003")
        let named = try address(peer)
        var schedule = BootstrapSchedule([named, try address(own), anonymous, named], except: own)
        #expect(schedule.takeDue(now: .zero) == [named, anonymous])
        #expect(schedule.takeDue(now: .seconds(1000)).isEmpty)
        #expect(schedule.nextDeadline == nil)
    }

    @Test("waits double from one second to a minute and never end")
    func backoff() throws {
        let address = try address(peer)
        var schedule = BootstrapSchedule([address], except: own)
        var now = Duration.zero
        var waits: [Int64] = []
        for _ in 0..<100 {
            #expect(schedule.takeDue(now: now) == [address])
            schedule.failed(address, reason: "refused", now: now, jitter: 0.5)
            let next = try #require(schedule.nextDeadline)
            waits.append((next - now).components.seconds)
            #expect(schedule.takeDue(now: next - .milliseconds(1)).isEmpty)
            now = next
        }
        #expect(waits.prefix(8) == [1, 2, 4, 8, 16, 32, 60, 60])
        #expect(waits.last == 60)
        #expect(schedule.targets.first?.failureCount == 100)
        #expect(schedule.targets.first?.lastFailure == "refused")
    }

    @Test("jitter spreads a wait by a quarter to both sides", arguments: [(0.0, 750), (1.0, 1250)])
    func jitter(value: Double, milliseconds: Int) throws {
        let address = try address(peer)
        var schedule = BootstrapSchedule([address], except: own)
        _ = schedule.takeDue(now: .zero)
        schedule.failed(address, reason: "refused", now: .zero, jitter: value)
        #expect(schedule.nextDeadline == .milliseconds(milliseconds))
    }

    @Test("a connected peer is left alone until it goes, and then dialed soon")
    func connected() throws {
        let address = try address(peer)
        var schedule = BootstrapSchedule([address], except: own)
        _ = schedule.takeDue(now: .zero)
        schedule.failed(address, reason: "refused", now: .zero, jitter: 0)
        schedule.connected(peer)
        #expect(schedule.nextDeadline == nil)
        #expect(schedule.targets.first?.lastFailure == "")
        schedule.disconnected(peer, now: .seconds(100))
        #expect(schedule.nextDeadline == .seconds(101))
    }

    @Test("an address without a peer id belongs to whoever answered there")
    func anonymous() throws {
        let address = try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/4003")
        var schedule = BootstrapSchedule([address], except: own)
        _ = schedule.takeDue(now: .zero)
        schedule.succeeded(address, peer: peer)
        #expect(schedule.targets.first?.isConnected == true)
        schedule.disconnected(peer, now: .seconds(5))
        #expect(schedule.nextDeadline == .seconds(6))
    }

    @Test("a dial that fails after the peer connected by itself changes nothing")
    func crossing() throws {
        let address = try address(peer)
        var schedule = BootstrapSchedule([address], except: own)
        _ = schedule.takeDue(now: .zero)
        schedule.connected(peer)
        schedule.failed(address, reason: "refused", now: .seconds(1), jitter: 0)
        #expect(schedule.nextDeadline == nil)
    }
}
