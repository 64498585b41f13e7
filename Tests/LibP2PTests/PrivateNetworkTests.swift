import LibP2P
import PeerCrypto
import Testing

@Suite("Private network layer")
struct PrivateNetworkTests {
    private static let hexKey = String(repeating: "00112233445566778899aabbccddeeff", count: 2)
    private static let base64Key = "ABEiM0RVZneImaq7zN3u/wARIjNEVWZ3iJmqu8zd7v8="

    @Test(
        "The file is read in all its encodings",
        arguments: [
            "/key/swarm/psk/1.0.0/\n/base16/\n\(hexKey)", "/key/swarm/psk/1.0.0/\n/base16/\n\(hexKey)\n",
            "/key/swarm/psk/1.0.0/\r\n/base16/\r\n\(hexKey.uppercased())\r\n",
            "/key/swarm/psk/1.0.0/\n/base64/\n\(base64Key)\n",
        ]
    )
    func file(text: String) throws {
        let key = try SwarmKey(file: Array(text.utf8))
        let reference = SwarmKey(SecretBytes(copying: hex(Self.hexKey)))
        #expect(Self.ciphertext(key) == Self.ciphertext(reference))
    }

    @Test(
        "A wrong file is refused with the line at fault",
        arguments: [
            ("", SwarmKeyFault.header), ("/key/swarm/psk/2.0.0/\n/base16/\n\(hexKey)", .header),
            ("/key/swarm/psk/1.0.0/", .encoding), ("/key/swarm/psk/1.0.0/\n/base99/\n\(hexKey)", .encoding),
            ("/key/swarm/psk/1.0.0/\n/base16/\n\(hexKey)0", .keyText),
            ("/key/swarm/psk/1.0.0/\n/base16/\n\(hexKey)00", .keyLength(33)),
            ("/key/swarm/psk/1.0.0/\n/base16/\nxy", .keyText),
            ("/key/swarm/psk/1.0.0/\n/base64/\nAAA=", .keyLength(2)),
            (String(repeating: "x", count: 1025), .fileLength(1025)),
        ]
    )
    func wrongFile(text: String, fault: SwarmKeyFault) {
        #expect(throws: fault) { try SwarmKey(file: Array(text.utf8)) }
    }

    @Test("Two ends understand each other, cut anywhere", arguments: [1, 7, 23, 24, 25, 64, 100, 1000])
    func pair(chunk: Int) {
        let key = SwarmKey(SecretBytes(copying: hex(Self.hexKey)))
        var sender = PrivateNetworkSession(key: key, nonce: RandomBytes.make(24))
        var receiver = PrivateNetworkSession(key: key, nonce: RandomBytes.make(24))
        let plain = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
        var wire = sender.nonce + Self.encrypted(plain, by: &sender)
        var received: [UInt8] = []
        while !wire.isEmpty {
            var piece = Array(wire.prefix(chunk))
            wire.removeFirst(piece.count)
            let skipped = piece.withUnsafeMutableBytes { receiver.decrypt($0) }
            received += piece[skipped...]
        }
        #expect(received == plain)
    }

    private static func encrypted(_ plain: [UInt8], by session: inout PrivateNetworkSession) -> [UInt8] {
        var bytes = plain
        bytes.withUnsafeMutableBytes { session.encrypt($0) }
        return bytes
    }

    private static func ciphertext(_ key: SwarmKey) -> [UInt8] {
        var session = PrivateNetworkSession(key: key, nonce: [UInt8](repeating: 9, count: 24))
        return encrypted([UInt8](repeating: 0, count: 32), by: &session)
    }
}
