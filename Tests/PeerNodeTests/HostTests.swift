import Glibc
import LibP2P
import Multiformats
import PeerCrypto
import Testing

@testable import PeerNode

/// Two hosts on loopback, with everything between them real: sockets, handshake, muxer.
private struct HostPair {
    let first: Host
    let second: Host
    let address: Multiaddr

    static func run(
        _ listen: String = "/ip4/127.0.0.1/tcp/0",
        keys: (SwarmKey?, SwarmKey?) = (nil, nil),
        _ body: (HostPair) async throws -> Void
    ) async throws {
        let first = host(keys.0, listen: [])
        let second = host(keys.1, listen: [try Multiaddr(parsing: listen)])
        _ = try await first.listen()
        let address = try #require(try await second.listen().first)
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await first.run() }
            group.addTask { await second.run() }
            let outcome = await Result {
                try await body(HostPair(first: first, second: second, address: address))
            }
            await first.stop(within: .zero)
            await second.stop(within: .zero)
            try await group.waitForAll()
            try outcome.get()
        }
    }

    private static func host(_ key: SwarmKey?, listen: [Multiaddr]) -> Host {
        Host(
            HostConfiguration(
                identity: Ed25519.KeyPair(),
                listen: listen,
                swarmKey: key,
                agent: "test/1",
                servesDiagnostics: true
            )
        )
    }
}

extension Result where Failure == any Error {
    fileprivate init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}

private func swarmKey(_ byte: UInt8) -> SwarmKey {
    SwarmKey(SecretBytes(copying: [UInt8](repeating: byte, count: 32)))
}

/// The loopback addresses of this machine: containers often have no IPv6.
private func loopbackAddresses() -> [String] {
    let socket = socket(AF_INET6, Int32(SOCK_STREAM.rawValue), 0)
    defer { if socket >= 0 { close(socket) } }
    var address = sockaddr_in6()
    address.sin6_family = sa_family_t(AF_INET6)
    address.sin6_addr = in6addr_loopback
    let hasIPv6 = withUnsafePointer(to: &address) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
            bind(socket, $0, socklen_t(MemoryLayout<sockaddr_in6>.size)) == 0
        }
    }
    return ["/ip4/127.0.0.1/tcp/0"] + (hasIPv6 ? ["/ip6/::1/tcp/0"] : [])
}

@Suite("Host", .serialized)
struct HostTests {
    @Test("A connection identifies both ends", arguments: loopbackAddresses())
    func identify(listen: String) async throws {
        try await HostPair.run(listen) { pair in
            var events = await pair.second.peerEvents().makeAsyncIterator()
            #expect(try await pair.first.connect(to: pair.address) == pair.second.localPeer)
            #expect(await events.next() == .connected(pair.first.localPeer))
            guard case .identified(let peer, let protocols, let record) = await events.next() else {
                throw HostError(.interrupted, "no identify")
            }
            #expect(peer == pair.first.localPeer && protocols.contains("/ipfs/ping/1.0.0"))
            let signed = try SignedPeerRecord.decode(try #require(record))
            #expect(signed.record.peer == pair.first.localPeer)
            let known = try #require(await pair.second.connectedPeers().first)
            #expect(known.agent == "test/1" && known.isInbound)
            await pair.first.disconnect(pair.second.localPeer)
            #expect(await events.next() == .disconnected(pair.first.localPeer))
        }
    }

    @Test("2 MB are echoed under flow control, in a private network too", arguments: [false, true])
    func echo(isPrivate: Bool) async throws {
        let key = isPrivate ? swarmKey(1) : nil
        try await HostPair.run(keys: (key, key)) { pair in
            let peer = try await pair.first.connect(to: pair.address)
            let stream = try await pair.first.openMuxedStream(to: peer, protocolIDs: ["/bench/echo/1"])
            let sent = (0..<2_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 4) }
            async let writing: Void = {
                try await stream.write(sent)
                await stream.closeWrite()
            }()
            var received: [UInt8] = []
            while let bytes = try await stream.readSlice() { received += bytes }
            try await writing
            #expect(received == sent)
        }
    }

    @Test("An echo call counts what came back, with a half-close and without", arguments: [false, true])
    func echoCall(halfCloses: Bool) async throws {
        try await HostPair.run { pair in
            let peer = try await pair.first.connect(to: pair.address)
            let stream = try await pair.first.openMuxedStream(to: peer, protocolIDs: [EchoCall.protocolID])
            let call = EchoCall(stream: stream, byteCount: 700_001, halfCloses: halfCloses)
            #expect(try await call.run() == 700_001)
        }
    }

    @Test("An echo call refuses an echo with one wrong byte", arguments: [0, 65_520, 65_521, 300_000])
    func wrongEcho(offset: Int) async throws {
        try await HostPair.run { pair in
            await pair.second.serve("/liar/1") { _, stream in
                var received = 0
                while var bytes = try await stream.read(atMost: 1 << 20) {
                    if bytes.indices.contains(offset - received) { bytes[offset - received] ^= 1 }
                    received += bytes.count
                    try await stream.write(bytes)
                }
            }
            let peer = try await pair.first.connect(to: pair.address)
            let stream = try await pair.first.openMuxedStream(to: peer, protocolIDs: ["/liar/1"])
            let call = EchoCall(stream: stream, byteCount: 700_001, halfCloses: true)
            await #expect(throws: NodeError.self) { try await call.run() }
        }
    }

    @Test("Peers with different swarm keys, or one without, do not connect", arguments: [UInt8(2), nil])
    func wrongSwarmKey(second: UInt8?) async throws {
        try await HostPair.run(keys: (swarmKey(1), second.map(swarmKey))) { pair in
            await #expect(throws: HostError.self) { try await pair.first.connect(to: pair.address) }
            #expect(await pair.second.connectedPeers().isEmpty)
            let counters = await pair.second.status.counters
            #expect(counters["inbound handshakes failed"]?.values.reduce(0, +) == 1)
        }
    }

    @Test("A dialer expecting another peer refuses the one that answers")
    func wrongPeer() async throws {
        try await HostPair.run { pair in
            let other = PeerID(try PublicKey(ed25519: Ed25519.KeyPair().publicKey.bytes))
            let address = pair.address.with(peer: other)
            let error = await #expect(throws: HostError.self) { try await pair.first.connect(to: address) }
            #expect(error?.code == .wrongPeer)
            #expect(await pair.first.status.counters["dials failed"]?["wrong peer id"] == 1)
        }
    }

    @Test("A protocol that the peer lacks is refused, and the connection lives on")
    func refusedProtocol() async throws {
        try await HostPair.run { pair in
            let peer = try await pair.first.connect(to: pair.address)
            let error = await #expect(throws: HostError.self) {
                try await pair.first.openMuxedStream(to: peer, protocolIDs: ["/nosuch/1", "/nosuch/2"])
            }
            #expect(error?.code == .protocolsRefused)
            #expect(try await pair.first.ping(peer) > .zero)
        }
    }

    @Test("A handler that throws resets its stream; one that returns ends it; neither harms others")
    func handlers() async throws {
        try await HostPair.run { pair in
            await pair.second.serve("/throws/1") { _, _ in throw CancellationError() }
            await pair.second.serve("/returns/1") { _, stream in try await stream.write([1, 2, 3]) }
            let peer = try await pair.first.connect(to: pair.address)
            let returning = try await pair.first.openMuxedStream(to: peer, protocolIDs: ["/returns/1"])
            #expect(try await returning.read(atMost: 10) == [1, 2, 3])
            #expect(try await returning.read(atMost: 10) == nil)
            let throwing = try await pair.first.openMuxedStream(to: peer, protocolIDs: ["/throws/1"])
            await #expect(throws: StreamFault.resetByPeer(code: 0)) { try await throwing.readSlice() }
            #expect(try await pair.first.ping(peer) > .zero)
        }
    }

    @Test("A writer waits for a reader that does not read, and a stalled stream stalls no other")
    func backpressure() async throws {
        try await HostPair.run { pair in
            let gate = AsyncStream<Void>.makeStream()
            await pair.second.serve("/slow/1") { _, stream in
                for await _ in gate.stream { break }
                while try await stream.read(atMost: 1 << 20) != nil {}
                try await stream.write([1])
            }
            let peer = try await pair.first.connect(to: pair.address)
            let stream = try await pair.first.openMuxedStream(to: peer, protocolIDs: ["/slow/1"])
            let written = Atomics()
            async let writing: Void = {
                for _ in 0..<32 {
                    try await stream.write([UInt8](repeating: 0, count: 65_536))
                    await written.add(65_536)
                }
                await stream.closeWrite()
            }()
            #expect(try await pair.first.ping(peer) > .zero)
            #expect(try await pair.first.ping(peer) > .zero)
            // The peer's window and this end's queue, 256 KiB each, and the piece being written.
            #expect(await written.value <= 2 * 262_144 + 65_536)
            gate.continuation.yield()
            #expect(try await stream.read(atMost: 1) == [1])
            try await writing
        }
    }

    @Test("Pings whose answers nobody reads stop at windows and queues; all are answered in the end")
    func unreadPings() async throws {
        try await HostPair.run { pair in
            let peer = try await pair.first.connect(to: pair.address)
            let stream = try await pair.first.openMuxedStream(to: peer, protocolIDs: [PingAsker.protocolID])
            let written = Atomics()
            async let writing: Void = {
                for _ in 0..<256 {
                    try await stream.write([UInt8](repeating: 5, count: 65_536))
                    await written.add(65_536)
                }
                await stream.closeWrite()
            }()
            for _ in 0..<20 { #expect(try await pair.first.ping(peer) > .zero) }
            // Two windows and two queues of 256 KiB each; the one window may grow while the first queue fills.
            #expect(await written.value <= 4 << 20)
            var count = 0
            while let bytes = try await stream.readSlice() { count += bytes.count }
            try await writing
            #expect(count == 256 * 65_536)
        }
    }

    @Test("A ping stream that is half-closed or reset is gone, and counts no more", arguments: [false, true])
    func endedPings(isReset: Bool) async throws {
        try await HostPair.run { pair in
            let peer = try await pair.first.connect(to: pair.address)
            let ping = (0..<32).map { UInt8($0) }
            let count = 2 * (await Host.maxPingStreamCount)
            for _ in 0..<count {
                let stream = try await pair.first.openMuxedStream(
                    to: peer,
                    protocolIDs: [PingAsker.protocolID]
                )
                try await stream.write(ping + ping[..<9])
                if !isReset { await stream.closeWrite() }
                var answer: [UInt8] = []
                while answer.count < 32, let bytes = try await stream.readSlice() { answer += bytes }
                #expect(answer == ping)
                if isReset { await stream.reset() } else { #expect(try await stream.readSlice() == nil) }
            }
            #expect(try await pair.first.ping(peer) > .zero)
            let failed = await pair.second.status.counters["streams failed"]?[PingAsker.protocolID]
            #expect(failed == (isReset ? UInt64(count) : nil))
            #expect(await pair.second.status.counters["streams refused"] == nil)
        }
    }

    @Test("A stream whose responder waits in vain is reset and counted; the connection lives on")
    func idleResponder() async throws {
        try await HostPair.run { pair in
            await pair.second.protocols.serve("/impatient/1", maxStreamCount: 1) { Impatient(now: $0) }
            let peer = try await pair.first.connect(to: pair.address)
            let stream = try await pair.first.openMuxedStream(to: peer, protocolIDs: ["/impatient/1"])
            await #expect(throws: StreamFault.resetByPeer(code: 0)) { try await stream.readSlice() }
            #expect(await pair.second.status.counters["streams failed"]?["/impatient/1"] == 1)
            #expect(try await pair.first.ping(peer) > .zero)
        }
    }

    @Test("A cancelled read ends, and resets its stream")
    func cancelledRead() async throws {
        try await HostPair.run { pair in
            let peer = try await pair.first.connect(to: pair.address)
            let stream = try await pair.first.openMuxedStream(to: peer, protocolIDs: ["/bench/echo/1"])
            await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { _ = try await stream.readSlice() }
                group.cancelAll()
                await #expect(throws: StreamFault.cancelled) { try await group.next() }
            }
        }
    }

    @Test("A lost connection fails its streams at the other end")
    func lostConnection() async throws {
        try await HostPair.run { pair in
            let peer = try await pair.first.connect(to: pair.address)
            let stream = try await pair.first.openMuxedStream(to: peer, protocolIDs: ["/bench/echo/1"])
            await pair.second.disconnect(pair.first.localPeer)
            await #expect(throws: StreamFault.self) { try await stream.readSlice() }
            await #expect(throws: StreamFault.self) { try await stream.write([1]) }
        }
    }

    @Test("A host that stops lets open streams end, and takes no new ones")
    func gracefulStop() async throws {
        try await HostPair.run { pair in
            let peer = try await pair.first.connect(to: pair.address)
            let stream = try await pair.first.openMuxedStream(to: peer, protocolIDs: ["/bench/echo/1"])
            try await stream.write([1, 2, 3])
            #expect(try await stream.readSlice() == [1, 2, 3])
            async let stopping: Void = pair.second.stop(within: .seconds(10))
            try await stream.write([4, 5, 6])
            #expect(try await stream.readSlice() == [4, 5, 6])
            await stream.closeWrite()
            #expect(try await stream.readSlice() == nil)
            await stopping
            #expect(await pair.second.connectedPeers().isEmpty)
            await #expect(throws: HostError.self) { try await pair.first.connect(to: pair.address) }
        }
    }

    @Test("Sixty connections one after another all come up: no wake-up is lost on the way")
    func manyConnections() async throws {
        try await HostPair.run { pair in
            for _ in 0..<60 {
                let peer = try await pair.first.connect(to: pair.address)
                #expect(try await pair.first.ping(peer) > .zero)
                await pair.first.disconnect(peer)
            }
            #expect(await pair.second.status.counters["connections opened"]?["inbound"] == 60)
        }
    }

    @Test("Two hundred streams at once each get their own bytes back")
    func manyStreams() async throws {
        try await HostPair.run { pair in
            let peer = try await pair.first.connect(to: pair.address)
            let answers = try await withThrowingTaskGroup(of: Bool.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        let sent = [UInt8](repeating: UInt8(number), count: 10_000 + number)
                        let stream = try await pair.first.openMuxedStream(
                            to: peer,
                            protocolIDs: ["/bench/echo/1"]
                        )
                        try await stream.write(sent)
                        await stream.closeWrite()
                        var received: [UInt8] = []
                        while let bytes = try await stream.readSlice() { received += bytes }
                        return received == sent
                    }
                }
                return try await group.reduce(into: 0) { $0 += $1 ? 1 : 0 }
            }
            #expect(answers == 200)
        }
    }

    @Test(
        "What cannot be listened on is said so",
        arguments: ["/ip4/127.0.0.1/udp/1", "/dns4/localhost/tcp/0"]
    )
    func badListenAddress(text: String) async throws {
        let host = Host(
            HostConfiguration(identity: Ed25519.KeyPair(), listen: [try Multiaddr(parsing: text)])
        )
        let error = await #expect(throws: HostError.self) { try await host.listen() }
        #expect(error?.code == .cannotListen)
    }

    @Test("A port in use is refused with the system's reason")
    func portInUse() async throws {
        try await HostPair.run { pair in
            let host = Host(HostConfiguration(identity: Ed25519.KeyPair(), listen: [pair.address]))
            let error = await #expect(throws: HostError.self) { try await host.listen() }
            #expect(error?.message.contains("Address already in use") == true)
        }
    }

    @Test("An unreachable address fails with the reason, and a peer without address with another")
    func unreachable() async throws {
        try await HostPair.run { pair in
            let address = try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/1")
            let error = await #expect(throws: HostError.self) { try await pair.first.connect(to: address) }
            #expect(error?.code == .unreachable && error?.message.contains("Connection refused") == true)
            let stranger = PeerID(try PublicKey(ed25519: Ed25519.KeyPair().publicKey.bytes))
            let other = await #expect(throws: HostError.self) {
                try await pair.first.openMuxedStream(to: stranger, protocolIDs: ["/x"])
            }
            #expect(other?.code == .noAddress)
        }
    }

    @Test("A host that dials itself does not connect")
    func dialsItself() async throws {
        try await HostPair.run { pair in
            await #expect(throws: HostError.self) { try await pair.second.connect(to: pair.address) }
        }
    }
}

/// Answers nothing, and waits only a moment.
private struct Impatient: StreamResponder {
    let nextDeadline: Duration
    init(now: Duration) { nextDeadline = now + .milliseconds(50) }
    mutating func receive(_: ArraySlice<UInt8>, now _: Duration) -> ArraySlice<UInt8> { [] }
}

private actor Atomics {
    private(set) var value = 0
    func add(_ count: Int) { value += count }
}
