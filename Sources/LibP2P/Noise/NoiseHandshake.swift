package import Multiformats
package import PeerCrypto

/// libp2p's Noise handshake: XX with signed identities and early muxer negotiation.
///
/// Responsibilities: framing of the three messages, the payload and its checks, the muxer that both lists agree on.
/// Deviation: an unusable muxer list is no failure (the specification wants one); the muxer is then negotiated by
/// multistream, as go does.
///
///     initiator: start ─ 1 ► ◄ 2 ─ checks ─ 3 ► complete
///     responder: ◄ 1 ─ 2 ► ◄ 3 ─ checks ─ complete
///
/// **Source** libp2p/specs noise; WIRE sections 4 and 5.
package struct NoiseHandshake: ~Copyable, Sendable {
    /// Protocol id in multistream-select.
    package static let protocolID = "/noise"
    /// Longest handshake message accepted, in bytes; an RSA identity's needs about 1,200.
    package static let maxMessageByteCount = 4096

    /// Who the peer proved to be, and what was agreed.
    package struct Remote: Equatable, Sendable {
        /// The peer's identity key, which signed the static key of this handshake.
        package let publicKey: PublicKey
        /// The peer id of that key.
        package let peer: PeerID
        /// The muxer that starts right behind the handshake; `nil`: negotiate it by multistream.
        package let muxer: String?
    }

    private let role: NoiseRole
    private let identity: Ed25519.KeyPair
    private let muxers: [String]
    private let expectedPeer: PeerID?
    private var pattern: NoiseXX
    private var buffer: [UInt8] = []
    /// The peer; known once its payload passed every check.
    package private(set) var remote: Remote?

    /// Prepares a handshake.
    ///
    /// - Parameters:
    ///   - role: the one who dialed is the initiator.
    ///   - identity: signs the static key.
    ///   - staticKey: made for this process or connection, never stored.
    ///   - ephemeralKey: made for this handshake alone.
    ///   - muxers: what this end speaks, preferred first; empty to leave the extension out.
    ///   - expectedPeer: the peer dialed; `nil` accepts any.
    package init(
        role: NoiseRole,
        identity: Ed25519.KeyPair,
        staticKey: consuming X25519.KeyPair = .init(),
        ephemeralKey: consuming X25519.KeyPair = .init(),
        muxers: [String],
        expectedPeer: PeerID? = nil
    ) {
        self.role = role
        self.identity = identity
        self.muxers = muxers
        self.expectedPeer = expectedPeer
        pattern = NoiseXX(role: role, staticKey: staticKey, ephemeralKey: ephemeralKey)
    }

    /// Whether the channel is ready: nothing more is to be sent or received.
    package var isComplete: Bool { pattern.isComplete && remote != nil }

    /// The bytes to send first; none for the responder.
    package mutating func start() throws(NoiseFault) -> [UInt8] {
        role == .initiator ? Self.framed(try pattern.writeMessage([])) : []
    }

    /// Takes the peer's bytes, in pieces of any size.
    ///
    /// - Parameter bytes: shortened by what the handshake used; the rest belongs to the channel.
    /// - Returns: bytes to send.
    /// - Throws: a fault that ends the connection.
    package mutating func receive(_ bytes: inout ArraySlice<UInt8>) throws(NoiseFault) -> [UInt8] {
        var answer: [UInt8] = []
        while !isComplete, let message = try takeMessage(&bytes) {
            try receivePayload(try pattern.readMessage(message))
            guard pattern.isSending else { continue }
            answer += Self.framed(try pattern.writeMessage(payload().bytes))
        }
        return answer
    }

    /// Ends a complete handshake.
    package consuming func finish() -> NoiseTransport {
        precondition(isComplete, "the handshake is not over")
        return pattern.split()
    }

    /// The first muxer of the initiator's list that the responder has too; both ends compute the same.
    package static func chooseMuxer(initiator: [String], responder: [String]) -> String? {
        initiator.first { responder.contains($0) }
    }

    private mutating func receivePayload(_ bytes: [UInt8]) throws(NoiseFault) {
        if role == .responder, pattern.remoteStatic.isEmpty {
            guard bytes.isEmpty else { throw .unexpectedPayload }
            return
        }
        remote = try checked(NoisePayload(bytes: bytes))
    }

    /// The checks in WIRE's order: it decodes (done), key, peer id, signature; nothing is believed before the last.
    private borrowing func checked(_ payload: NoisePayload) throws(NoiseFault) -> Remote {
        let publicKey: PublicKey
        do { publicKey = try PublicKey(bytes: payload.identityKey) } catch { throw .publicKey(error) }
        let peer = PeerID(publicKey)
        if let expectedPeer, peer != expectedPeer { throw .wrongPeer(peer) }
        let signed = NoisePayload.signedBytes(staticKey: pattern.remoteStatic)
        guard Ed25519.PublicKey(publicKey.ed25519)?.isValidSignature(payload.signature, of: signed) == true
        else {
            throw .badSignature
        }
        let muxer =
            switch role {
            case .initiator: Self.chooseMuxer(initiator: muxers, responder: payload.muxers)
            case .responder: Self.chooseMuxer(initiator: payload.muxers, responder: muxers)
            }
        return Remote(publicKey: publicKey, peer: peer, muxer: muxer)
    }

    private borrowing func payload() throws(NoiseFault) -> NoisePayload {
        let key: PublicKey
        do { key = try PublicKey(ed25519: identity.publicKey.bytes) } catch { throw .publicKey(error) }
        let signature = identity.sign(NoisePayload.signedBytes(staticKey: pattern.localStatic))
        return NoisePayload(identityKey: key.bytes, signature: signature, muxers: muxers)
    }

    private mutating func takeMessage(_ bytes: inout ArraySlice<UInt8>) throws(NoiseFault) -> [UInt8]? {
        Self.move(2, from: &bytes, to: &buffer)
        guard buffer.count >= 2 else { return nil }
        let length = Int(buffer[0]) << 8 | Int(buffer[1])
        guard length <= Self.maxMessageByteCount else { throw .messageLength(length) }
        Self.move(2 + length, from: &bytes, to: &buffer)
        guard buffer.count == 2 + length else { return nil }
        defer { buffer = [] }
        return Array(buffer[2...])
    }

    /// Fills `buffer` up to `total` bytes.
    private static func move(_ total: Int, from bytes: inout ArraySlice<UInt8>, to buffer: inout [UInt8]) {
        let piece = bytes.prefix(max(0, total - buffer.count))
        buffer += piece
        bytes = bytes.dropFirst(piece.count)
    }

    private static func framed(_ message: [UInt8]) -> [UInt8] {
        [UInt8(message.count >> 8), UInt8(message.count & 0xff)] + message
    }
}
