import Foundation
import LibP2P
import MRProtocol
import Multiformats
import PeerTestKit
import Testing

@Suite("Parsers under hostile bytes")
struct ParserFuzzTests {
    private static let names = FuzzBodies.all.map(\.name)

    private static func run(_ name: String, _ bytes: [UInt8]) {
        for (candidate, body) in FuzzBodies.all where candidate == name { bytes.withUnsafeBytes(body) }
    }

    /// Valid inputs of every parser; each also starts mutations for the others.
    private static func seeds() -> [[UInt8]] {
        let key = PublicKey(simulated: [UInt8](repeating: 3, count: 32))
        let peer = PeerID(key)
        let address = Multiaddr([.tcp(4001), .dns("example.org"), .quicV1]).with(peer: peer)
        let record = SignedPeerRecord(
            PeerRecord(peer: peer, sequence: 9, addresses: [Multiaddr([.tcp(1)])]),
            publicKey: key
        ) { _ in [UInt8](repeating: 1, count: 64) }
        var identify = IdentifyMessage()
        identify.publicKey = key.bytes
        identify.protocols = ["/a", "/b"]
        identify.listenAddresses = [Multiaddr([.tcp(1)])]
        identify.signedPeerRecord = record.envelope.bytes
        let cid = CID.of([1], codec: .raw)
        var bitswap = BitswapMessage()
        bitswap.wants = [.init(cid, kind: .block), .init(cid, kind: .have, sendsDontHave: true)]
        bitswap.blocks = [.init(cid, data: [1])]
        bitswap.presences = [.init(cid, isHeld: true)]
        let bitswapBytes = Array(bitswap.delimitedBytes.drop { $0 & 0x80 != 0 }.dropFirst())
        var gossip = GossipMessage()
        gossip.records = [record.envelope.bytes]
        gossip.suspicions = [.init(peer: peer, sequence: 1)]
        let head = TaskHead(
            job: .of([0xa0], codec: .dagCBOR),
            spec: [0xa0],
            attempt: 1,
            key: [1],
            engine: "e/1"
        )
        let reduce = ReduceTaskMessage(
            head: head,
            partition: 1,
            runs: [StoredFile(root: cid, byteCount: 1, holders: [peer])]
        )
        let receipt = Receipt(
            kind: .map,
            head: head,
            worker: peer,
            master: peer,
            output: StoredFile(root: cid, byteCount: 1, holders: [peer]),
            lookaheadCount: 0,
            counters: TaskCounters()
        ).sealed(publicKey: key) { _ in [UInt8](repeating: 1, count: 64) }
        return [
            address.bytes, Array(address.description.utf8), peer.bytes, Array(peer.description.utf8),
            key.bytes,
            record.envelope.bytes, record.record.bytes, [7] + identify.messages[0].delimited, bitswapBytes,
            MapReduceRequest.gossip(gossip).bytes, MapReduceRequest.reduce(reduce).bytes,
            MapReduceRequest.have([cid]).bytes, MapReduceResponse.failure(CallFailure(.cancelled)).bytes,
            receipt,
        ]
    }

    @Test(
        "mutations of valid inputs never trap, and what is accepted comes out as it went in",
        arguments: names
    )
    func mutations(name: String) {
        let seeds = Self.seeds()
        var mutator = Mutator(seed: 42)
        for seed in seeds { Self.run(name, seed) }
        for _ in 0..<2000 { Self.run(name, mutator.next(from: seeds)) }
        #expect(Self.names.contains(name))
    }

    @Test("inputs that once failed do not fail again", arguments: names)
    func failCases(name: String) throws {
        let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent().deletingLastPathComponent()
        let folder = root.appendingPathComponent("Fuzz/FailCases/\(name)")
        let files =
            (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        for file in files { Self.run(name, Array(try Data(contentsOf: file))) }
        #expect(FileManager.default.fileExists(atPath: root.appendingPathComponent("Fuzz/FailCases").path))
    }
}
