internal import CSodium

/// Ed25519 signatures by libsodium; the message itself is signed, without a prehash.
///
/// **Source** RFC 8032 section 5.1.
public enum Ed25519: Sendable {
    /// Length of a public key in bytes.
    public static let publicKeyByteCount = 32
    /// Length of the seed that a key pair is made of, in bytes.
    public static let seedByteCount = 32
    /// Length of a signature in bytes.
    public static let signatureByteCount = 64

    /// A public key: 32 bytes, not checked to be a point of the curve until it verifies something.
    public struct PublicKey: Hashable, Sendable {
        /// The 32 bytes of the key.
        public let bytes: [UInt8]

        /// Takes a key's bytes; `nil` for another length than 32.
        public init?(_ bytes: some Collection<UInt8>) {
            guard bytes.count == publicKeyByteCount else { return nil }
            self.bytes = Array(bytes)
        }

        /// Whether `signature` is this key's signature of `message`; false for a signature of the wrong length.
        public func isValidSignature(_ signature: [UInt8], of message: [UInt8]) -> Bool {
            guard signature.count == signatureByteCount else { return false }
            Sodium.ensureReady()
            return crypto_sign_verify_detached(signature, message, UInt64(message.count), bytes) == 0
        }
    }

    /// A key pair that signs, shared by reference so that the secret half exists once.
    public final class KeyPair: Sendable {
        /// The public half.
        public let publicKey: PublicKey
        private let secretKey: SecretBytes

        /// Makes the key pair of a seed.
        ///
        /// - Parameter seed: exactly 32 bytes.
        public init(seed: borrowing SecretBytes) {
            precondition(seed.count == seedByteCount, "an Ed25519 seed has 32 bytes, not \(seed.count)")
            Sodium.ensureReady()
            var publicBytes = [UInt8](repeating: 0, count: publicKeyByteCount)
            secretKey = SecretBytes(count: Int(crypto_sign_secretkeybytes())) { secret in
                seed.withUnsafeBytes { seed in
                    let made = crypto_sign_seed_keypair(
                        &publicBytes,
                        secret.octets,
                        seed.octets
                    )
                    precondition(made == 0, "libsodium refused an Ed25519 seed")
                }
            }
            guard let publicKey = PublicKey(publicBytes) else {
                preconditionFailure("a public key has 32 bytes")
            }
            self.publicKey = publicKey
        }

        /// Makes a new random key pair.
        public convenience init() {
            self.init(seed: SecretBytes(randomCount: seedByteCount))
        }

        /// Signs a message; always the same 64 bytes for the same message.
        public func sign(_ message: [UInt8]) -> [UInt8] {
            [UInt8](unsafeUninitializedCapacity: signatureByteCount) { signature, count in
                secretKey.withUnsafeBytes { secret in
                    _ = crypto_sign_detached(
                        UnsafeMutableRawBufferPointer(signature).octets,
                        nil,
                        message,
                        UInt64(message.count),
                        secret.octets
                    )
                }
                count = signatureByteCount
            }
        }
    }
}
