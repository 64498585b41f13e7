import LibP2P
import Multiformats
import Testing

@Suite("Identify")
struct IdentifyTests {
    private static func sample() throws -> IdentifyMessage {
        var message = IdentifyMessage()
        message.publicKey = try PublicKey(ed25519: [UInt8](repeating: 3, count: 32)).bytes
        message.listenAddresses = [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/4001")]
        message.protocols = ["/ipfs/id/1.0.0", "/ipfs/ping/1.0.0"]
        message.observedAddress = try Multiaddr(parsing: "/ip4/10.0.0.1/tcp/5")
        message.protocolVersion = "ipfs/0.1.0"
        message.agentVersion = "x/1"
        message.signedPeerRecord = [1, 2, 3]
        return message
    }

    private static func read(_ bytes: [UInt8], pieceSize: Int = 1000) throws -> IdentifyMessage {
        var reader = IdentifyReader()
        for start in stride(from: 0, to: bytes.count, by: pieceSize) {
            try reader.receive(bytes[start..<min(start + pieceSize, bytes.count)])
        }
        return try reader.finish()
    }

    @Test("the bytes of each field are those of the specification")
    func bytes() throws {
        var message = IdentifyMessage()
        message.publicKey = [9]
        message.listenAddresses = [try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/4001")]
        message.protocols = ["/a"]
        message.observedAddress = try Multiaddr(parsing: "/tcp/1")
        message.protocolVersion = "p"
        message.agentVersion = "a"
        message.signedPeerRecord = [7]
        #expect(
            Base16.encode(message.messages[0])
                == "0a01091208047f000001060fa11a022f612203060001" + "2a0170" + "320161" + "420107"
        )
    }

    @Test("an answer is read in pieces of any size", arguments: [1, 2, 5, 1000])
    func pieces(size: Int) throws {
        let message = try Self.sample()
        #expect(try Self.read(message.messages[0].delimited, pieceSize: size) == message)
    }

    @Test("a long answer is split, the record alone in the second message, and merges to the same")
    func split() throws {
        var message = try Self.sample()
        message.protocols = (0..<100).map { "/protocol/number/\($0)/1.0.0" }
        let messages = message.messages
        #expect(messages.count == 2)
        #expect(messages[1] == [0x42, 3, 1, 2, 3])
        #expect(try Self.read(messages.flatMap(\.delimited)) == message)
    }

    @Test("later messages replace scalars and add to lists")
    func merging() throws {
        var first = IdentifyMessage()
        first.agentVersion = "a"
        first.protocolVersion = "p"
        first.protocols = ["/1"]
        var second = IdentifyMessage()
        second.agentVersion = "b"
        second.protocols = ["/2"]
        let merged = try Self.read(first.messages[0].delimited + second.messages[0].delimited)
        #expect(merged.agentVersion == "b")
        #expect(merged.protocolVersion == "p")
        #expect(merged.protocols == ["/1", "/2"])
    }

    @Test("a push leaves alone what it does not mention, and replaces lists")
    func push() throws {
        var known = try Self.sample()
        var push = IdentifyMessage()
        push.protocols = ["/new"]
        known.update(from: push)
        #expect(known.protocols == ["/new"])
        #expect(known.agentVersion == "x/1")
        #expect(known.listenAddresses == (try Self.sample().listenAddresses))
    }

    @Test("nine messages are read, ten are refused")
    func messageLimit() throws {
        var message = IdentifyMessage()
        message.protocols = ["/x"]
        let bytes = message.messages[0].delimited
        #expect(try Self.read(Array(repeatElement(bytes, count: 9).joined())).protocols.count == 9)
        #expect(throws: IdentifyFault.tooManyMessages) {
            try Self.read(Array(repeatElement(bytes, count: 10).joined()))
        }
    }

    @Test("a message of 8,192 bytes is read, one of 8,193 refused by its length")
    func byteLimit() throws {
        let field: [UInt8] = [0x7a, 0xfd, 0x3f] + [UInt8](repeating: 0, count: 8189)  // field 15, unknown
        #expect(throws: Never.self) { try Self.read(field.delimited) }
        #expect(throws: IdentifyFault.delimited(.tooLong(8193, limit: 8192))) { try Self.read([0x81, 0x40]) }
    }

    @Test("a stream that ends early, or empty, is no answer")
    func truncated() throws {
        #expect(throws: IdentifyFault.truncated) { try Self.read([]) }
        let bytes = try Self.sample().messages[0].delimited
        #expect(throws: IdentifyFault.truncated) { try Self.read(Array(bytes.dropLast())) }
    }

    @Test("an address of an unknown protocol is dropped, the message kept; /p2p is taken off")
    func unknownAddress() throws {
        let peer = PeerID(try PublicKey(ed25519: [UInt8](repeating: 3, count: 32)))
        let good = try Multiaddr(parsing: "/tcp/1")
        var writer = Protobuf.Writer()
        writer.bytes(2, [0x0a, 0x00])
        writer.bytes(2, good.with(peer: peer).bytes)
        writer.bytes(4, [0x0a, 0x00])
        writer.varint(1, 5)
        let message = try IdentifyMessage(bytes: writer.bytes)
        #expect(message.listenAddresses == [good])
        #expect(message.observedAddress == nil)
        #expect(message.publicKey == nil)
    }

    @Test("lists and texts are cut at their limits, and control characters are taken out")
    func limits() throws {
        var writer = Protobuf.Writer()
        for _ in 0..<300 { writer.string(3, "/p") }
        for _ in 0..<70 { writer.bytes(2, [6, 0, 1]) }
        writer.string(6, "a\u{1b}[31m\n" + String(repeating: "b", count: 300))
        let message = try IdentifyMessage(bytes: writer.bytes)
        #expect(message.protocols.count == 256)
        #expect(message.listenAddresses.count == 64)
        #expect(message.agentVersion == "a[31m" + String(repeating: "b", count: 249))
        var merged = message
        merged.merge(message)
        #expect(merged.protocols.count == 256)
        #expect(merged.listenAddresses.count == 64)
    }

    @Test("a record counts only if it is the peer's own, newer and signed")
    func record() throws {
        let key = try PublicKey(ed25519: [UInt8](repeating: 3, count: 32))
        let peer = PeerID(key)
        let other = PeerID(try PublicKey(ed25519: [UInt8](repeating: 4, count: 32)))
        let signed = SignedPeerRecord(PeerRecord(peer: peer, sequence: 5, addresses: []), publicKey: key) {
            _ in
            [UInt8](repeating: 0, count: 64)
        }
        var message = IdentifyMessage()
        #expect(try message.peerRecord(of: peer, newerThan: nil) { _, _, _ in true } == nil)
        message.signedPeerRecord = signed.envelope.bytes
        #expect(try message.peerRecord(of: peer, newerThan: 4) { _, _, _ in true } == signed)
        #expect(try message.peerRecord(of: peer, newerThan: 5) { _, _, _ in true } == nil)
        #expect(throws: PeerRecordFault.envelope(.signature)) {
            try message.peerRecord(of: peer, newerThan: nil) { _, _, _ in false }
        }
        #expect(throws: PeerRecordFault.wrongSigner) {
            try message.peerRecord(of: other, newerThan: nil) { _, _, _ in true }
        }
    }
}
