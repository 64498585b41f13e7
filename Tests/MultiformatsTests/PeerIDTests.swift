import Multiformats
import Testing

@Suite("Peer ids and public keys")
struct PeerIDTests {
    @Test("keys of the specification give the peer ids of the specification")
    func keys() throws {
        for vector in try LibP2PVectors.load().ed25519 {
            let key = try PublicKey(bytes: hex(vector.public_pb))
            #expect(key.bytes == hex(vector.public_pb))
            let peer = PeerID(key)
            #expect(peer.bytes == hex(vector.peer_id))
            #expect(peer.description == vector.base58)
            #expect(peer.cidText == vector.cid)
            #expect(peer.publicKey == key)
            #expect(try PeerID(parsing: vector.base58) == peer)
            #expect(try PeerID(parsing: vector.cid) == peer)
            #expect(try PeerID(bytes: hex(vector.peer_id)) == peer)
        }
    }

    @Test("both texts of a hashed key are one peer, which holds no key")
    func hashed() throws {
        let vector = try LibP2PVectors.load().peer_id_text
        for text in vector.same_id {
            let peer = try PeerID(parsing: text)
            #expect(peer.bytes == hex(vector.hex))
            #expect(peer.publicKey == nil)
        }
        #expect(try PeerID(parsing: vector.ed25519).bytes == hex(vector.ed25519_hex))
    }

    @Test(
        "text that names no peer is refused with the reason",
        arguments: [
            ("", PeerIDFault.text),
            ("12D3KooW0", .text),  // 0 is no character of base58btc
            (
                "QmYyQSo1c1Ym7orWxLYvCrM2EmxFTANf8wXmmE7DWjhx5",
                .multihash(.digestLength(function: 3, byteCount: 104))
            ),
            ("bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e", .codec(0x55)),
            ("x12", .text),
        ] as [(String, PeerIDFault)]
    )
    func badText(text: String, fault: PeerIDFault) {
        #expect(throws: PeerIDFault.self) { try PeerID(parsing: text) }
        if case .multihash = fault { return }  // which number comes out of a damaged hash is chance
        #expect(throws: fault) { try PeerID(parsing: text) }
    }

    @Test("text over the limit is refused before it is decoded")
    func longText() {
        let text = "1" + String(repeating: "z", count: PeerID.maxCharacterCount)
        #expect(throws: PeerIDFault.textLength(129)) { try PeerID(parsing: text) }
    }

    @Test(
        "bytes that are no peer id are refused with the reason",
        arguments: [
            ("", PeerIDFault.multihash(.truncated)),
            ("0000", .inlineKeyLength(0)),
            ("002b" + String(repeating: "00", count: 43), .inlineKeyLength(43)),
            ("1220" + String(repeating: "00", count: 31), .multihash(.truncated)),
            ("1220" + String(repeating: "00", count: 33), .multihash(.trailingBytes(1))),
            ("1340" + String(repeating: "00", count: 64), .hashFunction(0x13)),
        ] as [(String, PeerIDFault)]
    )
    func badBytes(bytes: String, fault: PeerIDFault) {
        #expect(throws: fault) { try PeerID(bytes: hex(bytes)) }
    }

    @Test(
        "keys of other types and lengths fail cleanly",
        arguments: [
            ("08001202ffff", PublicKeyFault.unsupportedType(0)),
            ("08021202ffff", .unsupportedType(2)),
            ("08031202ffff", .unsupportedType(3)),
            ("08ffffffff0f1202ffff", .unsupportedType(0xffff_ffff)),
            ("1202ffff", .unsupportedType(0)),
            ("08011202ffff", .length(2)),
            ("0801", .length(0)),
            ("080112", .malformed(.truncated)),
            ("08011220ff", .malformed(.truncated)),
        ] as [(String, PublicKeyFault)]
    )
    func badKeys(bytes: String, fault: PublicKeyFault) {
        #expect(throws: fault) { try PublicKey(bytes: hex(bytes)) }
    }

    @Test("unknown fields and another order do not change the key")
    func unknownFields() throws {
        let key = String(repeating: "ab", count: 32)
        let plain = try PublicKey(bytes: hex("08011220" + key))
        #expect(try PublicKey(bytes: hex("1220" + key + "1a03010203" + "0801")) == plain)
        #expect(plain.bytes == hex("08011220" + key))
    }
}
