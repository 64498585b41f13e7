internal import CCrypto

extension SHA256 {
    /// SHA-256 over bytes that come in pieces.
    public struct Hasher: ~Copyable {
        private let context: OpaquePointer

        /// Starts an empty message.
        public init() {
            guard let context = EVP_MD_CTX_new() else { preconditionFailure("libcrypto is out of memory") }
            self.context = context
            let done = EVP_DigestInit_ex(context, EVP_sha256(), nil)
            precondition(done == 1, "libcrypto refused SHA-256")
        }

        deinit { EVP_MD_CTX_free(context) }

        /// Adds the next bytes.
        public mutating func update(_ bytes: UnsafeRawBufferPointer) {
            let done = EVP_DigestUpdate(context, bytes.baseAddress, bytes.count)
            precondition(done == 1, "libcrypto refused \(bytes.count) bytes")
        }

        /// Adds the next bytes.
        public mutating func update(_ bytes: some Collection<UInt8>) {
            let done: Void? = bytes.withContiguousStorageIfAvailable { update(UnsafeRawBufferPointer($0)) }
            if done == nil { Array(bytes).withUnsafeBytes { update($0) } }
        }

        /// The 32-byte digest of everything added.
        public consuming func finalize() -> [UInt8] {
            [UInt8](unsafeUninitializedCapacity: SHA256.digestByteCount) { digest, count in
                let done = EVP_DigestFinal_ex(context, digest.baseAddress, nil)
                precondition(done == 1, "libcrypto could not finish a digest")
                count = SHA256.digestByteCount
            }
        }
    }
}

// One owner at a time (it cannot be copied), and libcrypto contexts are not bound to a thread.
extension SHA256.Hasher: @unchecked Sendable {}
