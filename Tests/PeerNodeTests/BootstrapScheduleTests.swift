import Multiformats
import PeerNode
import Testing

@Suite("Bootstrap schedule")
struct BootstrapScheduleTests {
    private let own = PeerID.numbered(1)
    private let first = PeerID.numbered(2)
    private let second = PeerID.numbered(3)

    private func address(_ peer: PeerID, port: Int = 4001) throws -> Multiaddr {
        try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/\(port)/p2p/\(peer)")
    }

    @Test("every peer is due at once, with all its addresses, and this node itself never")
    func start() throws {
        var schedule = BootstrapSchedule(
            [
                try address(first), try address(second), try address(first, port: 4002), try address(own),
                try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/4001"),
            ],
            except: own
        )
        let due = schedule.takeDue(now: .zero)
        #expect(due.map(\.peer) == [first, second])
        #expect(
            due.first?.addresses == [
                try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/4001"), try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/4002"),
            ]
        )
        #expect(schedule.takeDue(now: .seconds(1000)).isEmpty)
        #expect(schedule.nextDeadline == nil)
    }

    @Test("waits double from one second to a minute and never end")
    func backoff() throws {
        var schedule = BootstrapSchedule([try address(first)], except: own)
        var now = Duration.zero
        var waits: [Duration] = []
        for _ in 0..<100 {
            #expect(schedule.takeDue(now: now).count == 1)
            schedule.failed(first, reason: "refused", now: now, jitter: 0.5)
            let next = try #require(schedule.nextDeadline)
            waits.append(next - now)
            #expect(schedule.takeDue(now: next - .milliseconds(1)).isEmpty)
            now = next
        }
        let seconds = waits.prefix(8).map(\.components.seconds)
        #expect(seconds == [1, 2, 4, 8, 16, 32, 60, 60])
        #expect(waits.last == .seconds(60))
        #expect(schedule.targets.first?.failureCount == 100)
        #expect(schedule.targets.first?.lastFailure == "refused")
    }

    @Test("jitter spreads a wait by a quarter to both sides", arguments: [(0.0, 750), (1.0, 1250)])
    func jitter(value: Double, milliseconds: Int) throws {
        var schedule = BootstrapSchedule([try address(first)], except: own)
        _ = schedule.takeDue(now: .zero)
        schedule.failed(first, reason: "refused", now: .zero, jitter: value)
        #expect(schedule.nextDeadline == .milliseconds(milliseconds))
    }

    @Test("a connected peer is left alone until it goes, and then dialed soon")
    func connected() throws {
        var schedule = BootstrapSchedule([try address(first)], except: own)
        _ = schedule.takeDue(now: .zero)
        schedule.failed(first, reason: "refused", now: .zero, jitter: 0)
        schedule.connected(first)
        #expect(schedule.nextDeadline == nil)
        #expect(schedule.targets.first?.lastFailure == "")
        schedule.disconnected(first, now: .seconds(100))
        #expect(schedule.nextDeadline == .seconds(101))
    }

    @Test("a dial that fails after the peer connected by itself changes nothing")
    func crossing() throws {
        var schedule = BootstrapSchedule([try address(first)], except: own)
        _ = schedule.takeDue(now: .zero)
        schedule.connected(first)
        schedule.failed(first, reason: "refused", now: .seconds(1), jitter: 0)
        #expect(schedule.nextDeadline == nil)
    }
}
