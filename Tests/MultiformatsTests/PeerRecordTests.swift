import Multiformats
import PeerCrypto
import Testing

@Suite("Envelopes and peer records")
struct PeerRecordTests {
    @Test("the known record is read, and written again byte for byte")
    func vector() throws {
        let vector = try LibP2PVectors.load().peer_record
        let signed = try SignedPeerRecord.decode(hex(vector.envelope))
        #expect(signed.record.peer.description == vector.signer)
        #expect(signed.record.sequence == vector.seq)
        #expect(signed.record.addresses.map(\.description) == vector.addrs)
        #expect(signed.record.bytes == hex(vector.payload))
        #expect(signed.envelope.bytes == hex(vector.envelope))
        let message = SignedEnvelope.signedBytes(
            domain: PeerRecord.domain,
            payloadType: PeerRecord.payloadType,
            payload: signed.envelope.payload
        )
        #expect(message == hex(vector.signed_bytes))
    }

    @Test("signing covers exactly the bytes of the specification")
    func signing() throws {
        let vector = try LibP2PVectors.load().peer_record
        let key = try #require(try PeerID(parsing: vector.signer).publicKey)
        let record = PeerRecord(
            peer: PeerID(key),
            sequence: 1,
            addresses: [try Multiaddr(parsing: vector.addrs[0])]
        )
        var signedMessage: [UInt8] = []
        let signed = SignedPeerRecord(record, publicKey: key) { message in
            signedMessage = message
            return [UInt8](repeating: 7, count: 64)
        }
        #expect(signedMessage == hex(vector.signed_bytes))
        #expect(try SignedPeerRecord.decode(signed.envelope.bytes) == signed)
        try signed.check {
            $0 == key && $1 == hex(vector.signed_bytes) && $2 == [UInt8](repeating: 7, count: 64)
        }
        #expect(throws: PeerRecordFault.envelope(.signature)) { try signed.check { _, _, _ in false } }
    }

    @Test("a record of another peer than the signer is refused")
    func wrongSigner() throws {
        let vectors = try LibP2PVectors.load()
        let key = try PublicKey(bytes: hex(vectors.ed25519[1].public_pb))
        let envelope = SignedEnvelope(
            domain: PeerRecord.domain,
            payloadType: PeerRecord.payloadType,
            payload: hex(vectors.peer_record.payload),
            publicKey: key
        ) { _ in [UInt8](repeating: 0, count: 64) }
        #expect(throws: PeerRecordFault.wrongSigner) { try SignedPeerRecord.decode(envelope.bytes) }
    }

    @Test("another payload type is refused, as the one of RFC 0003's text")
    func payloadType() throws {
        let key = try PublicKey(ed25519: [UInt8](repeating: 1, count: 32))
        for type in [[0x81, 0x06], Array("/libp2p/routing-state-record".utf8), []] as [[UInt8]] {
            let envelope = SignedEnvelope(
                domain: PeerRecord.domain,
                payloadType: type,
                payload: [],
                publicKey: key
            ) { _ in [UInt8](repeating: 0, count: 64) }
            #expect(throws: PeerRecordFault.envelope(.payloadType)) {
                try SignedPeerRecord.decode(envelope.bytes)
            }
        }
    }

    @Test("addresses of unknown protocols and of other peers are dropped, one's own suffix is taken off")
    func addresses() throws {
        let peer = PeerID(try PublicKey(ed25519: [UInt8](repeating: 1, count: 32)))
        let other = PeerID(try PublicKey(ed25519: [UInt8](repeating: 2, count: 32)))
        let plain = try Multiaddr(parsing: "/ip4/1.2.3.4/tcp/5")
        var writer = Protobuf.Writer()
        writer.bytes(1, peer.bytes)
        writer.varint(2, 9)
        for address in [
            plain.bytes, [0x0a, 0x00], plain.with(peer: peer).bytes, plain.with(peer: other).bytes,
            Multiaddr([.p2p(peer)]).bytes, [],
        ] {
            var inner = Protobuf.Writer()
            inner.bytes(1, address)
            writer.bytes(3, inner.bytes)
        }
        writer.varint(77, 1)
        let record = try PeerRecord(bytes: writer.bytes)
        #expect(record == PeerRecord(peer: peer, sequence: 9, addresses: [plain, plain]))
    }

    @Test("addresses past the limit are dropped")
    func tooManyAddresses() throws {
        let peer = PeerID(try PublicKey(ed25519: [UInt8](repeating: 1, count: 32)))
        let addresses = (0..<40).map { Multiaddr([.tcp($0)]) }
        let record = PeerRecord(peer: peer, sequence: 1, addresses: addresses)
        #expect(try PeerRecord(bytes: record.bytes).addresses == Array(addresses.prefix(32)))
    }

    @Test("every shorter piece of an envelope is refused")
    func truncated() throws {
        let bytes = hex(try LibP2PVectors.load().peer_record.envelope)
        for count in bytes.indices {
            #expect(throws: PeerRecordFault.self) { try SignedPeerRecord.decode(bytes.prefix(count)) }
        }
    }

    @Test("an oversized envelope is refused unread")
    func oversized() {
        let bytes = [UInt8](repeating: 0, count: PeerRecord.maxByteCount + 1)
        #expect(throws: PeerRecordFault.envelope(.tooLong(4097))) { try SignedPeerRecord.decode(bytes) }
    }
}

@Suite("Signatures of envelopes")
struct EnvelopeSignatureTests {
    private static func keyPair(_ index: Int) throws -> Ed25519.KeyPair {
        let seed = hex(try LibP2PVectors.load().ed25519[index].seed)
        return Ed25519.KeyPair(seed: SecretBytes(copying: seed))
    }

    @Test("the known record's signature verifies, and ours over the same record is the same")
    func known() throws {
        let vector = try LibP2PVectors.load().peer_record
        let signed = try SignedPeerRecord.decode(hex(vector.envelope))
        try signed.check(verify: SignedEnvelope.ed25519Verifier)
        let own = SignedPeerRecord(
            sequence: vector.seq,
            addresses: try vector.addrs.map(Multiaddr.init(parsing:)),
            keyPair: try Self.keyPair(0)
        )
        #expect(own.envelope.bytes == hex(vector.envelope))
    }

    @Test("a changed byte anywhere makes the record malformed or its signature wrong")
    func everyByte() throws {
        let bytes = hex(try LibP2PVectors.load().peer_record.envelope)
        for index in bytes.indices {
            var changed = bytes
            changed[index] ^= 1
            #expect(throws: PeerRecordFault.self, "byte \(index)") {
                try SignedPeerRecord.decode(changed).check(verify: SignedEnvelope.ed25519Verifier)
            }
        }
    }

    @Test("a signature for one domain is worth nothing in another")
    func domains() throws {
        let envelope = SignedEnvelope(
            domain: "a",
            payloadType: [1],
            payload: [2],
            keyPair: try Self.keyPair(1)
        )
        try envelope.check(domain: "a", payloadType: [1], verify: SignedEnvelope.ed25519Verifier)
        #expect(throws: EnvelopeFault.signature) {
            try envelope.check(domain: "b", payloadType: [1], verify: SignedEnvelope.ed25519Verifier)
        }
        #expect(throws: EnvelopeFault.payloadType) {
            try envelope.check(domain: "a", payloadType: [2], verify: SignedEnvelope.ed25519Verifier)
        }
    }
}
