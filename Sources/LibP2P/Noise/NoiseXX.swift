package import PeerCrypto

/// The three messages of the XX pattern, with payloads of any kind.
///
///     -> e
///     <- e, ee, s, es
///     -> s, se
///
/// Keys are injected, so that known transcripts can be replayed. Framing is the caller's.
///
/// **Source** Noise Protocol Framework revision 34, sections 5.3 and 7.5; WIRE section 4.
package struct NoiseXX: ~Copyable, Sendable {
    private enum Message {
        case first, second, third, done
    }

    private let role: NoiseRole
    private let staticKey: X25519.KeyPair
    private let ephemeralKey: X25519.KeyPair
    private var symmetric = NoiseSymmetricState()
    private var next = Message.first
    private var remoteEphemeral: [UInt8] = []
    /// The peer's static key, once message 2 (or 3) delivered it.
    package private(set) var remoteStatic: [UInt8] = []

    /// Starts a handshake with keys of its own.
    package init(role: NoiseRole, staticKey: consuming X25519.KeyPair, ephemeralKey: consuming X25519.KeyPair)
    {
        self.role = role
        self.staticKey = staticKey
        self.ephemeralKey = ephemeralKey
    }

    /// Whether all three messages have passed.
    package var isComplete: Bool { next == .done }
    /// Whether this end sends the next message.
    package var isSending: Bool {
        switch next {
        case .first, .third: role == .initiator
        case .second: role == .responder
        case .done: false
        }
    }
    /// The running hash, which both ends share after the handshake.
    package var handshakeHash: [UInt8] { symmetric.hash }
    /// This end's static public key.
    package var localStatic: [UInt8] { staticKey.publicKey }

    /// Makes the next message.
    package mutating func writeMessage(_ payload: [UInt8]) throws(NoiseFault) -> [UInt8] {
        precondition(isSending, "it is the peer's turn in the handshake")
        var message: [UInt8] = []
        switch next {
        case .first:
            message += sendEphemeral()
            next = .second
        case .second:
            message += sendEphemeral()
            try mixAgreement(.ephemeral, .ephemeral)
            message += symmetric.encryptAndHash(staticKey.publicKey)
            try mixAgreement(.static, .ephemeral)
            next = .third
        case .third:
            message += symmetric.encryptAndHash(staticKey.publicKey)
            try mixAgreement(.static, .ephemeral)
            next = .done
        case .done:
            preconditionFailure("the handshake is over")
        }
        return message + symmetric.encryptAndHash(payload)
    }

    /// Reads the peer's next message.
    ///
    /// - Returns: its payload.
    package mutating func readMessage(_ message: [UInt8]) throws(NoiseFault) -> [UInt8] {
        precondition(!isSending && next != .done, "it is this end's turn in the handshake")
        var rest = message[...]
        switch next {
        case .first:
            try receiveEphemeral(&rest)
            next = .second
        case .second:
            try receiveEphemeral(&rest)
            try mixAgreement(.ephemeral, .ephemeral)
            try receiveStatic(&rest)
            try mixAgreement(.ephemeral, .static)
            next = .third
        case .third:
            try receiveStatic(&rest)
            try mixAgreement(.ephemeral, .static)
            next = .done
        case .done:
            preconditionFailure("the handshake is over")
        }
        return try symmetric.decryptAndHash(Array(rest))
    }

    /// Ends a complete handshake.
    package consuming func split() -> NoiseTransport {
        precondition(isComplete, "the handshake is not over")
        return symmetric.split(role: role)
    }

    private enum Key {
        case `static`, ephemeral
    }

    private mutating func sendEphemeral() -> [UInt8] {
        symmetric.mixHash(ephemeralKey.publicKey)
        return ephemeralKey.publicKey
    }

    private mutating func receiveEphemeral(_ rest: inout ArraySlice<UInt8>) throws(NoiseFault) {
        remoteEphemeral = try Self.take(X25519.keyByteCount, from: &rest)
        symmetric.mixHash(remoteEphemeral)
    }

    private mutating func receiveStatic(_ rest: inout ArraySlice<UInt8>) throws(NoiseFault) {
        let sealed = try Self.take(X25519.keyByteCount + ChaChaPoly.tagByteCount, from: &rest)
        remoteStatic = try symmetric.decryptAndHash(sealed)
    }

    /// Mixes DH(our key, their key); which pair it is differs by role, as `ee`, `es` and `se` prescribe.
    private mutating func mixAgreement(_ local: Key, _ remote: Key) throws(NoiseFault) {
        let theirs = remote == .static ? remoteStatic : remoteEphemeral
        let shared =
            local == .static ? staticKey.sharedSecret(with: theirs) : ephemeralKey.sharedSecret(with: theirs)
        guard let shared else { throw .weakKey }
        symmetric.mixKey(shared)
    }

    private static func take(_ count: Int, from rest: inout ArraySlice<UInt8>) throws(NoiseFault) -> [UInt8] {
        guard rest.count >= count else { throw .messageLength(rest.count) }
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
    }
}
