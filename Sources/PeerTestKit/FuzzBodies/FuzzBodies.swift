import LibP2P
import MRProtocol
import Multiformats

/// One function for each parser that reads a peer's or a user's bytes.
///
/// Each takes any bytes; it must neither trap nor take memory out of proportion. What a parser accepts is written and read
/// again, and has to come out the same.
public enum FuzzBodies {
    /// The parsers by name, for replays and fuzzers that choose one.
    public static let all: [(name: String, body: @Sendable (UnsafeRawBufferPointer) -> Void)] = [
        ("multiaddr", multiaddr), ("peer-id", peerID), ("peer-record", peerRecord), ("identify", identify),
        ("bitswap", bitswap), ("mapreduce-request", mapReduceRequest),
        ("mapreduce-response", mapReduceResponse),
        ("receipt", receipt), ("multistream", multistream), ("noise-payload", noisePayload),
        ("noise-handshake", noiseHandshake), ("yamux", yamux),
    ]

    /// Binary and text addresses.
    @Sendable public static func multiaddr(_ input: UnsafeRawBufferPointer) {
        if let address = try? Multiaddr(bytes: input) {
            check((try? Multiaddr(bytes: address.bytes)) == address, "multiaddr bytes")
            check(Multiaddr(address.description) == address, "multiaddr text")
            check(address.tcpEndpoint.map { $0.multiaddr == address.withoutPeer } ?? true, "endpoint")
        }
        if let address = Multiaddr(String(decoding: input, as: UTF8.self)) {
            check((try? Multiaddr(bytes: address.bytes)) == address || address.bytes.count > 512, "multiaddr")
        }
    }

    /// Binary and text peer ids, and public keys.
    @Sendable public static func peerID(_ input: UnsafeRawBufferPointer) {
        if let peer = try? PeerID(bytes: input) { check(PeerID(peer.cidText) == peer, "peer id") }
        if let peer = PeerID(String(decoding: input, as: UTF8.self)) {
            check(PeerID(peer.description) == peer, "peer id text")
        }
        if let key = try? PublicKey(bytes: input) { check(PeerID(key).publicKey == key, "public key") }
    }

    /// Sealed peer records.
    @Sendable public static func peerRecord(_ input: UnsafeRawBufferPointer) {
        if let record = try? PeerRecord(bytes: input) {
            check((try? PeerRecord(bytes: record.bytes)) == record, "peer record")
        }
        guard let signed = try? SignedPeerRecord.decode(input) else { return }
        check((try? SignedPeerRecord.decode(signed.envelope.bytes)) == signed, "sealed record")
    }

    /// A stream of identify messages, in pieces whose size the first byte gives.
    @Sendable public static func identify(_ input: UnsafeRawBufferPointer) {
        guard let size = input.first.map({ Int($0) + 1 }) else { return }
        let bytes = Array(input.dropFirst())
        var reader = IdentifyReader()
        for start in stride(from: 0, to: bytes.count, by: size) {
            guard (try? reader.receive(bytes[start..<min(start + size, bytes.count)])) != nil else { return }
        }
        guard let message = try? reader.finish() else { return }
        check(message.listenAddresses.count <= IdentifyMessage.maxAddressCount, "addresses")
        check(message.protocols.count <= IdentifyMessage.maxProtocolCount, "protocols")
    }

    /// A bitswap message, and what server and client make of it.
    @Sendable public static func bitswap(_ input: UnsafeRawBufferPointer) {
        guard let message = try? BitswapMessage(bytes: Array(input)) else { return }
        var rest = message.delimitedBytes[...]
        var reader = DelimitedReader(maxByteCount: 2 * BitswapMessage.maxByteCount)
        guard let bytes = try? reader.next(&rest), let again = try? BitswapMessage(bytes: bytes) else {
            fatalError("bitswap message cannot be read again")
        }
        check(again.presences == message.presences && again.blocks == message.blocks, "bitswap")
        let peer = PeerID(PublicKey(simulated: [UInt8](repeating: 1, count: 32)))
        var server = BitswapServer()
        for case .find(let cids) in server.receive(message, from: peer) {
            for case .load(let wanted, _) in server.found(cids.map { ($0, $0.bytes.last.map(Int.init)) }) {
                _ = server.loaded(wanted.map { ($0, [0]) }, for: peer)
            }
        }
        check(server.wantCount(of: peer) <= BitswapServer.maxWantsPerPeer, "wants")
        var client = BitswapClient()
        _ = client.connected(peer, now: .zero)
        _ = client.want(message.presences.map(\.cid), patience: .seconds(1), now: .zero)
        _ = client.receive(message, from: peer, now: .seconds(1))
        _ = client.deadlineReached(now: .seconds(100))
    }

    /// A call of `/mapreduce/1`.
    @Sendable public static func mapReduceRequest(_ input: UnsafeRawBufferPointer) {
        guard let request = try? MapReduceRequest(bytes: Array(input)) else { return }
        check((try? MapReduceRequest(bytes: request.bytes)) == request, "request")
    }

    /// An answer of `/mapreduce/1`.
    @Sendable public static func mapReduceResponse(_ input: UnsafeRawBufferPointer) {
        guard let response = try? MapReduceResponse(bytes: Array(input)) else { return }
        check((try? MapReduceResponse(bytes: response.bytes)) == response, "response")
    }

    /// Sealed receipts and announcements, signatures aside.
    @Sendable public static func receipt(_ input: UnsafeRawBufferPointer) {
        _ = try? Receipt(sealed: Array(input)) { _, _, _ in true }
        _ = try? JobAnnouncement(sealed: Array(input)) { _, _, _ in true }
    }

    private static func check(_ holds: Bool, _ what: String) {
        if !holds { fatalError("\(what) does not come out as it went in") }
    }
}
