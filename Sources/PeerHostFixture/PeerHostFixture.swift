import Glibc
import LibP2P
import Multiformats
import PeerCrypto
import PeerNode

/// A bare host for interop tests and wire benchmarks: listens with diagnostics, or dials and exercises a peer.
///
///     PeerHostFixture --listen /ip4/127.0.0.1/tcp/0 [--seed HEX] [--swarm-key FILE]
///     PeerHostFixture --dial ADDRESS [--ping N] [--echo PROTOCOL:BYTES] [--upload MIB] [--download MIB] [--opens N]
@main
struct PeerHostFixture {
    private var listen: [Multiaddr] = []
    private var dial: Multiaddr?
    private var steps: [(name: String, value: String)] = []
    private var seed = RandomBytes.make(Ed25519.seedByteCount)
    private var swarmKey: SwarmKey?

    nonisolated static func main() async throws {
        let fixture = try PeerHostFixture(arguments: Array(CommandLine.arguments.dropFirst()))
        let host = Host(
            HostConfiguration(
                identity: Ed25519.KeyPair(seed: SecretBytes(copying: fixture.seed)),
                listen: fixture.listen,
                swarmKey: fixture.swarmKey,
                agent: "peernode-fixture",
                servesDiagnostics: true
            )
        )
        for address in try await host.listen() { print(address) }
        fflush(nil)
        await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await host.run() }
            guard let target = fixture.dial else { return }
            do {
                try await fixture.exercise(host, target)
            } catch {
                print("FAIL \(error)")
                exit(1)
            }
            await host.stop()
        }
    }

    private init(arguments: [String]) throws {
        var rest = arguments[...]
        while let option = rest.popFirst(), let value = rest.popFirst() {
            switch option {
            case "--listen": listen.append(try Multiaddr(parsing: value))
            case "--dial": dial = try Multiaddr(parsing: value)
            case "--seed": seed = Self.hex(value)
            case "--swarm-key": swarmKey = try SwarmKey(file: Self.contents(of: value))
            default: steps.append((option, value))
            }
        }
    }

    private func exercise(_ host: Host, _ target: Multiaddr) async throws {
        let peer = try await host.connect(to: target)
        print("connected \(peer)")
        for (name, value) in steps {
            switch name {
            case "--ping": try await ping(host, peer, Int(value) ?? 1)
            case "--echo": try await echo(host, peer, value)
            case "--upload": try await upload(host, peer, mebibytes: Int(value) ?? 1)
            case "--download": try await download(host, peer, mebibytes: Int(value) ?? 1)
            case "--opens": try await opens(host, peer, Int(value) ?? 1)
            case "--identify": await identify(host, peer)
            default: throw HostError(.noAddress, "unknown option \(name)")
            }
        }
    }

    private func identify(_ host: Host, _ peer: PeerID) async {
        for _ in 0..<100 {
            if let known = await host.connectedPeers().first(where: { $0.id == peer }),
                !known.protocols.isEmpty
            {
                return print("identified \(known.agent) \(known.protocols.joined(separator: " "))")
            }
            usleep(20_000)
        }
        print("FAIL not identified")
    }

    private func ping(_ host: Host, _ peer: PeerID, _ count: Int) async throws {
        for _ in 0..<count { print("ping \(try await host.ping(peer))") }
    }

    private func opens(_ host: Host, _ peer: PeerID, _ count: Int) async throws {
        let start = ContinuousClock.now
        for _ in 0..<count { _ = try await host.ping(peer) }
        report(
            "open+ping+close",
            start,
            "\(Int(Double(count) / ((ContinuousClock.now - start) / .seconds(1)))) streams/s"
        )
    }

    private func echo(_ host: Host, _ peer: PeerID, _ value: String) async throws {
        let parts = value.split(separator: ":")
        let byteCount = parts.count > 1 ? Int(parts[1]) ?? 1 : 1
        let stream = try await host.openMuxedStream(to: peer, protocolIDs: [String(parts[0])])
        let sent = (0..<byteCount).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }
        let start = ContinuousClock.now
        async let writing: Void = {
            try await stream.write(sent)
            if parts.last != "open" { await stream.closeWrite() }
        }()
        var received: [UInt8] = []
        while received.count < byteCount, let bytes = try await stream.readSlice() { received += bytes }
        try await writing
        guard received == sent else {
            throw HostError(.interrupted, "echo differs after \(received.count) bytes")
        }
        report("echo", start, "\(byteCount) bytes")
        await stream.reset()
    }

    private func upload(_ host: Host, _ peer: PeerID, mebibytes: Int) async throws {
        let stream = try await host.openMuxedStream(to: peer, protocolIDs: ["/bench/sink/1"])
        let start = ContinuousClock.now
        try await stream.write(Self.bigEndian(mebibytes << 20))
        let chunk = [UInt8](repeating: 0, count: 1 << 18)
        for _ in 0..<(mebibytes << 2) { try await stream.write(chunk) }
        guard try await stream.readSlice()?.first == 1 else { throw HostError(.interrupted, "no answer") }
        report("upload", start, Self.rate(mebibytes, start))
        await stream.closeWrite()
    }

    private func download(_ host: Host, _ peer: PeerID, mebibytes: Int) async throws {
        let stream = try await host.openMuxedStream(to: peer, protocolIDs: ["/bench/source/1"])
        let start = ContinuousClock.now
        try await stream.write(Self.bigEndian(mebibytes << 20))
        var left = mebibytes << 20
        while left > 0, let bytes = try await stream.readSlice() { left -= bytes.count }
        guard left == 0 else { throw HostError(.interrupted, "\(left) bytes are missing") }
        report("download", start, Self.rate(mebibytes, start))
        await stream.closeWrite()
    }

    private func report(_ name: String, _ start: ContinuousClock.Instant, _ what: String) {
        print("\(name): \(what) in \(ContinuousClock.now - start)")
    }

    private static func rate(_ mebibytes: Int, _ start: ContinuousClock.Instant) -> String {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let cpu =
            Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + Double(
                usage.ru_utime.tv_usec + usage.ru_stime.tv_usec
            ) / 1e6
        let rate = Double(mebibytes << 20) / ((ContinuousClock.now - start) / .seconds(1)) / 1e6
        return "\(mebibytes) MiB, \(Int(rate)) MB/s, process has used \(cpu) CPU-s"
    }

    private static func bigEndian(_ value: Int) -> [UInt8] {
        (0..<8).reversed().map { UInt8(truncatingIfNeeded: value >> ($0 * 8)) }
    }

    private static func hex(_ text: String) -> [UInt8] {
        stride(from: 0, to: text.utf8.count - 1, by: 2).compactMap {
            UInt8(text.dropFirst($0).prefix(2), radix: 16)
        }
    }

    private static func contents(of path: String) -> [UInt8] {
        guard let file = fopen(path, "r") else { return [] }
        defer { fclose(file) }
        var bytes = [UInt8](repeating: 0, count: SwarmKey.maxFileByteCount + 1)
        let count = fread(&bytes, 1, bytes.count, file)
        return Array(bytes.prefix(count))
    }
}
