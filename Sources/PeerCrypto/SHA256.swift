internal import CCrypto

/// SHA-256 by libcrypto, which uses the processor's SHA instructions (libsodium's does not).
public enum SHA256: Sendable {
    /// Length of a digest in bytes.
    public static let digestByteCount = 32

    /// Hashes one contiguous run of bytes.
    ///
    /// - Parameter bytes: any length, also none.
    /// - Returns: the 32-byte digest.
    /// - Source: FIPS 180-4.
    public static func hash(_ bytes: UnsafeRawBufferPointer) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: digestByteCount) { digest, count in
            let done = EVP_Digest(bytes.baseAddress, bytes.count, digest.baseAddress, nil, EVP_sha256(), nil)
            precondition(done == 1, "libcrypto refused SHA-256 over \(bytes.count) bytes")
            count = digestByteCount
        }
    }

    /// Hashes an array of bytes.
    public static func hash(_ bytes: [UInt8]) -> [UInt8] {
        bytes.withUnsafeBytes { hash($0) }
    }
}
