import LibP2P
import Multiformats
import Testing

@Suite("Bitswap messages")
struct BitswapCodecTests {
    private static let wanted = "015512208bdaa66a082e4fb16b1c3e6f0235f83e0afe3bdafe6baa9a22a5617d02e85dcd"
    private static let cid = try? CID(bytes: bytes(wanted))

    private static func bytes(_ hex: String) -> [UInt8] { Base16.decode(hex.utf8) ?? [] }

    /// A message without its length, which must be right.
    private static func decode(_ hex: String) throws -> BitswapMessage {
        var reader = DelimitedReader(maxByteCount: BitswapMessage.maxByteCount)
        var rest = bytes(hex)[...]
        let message = try #require(try reader.next(&rest))
        return try BitswapMessage(bytes: message)
    }

    @Test(
        "wants seen from Kubo 0.22.0 are read, and written byte for byte",
        arguments: [
            ("320a300a2e0a24\(wanted)10ffffffff072001", BitswapMessage.Want.Kind.have, Int32.max, false),
            ("320a300a2e0a24\(wanted)10feffffff072801", .block, Int32.max - 1, true),
            ("2c0a2a0a280a24\(wanted)1801", .cancel, 0, false),
        ] as [(String, BitswapMessage.Want.Kind, Int32, Bool)]
    )
    func kuboWants(hex: String, kind: BitswapMessage.Want.Kind, priority: Int32, sendsDontHave: Bool) throws {
        let cid = try #require(Self.cid)
        var expected = BitswapMessage()
        expected.wants = [.init(cid, kind: kind, priority: priority, sendsDontHave: sendsDontHave)]
        #expect(try Self.decode(hex) == expected)
        #expect(Base16.encode(expected.delimitedBytes) == hex)
    }

    @Test("an answer seen from Kubo 0.22.0 holds a verified CIDv0 block and a DONT_HAVE")
    func kuboAnswer() throws {
        let message = try Self.decode(
            "4d0a001a1f0a040070122012170a150802120f736572766564206279206b75626f0a180f"
                + "22280a24015512209390298f3fb0c5b160498935d79cb139aef28e1c47358b4bbba61862b9c26e591001"
        )
        #expect(message.wants.isEmpty)
        #expect(message.blocks.count == 1)
        // The CID under which Kubo had the block, from its trace.
        let cid = try CID(
            bytes: Self.bytes("12207db691c6aa6f405aa0b0fb7a0ce7aa0987bc40954e2cd3a550fb85f0a42183f0")
        )
        #expect(message.blocks[0].verifiedCID() == cid)
        #expect(message.blocks[0] == BitswapMessage.Block(cid, data: message.blocks[0].data))
        let missing = try CID(
            bytes: Self.bytes("015512209390298f3fb0c5b160498935d79cb139aef28e1c47358b4bbba61862b9c26e59")
        )
        #expect(message.presences == [.init(missing, isHeld: false)])
    }

    @Test(
        "prefixes name a CID only with SHA2-256",
        arguments: [
            ("01551220", "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
            ("015512", nil), ("", "QmaozNR7DZHQK1ZcU9p7QdrshMvXqWK6gpu5rmrkPdT3L4"),
            ("00701220", "QmaozNR7DZHQK1ZcU9p7QdrshMvXqWK6gpu5rmrkPdT3L4"), ("00551220", nil),
            ("01551340", nil), ("01551210", nil), ("0155122000", nil), ("ff", nil), ("02551220", nil),
        ] as [(String, String?)]
    )
    func prefixes(prefix: String, cid: String?) {
        let block = BitswapMessage.Block(
            prefix: Self.bytes(prefix)[...],
            data: Array("hello world".utf8)[...]
        )
        #expect(block.verifiedCID()?.description == cid)
    }

    @Test("a message with everything in it goes there and back, small and large blocks alike")
    func roundTrip() throws {
        let cid = try #require(Self.cid)
        var message = BitswapMessage()
        message.wants = [
            .init(cid, kind: .block, priority: -1), .init(cid, kind: .have, sendsDontHave: true),
        ]
        message.isFull = true
        for size in [0, 1, 4096, 4097, 262_144] {
            let data = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31) }
            message.blocks.append(.init(.of(data, codec: .raw), data: data[...]))
        }
        message.presences = [.init(cid, isHeld: true), .init(cid, isHeld: false)]
        message.pendingByteCount = 77
        let pieces = message.pieces
        #expect(pieces.contains { $0.count == 262_144 })
        var reader = DelimitedReader(maxByteCount: BitswapMessage.maxByteCount)
        var rest = Array(pieces.joined())[...]
        let bytes = try #require(try reader.next(&rest))
        #expect(rest.isEmpty)
        #expect(try BitswapMessage(bytes: bytes) == message)
    }

    @Test(
        "malformed messages are refused with the reason",
        arguments: [
            ("0a02", BitswapCodecFault.malformed(.truncated)), ("0a020a00", .cid(.truncated)),
            ("0a0c0a0a0a080155122000000000", .cid(.truncated)), ("22020a00", .cid(.truncated)),
            ("0b", .malformed(.wireType(3))),
            ("2200", .cid(.truncated)),
        ] as [(String, BitswapCodecFault)]
    )
    func malformed(hex: String, fault: BitswapCodecFault) {
        #expect(throws: fault) { try BitswapMessage(bytes: Self.bytes(hex)) }
    }

    @Test("limits on CIDs, entries and blocks hold")
    func limits() throws {
        var entry = Protobuf.Writer()
        entry.bytes(1, [UInt8](repeating: 1, count: 169))
        #expect(throws: BitswapCodecFault.cidTooLong(169)) {
            var list = Protobuf.Writer()
            list.bytes(1, entry.bytes)
            var message = Protobuf.Writer()
            message.bytes(1, list.bytes)
            return try BitswapMessage(bytes: message.bytes)
        }
        var small = Protobuf.Writer()
        small.bytes(1, Self.bytes(Self.wanted))
        var presences = Protobuf.Writer()
        for _ in 0..<BitswapMessage.maxEntryCount { presences.bytes(4, small.bytes) }
        #expect(try BitswapMessage(bytes: presences.bytes).presences.count == 16_384)
        presences.bytes(4, small.bytes)
        #expect(throws: BitswapCodecFault.tooManyEntries) { try BitswapMessage(bytes: presences.bytes) }
        var block = BitswapMessage()
        block.blocks = [.init(prefix: [], data: [UInt8](repeating: 0, count: (2 << 20) + 1)[...])]
        #expect(throws: BitswapCodecFault.blockTooLong(2_097_153)) {
            var reader = DelimitedReader(maxByteCount: BitswapMessage.maxByteCount)
            var rest = block.delimitedBytes[...]
            return try BitswapMessage(bytes: try #require(try reader.next(&rest)))
        }
    }

    @Test("unknown fields at every level are skipped")
    func unknownFields() throws {
        let cid = try #require(Self.cid)
        // Entry, wantlist and message each with an unknown field 15 of another wire type.
        let entry = "0a24\(Self.wanted)" + "7a0101"
        let list = "0a29\(entry)" + "7805"
        let message = try BitswapMessage(bytes: Self.bytes("0a2d\(list)" + "7d01020304"))
        #expect(message.wants == [.init(cid, kind: .block, priority: 0)])
    }
}
