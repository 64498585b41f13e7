internal import CSodium

/// HMAC-SHA-256 and the two-output HKDF of the Noise framework, by libsodium.
public enum HMACSHA256: Sendable {
    /// Length of a tag in bytes.
    public static let byteCount = 32

    /// Authenticates the concatenation of `parts`.
    ///
    /// **Source** RFC 2104.
    public static func authenticate(key: UnsafeRawBufferPointer, _ parts: UnsafeRawBufferPointer...)
        -> SecretBytes
    {
        Sodium.ensureReady()
        return SecretBytes(count: byteCount) { tag in
            var state = crypto_auth_hmacsha256_state()
            crypto_auth_hmacsha256_init(&state, key.octets, key.count)
            for part in parts where !part.isEmpty {
                crypto_auth_hmacsha256_update(
                    &state,
                    part.octets,
                    UInt64(part.count)
                )
            }
            crypto_auth_hmacsha256_final(&state, tag.octets)
            withUnsafeMutableBytes(of: &state) { sodium_memzero($0.octets, $0.count) }
        }
    }

    /// Replaces a chaining key by the first output of HKDF, and gives the second.
    ///
    /// **Source** Noise Protocol Framework revision 34, section 4.3: HKDF with two outputs.
    ///
    /// - Parameters:
    ///   - chainingKey: replaced by the first output.
    ///   - material: new key material, possibly none.
    /// - Returns: the second output, 32 bytes.
    public static func ratchet(chainingKey: inout SecretBytes, material: UnsafeRawBufferPointer)
        -> SecretBytes
    {
        let temporary = chainingKey.withUnsafeBytes { authenticate(key: $0, material) }
        return temporary.withUnsafeBytes { key in
            chainingKey = withUnsafeBytes(of: UInt8(1)) { authenticate(key: key, $0) }
            return chainingKey.withUnsafeBytes { first in
                withUnsafeBytes(of: UInt8(2)) { authenticate(key: key, first, $0) }
            }
        }
    }
}
