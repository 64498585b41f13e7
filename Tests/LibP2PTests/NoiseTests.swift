import LibP2P
import Multiformats
import PeerCrypto
import Testing

@Suite("Noise")
struct NoiseTests {
    private static let initiatorStatic = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    private static let responderStatic = "0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20"
    private static let initiatorEphemeral = "202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f"
    private static let responderEphemeral = "4142434445464748494a4b4c4d4e4f505152535455565758595a5b5c5d5e5f60"
    private static let alice = identity("7e0830617c4a7de83925dfb2694556b12936c477a0e1feb2e148ec9da60fee7d")
    private static let bob = identity("e838af14f0a0132f5c5873dda40d24a29e88f71f1de74c8f0c5bc10458214317")
    private static let yamux = ["/yamux/1.0.0"]

    private static func identity(_ seed: String) -> Ed25519.KeyPair {
        Ed25519.KeyPair(seed: SecretBytes(copying: hex(seed)))
    }

    private static func peer(_ pair: Ed25519.KeyPair) throws -> PeerID {
        PeerID(try PublicKey(ed25519: pair.publicKey.bytes))
    }

    private static func initiator(
        muxers: [String] = yamux,
        expecting peer: PeerID? = nil,
        as identity: Ed25519.KeyPair = alice
    ) -> NoiseHandshake {
        NoiseHandshake(
            role: .initiator,
            identity: identity,
            staticKey: x25519(initiatorStatic),
            ephemeralKey: x25519(initiatorEphemeral),
            muxers: muxers,
            expectedPeer: peer
        )
    }

    private static func responder(muxers: [String] = yamux) -> NoiseHandshake {
        NoiseHandshake(
            role: .responder,
            identity: bob,
            staticKey: x25519(responderStatic),
            ephemeralKey: x25519(responderEphemeral),
            muxers: muxers
        )
    }

    @Test("flynn/noise's transcripts are reproduced by both roles", arguments: [0, 1])
    func flynn(set: Int) throws {
        let section = try Vectors.section("noise_xx")
        let sets = try #require(section["sets"] as? [[String: Any]])
        let payloads = try Vectors.texts(sets[set], "payloads").map(hex)
        let messages = try Vectors.texts(sets[set], "messages").map(hex)
        var initiator = NoiseXX(
            role: .initiator,
            staticKey: x25519(Self.initiatorStatic),
            ephemeralKey: x25519(Self.initiatorEphemeral)
        )
        var responder = NoiseXX(
            role: .responder,
            staticKey: x25519(Self.responderStatic),
            ephemeralKey: x25519(Self.responderEphemeral)
        )
        #expect(try initiator.writeMessage(payloads[0]) == messages[0])
        #expect(try responder.readMessage(messages[0]) == payloads[0])
        #expect(try responder.writeMessage(payloads[1]) == messages[1])
        #expect(try initiator.readMessage(messages[1]) == payloads[1])
        #expect(try initiator.writeMessage(payloads[2]) == messages[2])
        #expect(try responder.readMessage(messages[2]) == payloads[2])
        #expect(initiator.handshakeHash == responder.handshakeHash)

        guard set == 1 else { return }
        let transport = try #require(section["transport"] as? [[String: Any]])
        var first = initiator.split()
        var second = responder.split()
        for (index, row) in transport.enumerated() {
            let plain = try Vectors.bytes(row, "plain")
            let sealed = index == 0 ? Self.seal(plain, by: &first) : Self.seal(plain, by: &second)
            #expect(try Array(sealed[2...]) == Vectors.bytes(row, "cipher"))
            let opened = try sealed.withUnsafeBytes { try index == 0 ? second.open($0) : first.open($0) }
            #expect(opened.plaintext == plain)
            #expect(opened.byteCount == sealed.count)
        }
    }

    @Test(
        "The full libp2p transcript is reproduced, in chunks of any size",
        arguments: [1, 2, 3, 33, 34, 100, 5000]
    )
    func transcript(chunk: Int) throws {
        let section = try Vectors.section("noise_libp2p")
        let messages = try Vectors.texts(section, "messages").map(hex)
        var initiator = Self.initiator(expecting: try Self.peer(Self.bob))
        var responder = Self.responder()
        let first = try initiator.start()
        let second = try Self.feed(first, to: &responder, chunk: chunk)
        let third = try Self.feed(second, to: &initiator, chunk: chunk)
        let fourth = try Self.feed(third, to: &responder, chunk: chunk)
        #expect([first, second, third].map { Array($0[2...]) } == messages)
        #expect(first.prefix(2) == [0x00, 0x20] && fourth.isEmpty)
        #expect(initiator.remote?.peer.description == section["responder_identity"] as? String)
        #expect(responder.remote?.peer.description == section["initiator_identity"] as? String)
        #expect(initiator.remote?.muxer == "/yamux/1.0.0" && responder.remote?.muxer == "/yamux/1.0.0")
        let transport = try #require(section["first_transport"] as? [String: Any])
        var channel = initiator.finish()
        let sealed = try Self.seal(Vectors.bytes(transport, "plain"), by: &channel)
        #expect(try Array(sealed[2...]) == Vectors.bytes(transport, "cipher"))
    }

    @Test("Bytes behind the last handshake message belong to the channel")
    func leftover() throws {
        var initiator = Self.initiator()
        var responder = Self.responder()
        let second = try Self.feed(initiator.start(), to: &responder, chunk: 1000)
        let third = try Self.feed(second, to: &initiator, chunk: 1000)
        var bytes = (third + [1, 2, 3])[...]
        #expect(try responder.receive(&bytes).isEmpty)
        #expect(bytes == [1, 2, 3] && responder.isComplete)
    }

    @Test(
        "The muxer is the first of the initiator's list that the responder has",
        arguments: [
            (["/yamux/1.0.0"], ["/yamux/1.0.0"], "/yamux/1.0.0"),
            (["/mplex/6.7.0", "/yamux/1.0.0"], ["/yamux/1.0.0", "/mplex/6.7.0"], "/mplex/6.7.0"),
            ([], ["/yamux/1.0.0"], nil), (["/yamux/1.0.0"], [], nil), (["/nosuch/1"], ["/yamux/1.0.0"], nil),
        ] as [([String], [String], String?)]
    )
    func muxer(initiatorMuxers: [String], responderMuxers: [String], chosen: String?) throws {
        var initiator = Self.initiator(muxers: initiatorMuxers)
        var responder = Self.responder(muxers: responderMuxers)
        let second = try Self.feed(initiator.start(), to: &responder, chunk: 1000)
        let third = try Self.feed(second, to: &initiator, chunk: 1000)
        _ = try Self.feed(third, to: &responder, chunk: 1000)
        #expect(initiator.remote?.muxer == chosen && responder.remote?.muxer == chosen)
    }

    @Test("A dialer refuses another peer than the one it dialed")
    func wrongPeer() throws {
        var initiator = Self.initiator(expecting: try Self.peer(Self.alice))
        var responder = Self.responder()
        let second = try Self.feed(initiator.start(), to: &responder, chunk: 1000)
        let bob = try Self.peer(Self.bob)
        #expect(throws: NoiseFault.wrongPeer(bob)) { try Self.feed(second, to: &initiator, chunk: 1000) }
        #expect(initiator.remote == nil)
    }

    @Test("A signature over another static key is refused, by listener and dialer")
    func wrongStaticKey() throws {
        let key = try PublicKey(ed25519: Self.alice.publicKey.bytes)
        let other = NoisePayload.signedBytes(staticKey: [UInt8](repeating: 7, count: 32))
        let payload = NoisePayload(identityKey: key.bytes, signature: Self.alice.sign(other), muxers: [])
        var responder = Self.responder()
        var liar = NoiseXX(role: .initiator, staticKey: X25519.KeyPair(), ephemeralKey: X25519.KeyPair())
        let second = try Self.feed(Self.framed(liar.writeMessage([])), to: &responder, chunk: 1000)
        _ = try liar.readMessage(Array(second[2...]))
        let third = Self.framed(try liar.writeMessage(payload.bytes))
        #expect(throws: NoiseFault.badSignature) { try Self.feed(third, to: &responder, chunk: 1000) }

        var initiator = Self.initiator()
        var lyingResponder = NoiseXX(
            role: .responder,
            staticKey: X25519.KeyPair(),
            ephemeralKey: X25519.KeyPair()
        )
        _ = try lyingResponder.readMessage(Array(try initiator.start()[2...]))
        let answer = Self.framed(try lyingResponder.writeMessage(payload.bytes))
        #expect(throws: NoiseFault.badSignature) { try Self.feed(answer, to: &initiator, chunk: 1000) }
    }

    @Test("Key types other than Ed25519 end the handshake cleanly", arguments: [0, 2, 3, 9] as [UInt8])
    func foreignKey(type: UInt8) throws {
        let payload = NoisePayload(identityKey: [0x08, type, 0x12, 0x01, 0xff], signature: [], muxers: [])
        var initiator = Self.initiator()
        var responder = NoiseXX(role: .responder, staticKey: X25519.KeyPair(), ephemeralKey: X25519.KeyPair())
        _ = try responder.readMessage(Array(try initiator.start()[2...]))
        let answer = Self.framed(try responder.writeMessage(payload.bytes))
        #expect(throws: NoiseFault.publicKey(.unsupportedType(UInt64(type)))) {
            try Self.feed(answer, to: &initiator, chunk: 1000)
        }
    }

    @Test("A flipped bit anywhere in message 2 or 3 ends the handshake")
    func tampered() throws {
        for index in stride(from: 2, to: 216, by: 7) {
            var initiator = Self.initiator()
            var responder = Self.responder()
            var second = try Self.feed(initiator.start(), to: &responder, chunk: 1000)
            second[index] ^= 1
            #expect(throws: NoiseFault.self) { try Self.feed(second, to: &initiator, chunk: 1000) }
        }
        for index in stride(from: 2, to: 184, by: 7) {
            var initiator = Self.initiator()
            var responder = Self.responder()
            let second = try Self.feed(initiator.start(), to: &responder, chunk: 1000)
            var third = try Self.feed(second, to: &initiator, chunk: 1000)
            third[index] ^= 1
            #expect(throws: NoiseFault.decryptionFailed) { try Self.feed(third, to: &responder, chunk: 1000) }
        }
    }

    @Test("Message 1 carries no payload, and no point of small order")
    func firstMessage() throws {
        var responder = Self.responder()
        let payload = Self.framed(X25519.KeyPair().publicKey + [1])
        #expect(throws: NoiseFault.unexpectedPayload) { try Self.feed(payload, to: &responder, chunk: 1000) }
        var other = Self.responder()
        let zero = Self.framed([UInt8](repeating: 0, count: 32))
        #expect(throws: NoiseFault.weakKey) { try Self.feed(zero, to: &other, chunk: 1000) }
        var third = Self.responder()
        #expect(throws: NoiseFault.messageLength(31)) {
            try Self.feed(Self.framed([UInt8](repeating: 9, count: 31)), to: &third, chunk: 1000)
        }
    }

    @Test("A handshake message over 4096 bytes is refused by its length field")
    func longMessage() {
        var responder = Self.responder()
        #expect(throws: NoiseFault.messageLength(4097)) {
            try Self.feed([0x10, 0x01], to: &responder, chunk: 2)
        }
    }

    @Test("101 muxer names are too many, 100 are not, unknown fields are skipped")
    func payloadLimits() throws {
        let hundred = NoisePayload(
            identityKey: [1],
            signature: [2],
            muxers: Array(repeating: "/m", count: 100)
        )
        #expect(try NoisePayload(bytes: hundred.bytes + [0x1a, 0x01, 0x00, 0x7d, 1, 2, 3, 4]) == hundred)
        let more = NoisePayload(identityKey: [1], signature: [2], muxers: Array(repeating: "/m", count: 101))
        #expect(throws: NoiseFault.tooManyMuxers(101)) { try NoisePayload(bytes: more.bytes) }
        #expect(throws: NoiseFault.payload(.truncated)) { try NoisePayload(bytes: [0x0a, 0x05, 0x01]) }
    }

    @Test("The channel carries the largest message, several at once, and an empty one; a forged one ends it")
    func channel() throws {
        var (first, second) = try Self.channels()
        let large = [UInt8](repeating: 0x5a, count: 65_519)
        let one = Self.seal(large, by: &first)
        let two = Self.seal([1, 2, 3], by: &first)
        #expect(one.count == 2 + 65_535)
        let opened = try (one + two + [0x00]).withUnsafeBytes { try second.open($0) }
        #expect(opened.plaintext == large + [1, 2, 3] && opened.byteCount == one.count + two.count)

        var forged = Self.seal([4], by: &first)
        forged[2] ^= 0x80
        #expect(throws: NoiseFault.decryptionFailed) { try forged.withUnsafeBytes { try second.open($0) } }
        #expect(throws: NoiseFault.messageLength(15)) {
            try [UInt8]([0, 15]).withUnsafeBytes { try second.open($0) }
        }
    }

    private static func channels() throws -> (Channel, Channel) {
        var initiator = initiator()
        var responder = responder()
        let second = try feed(initiator.start(), to: &responder, chunk: 1000)
        let third = try feed(second, to: &initiator, chunk: 1000)
        _ = try feed(third, to: &responder, chunk: 1000)
        return (Channel(initiator.finish()), Channel(responder.finish()))
    }

    /// A channel that fits in a tuple.
    private final class Channel {
        private var transport: NoiseTransport
        init(_ transport: consuming NoiseTransport) { self.transport = transport }

        func seal(_ plain: [UInt8]) -> [UInt8] { NoiseTests.seal(plain, by: &transport) }
        func open(_ bytes: UnsafeRawBufferPointer) throws -> (plaintext: [UInt8], byteCount: Int) {
            try transport.open(bytes)
        }
    }

    private static func seal(_ plain: [UInt8], by channel: inout Channel) -> [UInt8] { channel.seal(plain) }

    private static func seal(_ plain: [UInt8], by transport: inout NoiseTransport) -> [UInt8] {
        var message = [UInt8](repeating: 0, count: plain.count + NoiseTransport.overheadByteCount)
        let count = message.withUnsafeMutableBytes { output in
            do { try transport.beginMessage() } catch { return 0 }
            // In two pieces, as header and body are.
            plain[..<(plain.count / 2)].withUnsafeBytes { transport.seal($0, into: output) }
            plain[(plain.count / 2)...].withUnsafeBytes { transport.seal($0, into: output) }
            return transport.endMessage(output)
        }
        return Array(message.prefix(count))
    }

    private static func framed(_ message: [UInt8]) -> [UInt8] {
        [UInt8(message.count >> 8), UInt8(message.count & 0xff)] + message
    }

    private static func feed(_ bytes: [UInt8], to handshake: inout NoiseHandshake, chunk: Int) throws
        -> [UInt8]
    {
        var answer: [UInt8] = []
        var rest = bytes[...]
        while !rest.isEmpty {
            var piece = rest.prefix(chunk)
            rest = rest.dropFirst(piece.count)
            answer += try handshake.receive(&piece)
            #expect(piece.isEmpty)
        }
        return answer
    }
}
