public import PeerCrypto

/// The keys of `PeerCrypto` as signers and verifiers of envelopes.
extension PublicKey {
    /// The libp2p form of an Ed25519 key.
    public init(_ key: Ed25519.PublicKey) {
        self.init(uncheckedEd25519: key.bytes)
    }

    /// Whether `signature` over `message` was made with the private half of this key.
    public func isValidSignature(_ signature: [UInt8], of message: [UInt8]) -> Bool {
        Ed25519.PublicKey(ed25519)?.isValidSignature(signature, of: message) ?? false
    }
}

extension PeerID {
    /// The peer that holds `keyPair`.
    public init(_ keyPair: Ed25519.KeyPair) { self.init(PublicKey(keyPair.publicKey)) }
}

extension SignedEnvelope {
    /// Checks signatures with libsodium.
    public static let ed25519Verifier: Verifier = { key, message, signature in
        key.isValidSignature(signature, of: message)
    }

    /// Signs a payload with a key pair.
    public init(domain: String, payloadType: [UInt8], payload: [UInt8], keyPair: Ed25519.KeyPair) {
        self.init(
            domain: domain,
            payloadType: payloadType,
            payload: payload,
            publicKey: PublicKey(keyPair.publicKey),
            sign: keyPair.sign
        )
    }
}

extension SignedPeerRecord {
    /// Signs the record of the peer that holds `keyPair`.
    public init(sequence: UInt64, addresses: [Multiaddr], keyPair: Ed25519.KeyPair) {
        self.init(
            PeerRecord(peer: PeerID(keyPair), sequence: sequence, addresses: addresses),
            publicKey: PublicKey(keyPair.publicKey),
            sign: keyPair.sign
        )
    }
}
