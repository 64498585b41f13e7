import PeerCrypto
import Testing

@Suite("Crypto wrappers give known answers")
struct CryptoTests {
    @Test("X25519 agrees as in RFC 7748 section 5.2")
    func agreement() {
        let key = x25519("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
        let point = hex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
        let shared = key.sharedSecret(with: point)?.copied()
        #expect(shared == hex("c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"))
    }

    @Test("A point of small order agrees on nothing", arguments: [0, 1] as [UInt8])
    func smallOrder(first: UInt8) {
        let key = X25519.KeyPair()
        let shared = key.sharedSecret(with: [first] + [UInt8](repeating: 0, count: 31))?.copied()
        #expect(shared == nil)
    }

    @Test("HMAC-SHA-256 authenticates as in RFC 4231 case 2, in one part or two")
    func hmac() {
        let expected = hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
        let text = Array("what do ya want for nothing?".utf8)
        let tag = Array("Jefe".utf8).withUnsafeBytes { key in
            text[..<10].withUnsafeBytes { a in
                text[10...].withUnsafeBytes { b in HMACSHA256.authenticate(key: key, a, b).copied() }
            }
        }
        #expect(tag == expected)
    }

    @Test("SHA-256 of pieces equals FIPS 180-4's digest of the whole")
    func streamingHash() {
        var hasher = SHA256.Hasher()
        hasher.update(Array("a".utf8))
        hasher.update("bc".utf8)
        let digest = hasher.finalize()
        #expect(digest == hex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"))
    }

    @Test("XSalsa20's key stream is NaCl's, cut anywhere", arguments: [0, 1, 31, 63, 64, 65, 127, 128, 200])
    func xsalsa20(cut: Int) {
        let key = hex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389")
        let nonce = hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37")
        var whole = XSalsa20Stream(key: SecretBytes(copying: key), nonce: nonce)
        var pieces = XSalsa20Stream(key: SecretBytes(copying: key), nonce: nonce)
        var first = [UInt8](repeating: 0, count: 300)
        first.withUnsafeMutableBytes { whole.apply(to: $0) }
        var second = [UInt8](repeating: 0, count: 300)
        second.withUnsafeMutableBytes { bytes in
            pieces.apply(to: .init(rebasing: bytes[..<cut]))
            pieces.apply(to: .init(rebasing: bytes[cut...]))
        }
        #expect(first.starts(with: hex("eea6a7251c1e72916d11c2cb214d3c252539121d8e234e652d651fa4c8cff880")))
        #expect(first == second)
    }

    @Test("Ed25519 signs as js-libp2p's fixture, and refuses anything altered")
    func signature() throws {
        let seed = hex("e838af14f0a0132f5c5873dda40d24a29e88f71f1de74c8f0c5bc10458214317")
        let pair = Ed25519.KeyPair(seed: SecretBytes(copying: seed))
        let message = Array("hello! and welcome to some awesome crypto primitives".utf8)
        let signature = pair.sign(message)
        #expect(
            pair.publicKey.bytes == hex("a3b0c32ffed03105c066203f3acaab9992a419d4195b921a75a59406cf5ad97e")
        )
        #expect(
            signature
                == hex(
                    "a07d1e3ed5bdef5c574ccda9fb95bb396055afd51684e53cc41275c20cae871f"
                        + "27a8ae674e3725de25acdeef993fc59843a7bfd7a1d4d8a3514d2de4974f6501"
                )
        )
        #expect(pair.publicKey.isValidSignature(signature, of: message))
        #expect(!pair.publicKey.isValidSignature(signature, of: message + [0]))
        #expect(!pair.publicKey.isValidSignature(Array(signature.dropLast()), of: message))
    }
}

extension SecretBytes {
    borrowing func copied() -> [UInt8] { withUnsafeBytes { Array($0) } }
}
