internal import PeerCrypto

/// The running hash, chaining key and cipher key of a Noise handshake.
///
/// **Source** Noise Protocol Framework revision 34, section 5.2.
struct NoiseSymmetricState: ~Copyable, Sendable {
    /// Exactly 32 bytes, so it is the first hash itself, unhashed.
    static let protocolName = "Noise_XX_25519_ChaChaPoly_SHA256"

    private(set) var hash: [UInt8]
    private var chainingKey: SecretBytes
    /// `nil` before the first `mixKey`: payloads travel in clear until then.
    private var cipherKey: SecretBytes?
    private var nonce: UInt64 = 0

    /// Starts with the protocol name and mixes the empty prologue, which changes the hash all the same.
    init() {
        hash = Array(Self.protocolName.utf8)
        chainingKey = SecretBytes(copying: hash)
        mixHash([])
    }

    mutating func mixHash(_ bytes: [UInt8]) {
        hash = SHA256.hash(hash + bytes)
    }

    mutating func mixKey(_ material: borrowing SecretBytes) {
        cipherKey = material.withUnsafeBytes { HMACSHA256.ratchet(chainingKey: &chainingKey, material: $0) }
        nonce = 0
    }

    mutating func encryptAndHash(_ plaintext: [UInt8]) -> [UInt8] {
        let ciphertext = encrypt(plaintext)
        mixHash(ciphertext)
        return ciphertext
    }

    mutating func decryptAndHash(_ ciphertext: [UInt8]) throws(NoiseFault) -> [UInt8] {
        let plaintext = try decrypt(ciphertext)
        mixHash(ciphertext)
        return plaintext
    }

    /// Ends the handshake: the first key belongs to the initiator's direction.
    consuming func split(role: NoiseRole) -> NoiseTransport {
        let second = HMACSHA256.ratchet(chainingKey: &chainingKey, material: .init(start: nil, count: 0))
        return switch role {
        case .initiator: NoiseTransport(sendingKey: chainingKey, receivingKey: second)
        case .responder: NoiseTransport(sendingKey: second, receivingKey: chainingKey)
        }
    }

    private mutating func encrypt(_ plaintext: [UInt8]) -> [UInt8] {
        guard var cipher = takeCipher(.sealing) else { return plaintext }
        let byteCount = plaintext.count + ChaChaPoly.tagByteCount
        return [UInt8](unsafeUninitializedCapacity: byteCount) { output, count in
            let output = UnsafeMutableRawBufferPointer(output)
            hash.withUnsafeBytes { cipher.begin(additionalData: $0) }
            plaintext.withUnsafeBytes { cipher.update($0, into: output.baseAddress) }
            cipher.finishSealing(tag: .init(rebasing: output[plaintext.count...]))
            count = byteCount
        }
    }

    private mutating func decrypt(_ ciphertext: [UInt8]) throws(NoiseFault) -> [UInt8] {
        guard var cipher = takeCipher(.opening) else { return ciphertext }
        let byteCount = ciphertext.count - ChaChaPoly.tagByteCount
        guard byteCount >= 0 else { throw .messageLength(ciphertext.count) }
        var isGenuine = false
        let plaintext = [UInt8](unsafeUninitializedCapacity: byteCount) { output, count in
            hash.withUnsafeBytes { cipher.begin(additionalData: $0) }
            ciphertext.withUnsafeBytes { input in
                cipher.update(
                    .init(rebasing: input[..<byteCount]),
                    into: UnsafeMutableRawPointer(output.baseAddress)
                )
                isGenuine = cipher.finishOpening(tag: .init(rebasing: input[byteCount...]))
            }
            count = byteCount
        }
        guard isGenuine else { throw .decryptionFailed }
        return plaintext
    }

    private mutating func takeCipher(_ direction: ChaChaPoly.Direction) -> ChaChaPoly? {
        guard cipherKey != nil else { return nil }
        defer { nonce += 1 }
        return makeCipher(direction)
    }

    private borrowing func makeCipher(_ direction: ChaChaPoly.Direction) -> ChaChaPoly? {
        switch cipherKey {
        case .some(let key): ChaChaPoly(key: key, direction, messageCount: nonce)
        case .none: nil
        }
    }
}

/// Which end of a Noise handshake this is; the one who dialed TCP is the initiator.
package enum NoiseRole: Sendable {
    case initiator
    case responder
}
