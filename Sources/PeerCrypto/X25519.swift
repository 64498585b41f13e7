internal import CSodium

/// X25519 key agreement by libsodium.
///
/// **Source** RFC 7748 section 5.
public enum X25519: Sendable {
    /// Length of either half of a key pair, and of the shared secret, in bytes.
    public static let keyByteCount = 32

    /// A key pair for one handshake or one process.
    public struct KeyPair: ~Copyable, Sendable {
        /// The public half, 32 bytes.
        public let publicKey: [UInt8]
        private let secretKey: SecretBytes

        /// Derives the public half of a secret.
        ///
        /// - Parameter secret: exactly 32 bytes.
        public init(secret: consuming SecretBytes) {
            precondition(secret.count == keyByteCount, "an X25519 secret has 32 bytes, not \(secret.count)")
            Sodium.ensureReady()
            var publicBytes = [UInt8](repeating: 0, count: keyByteCount)
            secret.withUnsafeBytes { secret in
                _ = crypto_scalarmult_base(&publicBytes, secret.octets)
            }
            publicKey = publicBytes
            secretKey = secret
        }

        /// Makes a new random key pair.
        public init() {
            self.init(secret: SecretBytes(randomCount: keyByteCount))
        }

        /// Agrees on a secret with the owner of `publicKey`.
        ///
        /// - Returns: 32 shared bytes, or `nil` when the key has another length or gives the all-zero result, as a
        ///   point of small order does.
        public borrowing func sharedSecret(with publicKey: [UInt8]) -> SecretBytes? {
            guard publicKey.count == keyByteCount else { return nil }
            var agreed = false
            let shared = SecretBytes(count: keyByteCount) { shared in
                secretKey.withUnsafeBytes { secret in
                    agreed =
                        crypto_scalarmult(
                            shared.octets,
                            secret.octets,
                            publicKey
                        ) == 0
                }
            }
            guard agreed else { return nil }
            return shared
        }
    }
}
