import LibP2P
import Multiformats
import PeerCrypto
import Testing

@testable import PeerNode

/// A host, a friend that is connected to it, and strangers that write what they like on sockets of their own.
@NetworkActor
private struct Siege {
    let host: Host
    let friend: Host
    private let endpoint: TCPEndpoint

    static func run(_ limits: HostLimits = .init(), _ body: @NetworkActor (Siege) async throws -> Void)
        async throws
    {
        var configuration = HostConfiguration(
            identity: Ed25519.KeyPair(),
            listen: [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/0")],
            servesDiagnostics: true
        )
        configuration.limits = limits
        let host = Host(configuration)
        let friend = Host(HostConfiguration(identity: Ed25519.KeyPair(), listen: []))
        let address = try #require(try host.listen().first)
        _ = try friend.listen()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await host.run() }
            group.addTask { await friend.run() }
            _ = try await friend.connect(to: address)
            let siege = Siege(host: host, friend: friend, endpoint: try #require(address.tcpEndpoint))
            var failure: (any Error)?
            do {
                try await body(siege)
                // Whatever the stranger did, the friend is served.
                #expect(try await friend.ping(host.localPeer) > .zero)
            } catch { failure = error }
            await host.stop(within: .zero)
            await friend.stop(within: .zero)
            try await group.waitForAll()
            if let failure { throw failure }
        }
    }

    /// A socket on which nothing was said yet.
    func stranger() async throws -> RawChannel {
        let address = try #require(SocketAddress(endpoint))
        return RawChannel(socket: try await Socket.connect(to: address, endpoint: endpoint), swarmKey: nil)
    }

    /// A stranger behind the handshake, in front of the muxer.
    func securedStranger() async throws -> SecuredChannel {
        let upgrade = ConnectionUpgrade(identity: Ed25519.KeyPair(), swarmKey: nil)
        return try await upgrade.dial(try await stranger().socket, expecting: nil).channel
    }

    func count(_ kind: String, _ reason: String) -> UInt64 { host.status.counters[kind]?[reason] ?? 0 }

    /// Reads until the other end closes.
    func drain(_ read: @NetworkActor () async throws -> [UInt8]) async {
        while (try? await read()) != nil {}
    }
}

/// Frames of yamux, by hand.
private func frame(_ type: UInt8, flags: UInt8, stream: UInt32, length: UInt32 = 0, body: [UInt8] = [])
    -> [UInt8]
{
    func bytes(_ number: UInt32) -> [UInt8] {
        (0..<4).map { UInt8(truncatingIfNeeded: number >> (24 - 8 * $0)) }
    }
    return [0, type, 0, flags] + bytes(stream) + bytes(body.isEmpty ? length : UInt32(body.count)) + body
}

private let data: UInt8 = 0
private let window: UInt8 = 1
private let ping: UInt8 = 2
private let syn: UInt8 = 1
private let rst: UInt8 = 8

@Suite("Hostile peers", .serialized)
struct HostilePeerTests {
    @Test(
        "A connection that stops in its handshake, at whatever byte, is closed in time and counted",
        arguments: [[], [0x13], [0x13] + Array("/multistream/1.0.0\n".utf8)]
    )
    func silent(said: [UInt8]) async throws {
        var limits = HostLimits()
        limits.upgradeTimeout = .milliseconds(300)
        try await Siege.run(limits) { siege in
            let stranger = try await siege.stranger()
            try await stranger.write(said)
            await siege.drain { try await stranger.read() }
            #expect(siege.count("inbound handshakes failed", "timed out") == 1)
        }
    }

    @Test(
        "What is no negotiation, or too long for one, ends the connection",
        arguments: [
            [0xff, 0xff, 0x03], Array("GET / HTTP/1.1\r\n".utf8),
            MultistreamMessage.encode("/multistream/2.0.0"),
        ]
    )
    func noNegotiation(said: [UInt8]) async throws {
        try await Siege.run { siege in
            let stranger = try await siege.stranger()
            try await stranger.write(said)
            await siege.drain { try await stranger.read() }
            #expect(siege.count("inbound handshakes failed", "negotiation failed") == 1)
        }
    }

    @Test("A handshake a byte at a time is given up in time, however steadily the bytes come")
    func slowHandshake() async throws {
        var limits = HostLimits()
        limits.upgradeTimeout = .milliseconds(300)
        try await Siege.run(limits) { siege in
            let stranger = try await siege.stranger()
            let greeting = ["/multistream/1.0.0", NoiseHandshake.protocolID]
            let said: [UInt8] = greeting.flatMap { MultistreamMessage.encode($0) } + [1, 0]
            let endless = said + [UInt8](repeating: 0, count: 256)
            for byte in endless {
                // The other end closes in the middle of this: a failed write is what is to be seen.
                guard (try? await stranger.write([byte])) != nil else { break }
                await NetworkActor.sleep(.milliseconds(10))
            }
            await siege.drain { try await stranger.read() }
            #expect(siege.count("inbound handshakes failed", "timed out") == 1)
        }
    }

    @Test("A connection that ends in the middle of its handshake is forgotten and counted")
    func truncatedHandshake() async throws {
        try await Siege.run { siege in
            let stranger = try await siege.stranger()
            try await stranger.write(MultistreamMessage.encode("/multistream/1.0.0"))
            stranger.socket.close()
            while siege.count("inbound handshakes failed", "closed by peer") == 0 {
                await NetworkActor.sleep(.milliseconds(1))
            }
            #expect(siege.host.status.connectionCount == 1)
        }
    }

    @Test("A connection that ends in the middle of a frame is forgotten and counted")
    func truncatedFrame() async throws {
        try await Siege.run { siege in
            let stranger = try await siege.securedStranger()
            let whole = frame(data, flags: syn, stream: 1, body: [1, 2, 3])
            try await stranger.write(Array(whole.dropLast()))
            stranger.raw.socket.close()
            // Closed with bytes unread, it says reset and not end.
            while siege.host.status.connectionCount > 1 { await NetworkActor.sleep(.milliseconds(1)) }
            let ended = siege.host.status.counters["connections ended"]?.values.reduce(0, +)
            #expect(ended == 1)
        }
    }

    @Test("A message that was altered, cut out or put in on the way ends its connection, counted")
    func foreignMessage() async throws {
        try await Siege.run { siege in
            let stranger = try await siege.securedStranger()
            try await stranger.raw.write([0, 32] + [UInt8](repeating: 7, count: 32))
            await siege.drain { try await stranger.read() }
            #expect(siege.count("connections ended", "security failed") == 1)
            #expect(siege.host.status.connectionCount == 1)
        }
    }

    @Test(
        "Frames of another version, of no kind, or beyond the window end their connection, counted",
        arguments: [
            [UInt8]([1]) + Array(frame(ping, flags: syn, stream: 0).dropFirst()),
            frame(9, flags: 0, stream: 1),
            frame(data, flags: syn, stream: 2, body: [1]),
            frame(data, flags: syn, stream: 1, length: 262_145),
        ]
    )
    func brokenFrames(said: [UInt8]) async throws {
        try await Siege.run { siege in
            let stranger = try await siege.securedStranger()
            try await stranger.write(said)
            await siege.drain { try await stranger.read() }
            #expect(siege.count("connections ended", "muxer protocol error") == 1)
            #expect(siege.host.status.connectionCount == 1)
        }
    }

    @Test("A half-open connection, whose peer answers nothing any more, is given up and counted")
    func halfOpen() async throws {
        var limits = HostLimits()
        limits.muxer.keepaliveInterval = .milliseconds(50)
        limits.muxer.keepaliveTimeout = .milliseconds(200)
        try await Siege.run(limits) { siege in
            let stranger = try await siege.securedStranger()
            await siege.drain { try await stranger.read() }
            #expect(siege.count("connections ended", "keepalive timeout") == 1)
        }
    }

    @Test("A peer that reads nothing is written no more than its window, and is served on when it reads")
    func readsNothing() async throws {
        try await Siege.run { siege in
            let stranger = try await siege.securedStranger()
            let names: [UInt8] = ["/multistream/1.0.0", "/bench/source/1"].flatMap {
                MultistreamMessage.encode($0)
            }
            let asked: [UInt8] = [0, 0, 0, 0, 0x10, 0, 0, 0]  // 256 MiB
            try await stranger.write(frame(data, flags: syn, stream: 1, body: names + asked))
            try await stranger.write(frame(ping, flags: syn, stream: 0, length: 7))
            var received = 0
            // 20 MB of grants that nobody waits for: what is sent stays what the socket takes.
            for _ in 0..<20 { try await stranger.write(frame(window, flags: 0, stream: 1, length: 1 << 20)) }
            for _ in 0..<50 { #expect(try await siege.friend.ping(siege.host.localPeer) > .zero) }
            while received < 20 << 20 { received += try await stranger.read().count }
        }
    }

    @Test("Connections beyond the limit are closed, and the peers that are there stay")
    func tooManyConnections() async throws {
        var limits = HostLimits()
        limits.maxConnectionCount = 1
        try await Siege.run(limits) { siege in
            for _ in 0..<5 {
                let stranger = try await siege.stranger()
                await siege.drain { try await stranger.read() }
            }
            #expect(siege.count("inbound handshakes failed", "too many connections") == 5)
            #expect(siege.host.status.connectionCount == 1)
        }
    }

    @Test("A stream that names no protocol in time is reset and counted; its connection lives")
    func silentStream() async throws {
        var limits = HostLimits()
        limits.negotiationTimeout = .milliseconds(300)
        try await Siege.run(limits) { siege in
            let stranger = try await siege.securedStranger()
            try await stranger.write(frame(window, flags: syn, stream: 1))
            while siege.count("streams refused", "negotiation timed out") == 0 {
                _ = try await stranger.read()
            }
            #expect(siege.host.status.connectionCount == 2)
        }
    }

    @Test("A proposal a byte at a time is given up in time, and its connection lives")
    func slowProposal() async throws {
        var limits = HostLimits()
        limits.negotiationTimeout = .milliseconds(300)
        try await Siege.run(limits) { siege in
            let stranger = try await siege.securedStranger()
            try await stranger.write(frame(window, flags: syn, stream: 1))
            let names = ["/multistream/1.0.0", String(repeating: "x", count: 1_000)]
            let proposal: [UInt8] = names.flatMap { MultistreamMessage.encode($0) }
            for byte in proposal {
                guard siege.count("streams refused", "negotiation timed out") == 0 else { break }
                try await stranger.write(frame(data, flags: 0, stream: 1, body: [byte]))
                await NetworkActor.sleep(.milliseconds(10))
            }
            #expect(siege.count("streams refused", "negotiation timed out") == 1)
            #expect(siege.host.status.connectionCount == 2)
        }
    }

    @Test("Streams of one protocol beyond its limit are reset and counted")
    func pingStreamFlood() async throws {
        try await Siege.run { siege in
            let stranger = try await siege.securedStranger()
            let names: [UInt8] = ["/multistream/1.0.0", PingAsker.protocolID].flatMap {
                MultistreamMessage.encode($0)
            }
            for number in 0..<UInt32(Host.maxPingStreamCount + 5) {
                try await stranger.write(frame(data, flags: syn, stream: 2 * number + 1, body: names))
            }
            while siege.count("streams refused", PingAsker.protocolID) < 5 { _ = try await stranger.read() }
            #expect(siege.count("streams refused", PingAsker.protocolID) == 5)
        }
    }

    @Test("A proposal longer than 1024 bytes resets its stream; the connection lives")
    func longProposal() async throws {
        try await Siege.run { siege in
            let stranger = try await siege.securedStranger()
            try await stranger.write(frame(data, flags: syn, stream: 1, body: [0xff, 0xff, 0x03]))
            while siege.count("streams refused", "negotiation failed") == 0 { _ = try await stranger.read() }
            #expect(siege.host.status.connectionCount == 2)
        }
    }

    @Test("An identify push longer than its limit resets its stream; the connection lives")
    func longPush() async throws {
        try await Siege.run { siege in
            let stranger = try await siege.securedStranger()
            let names = ["/multistream/1.0.0", IdentifyMessage.pushProtocolID]
            let negotiation = names.flatMap { MultistreamMessage.encode($0) }
            try await stranger.write(
                frame(data, flags: syn, stream: 1, body: negotiation + [0xff, 0xff, 0x7f])
            )
            while siege.count("streams failed", IdentifyMessage.pushProtocolID) == 0 {
                _ = try await stranger.read()
            }
            #expect(siege.host.status.connectionCount == 2)
        }
    }

    @Test("Streams beyond the limit are refused, and no more are held")
    func streamFlood() async throws {
        try await Siege.run { siege in
            let limit = YamuxLimits().maxInboundStreamCount
            let stranger = try await siege.securedStranger()
            let opened = (0..<UInt32(limit + 100)).flatMap { frame(window, flags: syn, stream: 2 * $0 + 1) }
            try await stranger.write(opened)
            while siege.count("streams refused", "too many streams") < 100 { _ = try await stranger.read() }
            #expect(siege.count("streams refused", "too many streams") == 100)
        }
    }

    @Test(
        "A flood of pings, resets or empty frames ends its connection, counted",
        arguments: ["pings", "resets", "empty frames"]
    )
    func flood(of kind: String) async throws {
        try await Siege.run { siege in
            let stranger = try await siege.securedStranger()
            var number: UInt32 = 1
            func piece() -> [UInt8] {
                (0..<1_000).flatMap { _ -> [UInt8] in
                    switch kind {
                    case "pings": return frame(ping, flags: syn, stream: 0, length: 7)
                    case "resets":
                        defer { number += 2 }
                        return frame(window, flags: syn, stream: number)
                            + frame(window, flags: rst, stream: number)
                    default: return frame(data, flags: number == 1 ? syn : 0, stream: 1)
                    }
                }
            }
            // The other end closes before it has read all of this: a failed write is what is to be seen.
            for _ in 0..<20 { guard (try? await stranger.write(piece())) != nil else { break } }
            await siege.drain { try await stranger.read() }
            #expect(siege.count("connections ended", "muxer protocol error") == 1)
            #expect(siege.host.status.connectionCount == 1)
        }
    }
}
