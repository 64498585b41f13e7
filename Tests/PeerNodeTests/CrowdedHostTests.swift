import LibP2P
import Multiformats
import PeerCrypto
import Synchronization
import Testing

@testable import PeerNode

/// Faults that were told, from whatever thread.
private final class Told: Sendable {
    let faults = Mutex<[NetworkFault]>([])
}

/// A host that keeps what it would log, and what strangers and peers need to reach it.
@NetworkActor
private struct LoggedHost {
    let host: Host
    let address: Multiaddr
    private let told: Told

    static func run(
        _ limits: HostLimits = .init(),
        key: SwarmKey? = nil,
        _ body: @NetworkActor (LoggedHost) async throws -> Void
    ) async throws {
        let told = Told()
        var configuration = HostConfiguration(
            identity: Ed25519.KeyPair(),
            listen: [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")],
            swarmKey: key
        )
        configuration.limits = limits
        configuration.onFault = { fault in told.faults.withLock { $0.append(fault) } }
        let host = Host(configuration)
        let address = try #require(try host.listen().first)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await host.run() }
            var failure: (any Error)?
            do {
                try await body(LoggedHost(host: host, address: address, told: told))
            } catch { failure = error }
            await host.stop(within: .zero)
            try await group.waitForAll()
            if let failure { throw failure }
        }
    }

    var faults: [NetworkFault] { told.faults.withLock { $0 } }

    /// The first fault that is told.
    func firstFault() async -> NetworkFault {
        while true {
            if let fault = faults.first { return fault }
            await Task.yield()
        }
    }

    func stranger() async throws -> RawChannel {
        let endpoint = try #require(address.tcpEndpoint)
        let socketAddress = try #require(SocketAddress(endpoint))
        return RawChannel(
            socket: try await Socket.connect(to: socketAddress, endpoint: endpoint),
            swarmKey: nil
        )
    }

    /// Dials the host as a peer of its own, which says why it could not; `body` is what it does there.
    func visit(
        key: SwarmKey? = nil,
        _ limits: HostLimits = .init(),
        _ body: @NetworkActor (Host) async throws(HostError) -> Void = { _ in }
    ) async throws -> PeerID {
        var configuration = HostConfiguration(identity: Ed25519.KeyPair(), listen: [], swarmKey: key)
        configuration.limits = limits
        let visitor = Host(configuration)
        _ = try visitor.listen()
        return try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await visitor.run() }
            var outcome: Result<PeerID, HostError>
            do throws(HostError) {
                _ = try await visitor.connect(to: address)
                _ = try await visitor.ping(host.localPeer)
                try await body(visitor)
                outcome = .success(visitor.localPeer)
            } catch { outcome = .failure(error) }
            await visitor.stop(within: .zero)
            try await group.waitForAll()
            return try outcome.get()
        }
    }
}

private func swarmKey(_ byte: UInt8) -> SwarmKey {
    SwarmKey(SecretBytes(copying: [UInt8](repeating: byte, count: 32)))
}

@Suite("A crowded host", .serialized)
struct CrowdedHostTests {
    @Test("Strangers that say nothing do not keep a new peer out", arguments: [true, false])
    func silentStrangers(limitsTheirAddress: Bool) async throws {
        var limits = HostLimits()
        limits.maxUpgradingCount = limitsTheirAddress ? 100 : 4
        limits.maxUpgradingCountPerAddress = limitsTheirAddress ? 4 : 100
        try await LoggedHost.run(limits) { crowded in
            var strangers: [RawChannel] = []
            for _ in 0..<10 { strangers.append(try await crowded.stranger()) }
            _ = try await crowded.visit()
            let name = ConnectionFault.displaced.name
            while crowded.host.status.counters["inbound handshakes failed"]?[name] != 7 {
                await Task.yield()
            }
            #expect(crowded.host.status.upgradingCount == 3)
            for stranger in strangers { stranger.socket.close() }
        }
    }

    @Test("Connections of one address have a share, and one that ends makes room")
    func share() async throws {
        var limits = HostLimits()
        limits.maxInboundCountPerAddress = 1
        try await LoggedHost.run(limits) { crowded in
            let upgrade = ConnectionUpgrade(identity: Ed25519.KeyPair(), swarmKey: nil)
            let held = try await upgrade.dial(try await crowded.stranger().socket, expecting: nil)
            while crowded.host.status.connectionCount == 0 { await Task.yield() }
            await #expect(throws: HostError.self) { try await crowded.visit() }
            held.channel.raw.socket.close()
            while crowded.host.status.connectionCount > 0 { await Task.yield() }
            _ = try await crowded.visit()
        }
    }

    @Test("The oldest handshake goes: of the address that has its share, or else of the one with the most")
    func table() throws {
        func network(_ text: String) throws -> RemoteNetwork {
            RemoteNetwork(try #require(try Multiaddr(parsing: text).tcpEndpoint))
        }
        let crowd = try network("/ip4/10.0.0.1/tcp/1")
        let other = try network("/ip4/10.0.0.2/tcp/1")
        var table = HandshakeTable()
        for number in 1...3 {
            let added = table.add(crowd, limit: 4, shareLimit: 3)
            #expect(added.number == number && added.displaced == nil)
        }
        #expect(table.add(crowd, limit: 4, shareLimit: 3).displaced == 1)
        #expect(table.add(other, limit: 4, shareLimit: 3).displaced == nil)
        #expect(table.add(other, limit: 4, shareLimit: 3).displaced == 2)
        table.remove(3)
        table.remove(3)
        #expect(table.count == 3)
        #expect(table.add(other, limit: 4, shareLimit: 3).displaced == nil)
        // One machine has all addresses of an IPv6 network of 64 bits.
        #expect(try network("/ip6/2001:db8::1/tcp/1") == network("/ip6/2001:db8::ffff:1/tcp/2"))
        #expect(try network("/ip6/2001:db8::1/tcp/1") != network("/ip6/2001:db8:0:1::1/tcp/1"))
    }
}

@Suite("Faults in the log", .serialized)
struct NetworkFaultTests {
    @Test("what is no negotiation is told with its address, and a hint at the key")
    func garbage() async throws {
        try await LoggedHost.run { logged in
            let stranger = try await logged.stranger()
            try await stranger.write(Array("GET / HTTP/1.1\r\n".utf8))
            let fault = await logged.firstFault()
            #expect(fault.kind == "inbound handshakes failed")
            #expect(fault.name == "negotiation failed")
            #expect(fault.reason.hasSuffix("does its network have a swarm.key?"))
            #expect(fault.remote.description.hasPrefix("/ip4/127.0.0.1/tcp/"))
            #expect(fault.peer == nil)
            #expect(NodeNetwork.level(of: fault) == .info, "a stranger is no peer")
            stranger.socket.close()
        }
    }

    @Test("a connection that ends for what its peer sent is told with the peer")
    func brokenMuxer() async throws {
        try await LoggedHost.run { logged in
            let key = Ed25519.KeyPair()
            let upgrade = ConnectionUpgrade(identity: key, swarmKey: nil)
            let channel = try await upgrade.dial(try await logged.stranger().socket, expecting: nil).channel
            try await channel.write([9] + [UInt8](repeating: 0, count: 11))
            let fault = await logged.firstFault()
            #expect(fault.kind == "connections ended")
            #expect(fault.reason == "yamux of version 9")
            #expect(fault.peer == PeerID(try PublicKey(ed25519: key.publicKey.bytes)))
            #expect(NodeNetwork.level(of: fault) == .warning)
        }
    }

    @Test("a connection that comes and goes is told nothing of")
    func ordinary() async throws {
        try await LoggedHost.run { logged in
            _ = try await logged.visit()
            while logged.host.status.connectionCount > 0 { await Task.yield() }
            #expect(logged.faults == [])
        }
    }

    @Test(
        "another swarm key, or one on one side only, is hinted at on both sides",
        arguments: [
            (UInt8(1), UInt8(2)), (1, nil), (nil, 2),
        ] as [(UInt8?, UInt8?)]
    )
    func wrongKey(here: UInt8?, there: UInt8?) async throws {
        var limits = HostLimits()
        limits.upgradeTimeout = .seconds(1)
        try await LoggedHost.run(limits, key: here.map(swarmKey)) { logged in
            let error = await #expect(throws: HostError.self) {
                try await logged.visit(key: there.map(swarmKey), limits)
            }
            #expect(error?.message.contains("swarm.key") == true, "\(String(describing: error))")
            #expect(await logged.firstFault().reason.contains("swarm.key"))
        }
    }

    @Test("bytes that are no message are a warning with their protocol")
    func malformedMessage() async throws {
        try await LoggedHost.run { logged in
            logged.host.protocols.serve("/test/1", maxStreamCount: 1) { _, stream in
                while let bytes = try await stream.readSlice() {
                    var reader = DelimitedReader(maxByteCount: 4)
                    var rest = bytes
                    _ = try reader.next(&rest)
                }
            }
            _ = try await logged.visit { visitor throws(HostError) in
                let stream = try await visitor.openMuxedStream(
                    to: logged.host.localPeer,
                    protocolIDs: ["/test/1"]
                )
                // What becomes of the stream is the host's to tell.
                try? await stream.write([9])
                _ = await logged.firstFault()
            }
            let fault = await logged.firstFault()
            #expect(fault.kind == "streams failed")
            #expect(fault.reason == "/test/1: a message of 9 bytes is over the limit of 4")
            #expect(NodeNetwork.level(of: fault) == .warning)
        }
    }

    @Test(
        "what a peer does against the protocols is misbehaviour; ends, limits and other programs are not",
        arguments: [
            (.noise(.badSignature), true), (.noise(.wrongPeer(.numbered(1))), true),
            (.noise(.decryptionFailed), true), (.noise(.publicKey(.length(3))), true),
            (.noise(.publicKey(.unsupportedType(0))), false), (.yamux(.tooManyPings), true),
            (.yamux(.frameType(9)), true), (.yamux(.keepaliveTimeout), false),
            (.yamux(.remoteGoAway(1)), false),
            (.multistream(.badLength), true), (.multistream(.noneAgreed), false), (.timedOut, false),
            (.ended, false), (.writeStalled, false), (.tooManyConnections, false), (.displaced, false),
            (.notUnderstood(.multistream(.badLength)), false),
        ] as [(ConnectionFault, Bool)]
    )
    func misbehaviour(_ fault: ConnectionFault, isMisbehaviour: Bool) {
        #expect(fault.isMisbehaviour == isMisbehaviour)
        // Of streams only the negotiation is their own.
        #expect(!StreamFault.connection(fault).isMisbehaviour)
    }

    @Test("a peer that lies about blocks or hoards memory is a warning, one that is silent is not")
    func exchangeLevels() {
        let peer = PeerID.numbered(1)
        #expect(NodeNetwork.level(of: .distrusted(peer, .falseBlock)) == .warning)
        #expect(NodeNetwork.level(of: .distrusted(peer, .brokenPromises)) == .warning)
        #expect(NodeNetwork.level(of: .distrusted(peer, .silence)) == .info)
        #expect(NodeNetwork.level(of: .hoarding(peer)) == .warning)
        #expect(NodeNetwork.level(of: .badMessage(peer, reason: "")) == .debug)
    }

    @Test("what is ordinary does not use up the lines of misbehaviour, and kinds are bounded")
    @NetworkActor
    func rations() throws {
        let told = Told()
        let remote = try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/1")
        let counters = NetworkCounters { fault in told.faults.withLock { $0.append(fault) } }
        for _ in 0..<100 { counters.count(.handlerFailed, "/a/1", because: "late", at: remote) }
        counters.count(.handlerFailed, "/a/1", because: "wrong", at: remote, isMisbehaviour: true)
        #expect(told.faults.withLock { $0.last?.isMisbehaviour } == true)
        var ration = LogRation()
        let now = ContinuousClock.now
        for kind in 0..<LogRation.maxKindCount { #expect(ration.spend("\(kind)", now: now) == 0) }
        #expect(ration.spend("another", now: now) == nil)
    }

    @Test("faults of one kind and reason are told of a few times, and then how many there were")
    @NetworkActor
    func limited() throws {
        let told = Told()
        let remote = try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/1")
        let counters = NetworkCounters { fault in told.faults.withLock { $0.append(fault) } }
        let start = ContinuousClock.now
        func fail(_ name: String, after delay: Duration) {
            counters.count(.upgradeFailed, name, because: "words", at: remote, now: start + delay)
        }
        for _ in 0..<25 { fail("one", after: .zero) }
        fail("other", after: .zero)
        fail("one", after: ConnectionLimits.logInterval)
        #expect(counters.snapshot == ["inbound handshakes failed": ["one": 26, "other": 1]])
        let faults = told.faults.withLock { $0 }
        #expect(faults.count == ConnectionLimits.maxLogLineCount + 2)
        #expect(faults.map(\.untoldCount).max() == 15)
        #expect(faults.last?.untoldCount == 15)
    }
}
