internal import Glibc
package import Multiformats
package import PeerCrypto

/// The node's Ed25519 key, kept as a 32-byte seed in a file that only its owner may read.
package enum IdentityFile {
    /// Reads the key of a home, making one first when there is none.
    ///
    /// - Throws: `NodeError` with code `file` when the file cannot be used.
    package static func load(_ home: HomeFolder) throws(NodeError) -> Ed25519.KeyPair {
        if let seed = try read(home) { return Ed25519.KeyPair(seed: seed) }
        let fresh = SecretBytes(randomCount: Ed25519.seedByteCount)
        _ = try TextFile.create(home.identityKey, fresh.withUnsafeBytes { Array($0) })
        // Read back: another process may have been first.
        guard let seed = try read(home) else { throw NodeError(.file, "\(home.identityKey) vanished") }
        return Ed25519.KeyPair(seed: seed)
    }

    /// The peer id of a key.
    package static func peerID(of key: Ed25519.KeyPair) throws(NodeError) -> PeerID {
        do { return PeerID(try PublicKey(ed25519: key.publicKey.bytes)) } catch {
            throw NodeError(.internal, "the node's key has no peer id: \(error)")
        }
    }

    private static func read(_ home: HomeFolder) throws(NodeError) -> SecretBytes? {
        guard let bytes = try TextFile.read(home.identityKey, limit: 4_096) else { return nil }
        guard bytes.count == Ed25519.seedByteCount else {
            throw NodeError(
                .file,
                "\(home.identityKey) is not a key of \(Ed25519.seedByteCount) bytes; restore it, or remove it for a new identity"
            )
        }
        return SecretBytes(copying: bytes)
    }
}
