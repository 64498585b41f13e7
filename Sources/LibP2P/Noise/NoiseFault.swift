package import Multiformats

/// Why a Noise channel failed; scope: the connection, which is closed without a message.
package enum NoiseFault: Error, Equatable, Sendable {
    /// A message is shorter than its parts, or longer than a handshake message may be.
    case messageLength(Int)
    /// A tag did not match.
    case decryptionFailed
    /// A public key of small order, whose shared secret is zero.
    case weakKey
    /// Message 1 carried a payload.
    case unexpectedPayload
    case payload(Protobuf.Fault)
    case publicKey(PublicKeyFault)
    /// The peer proved to be another one than was dialed.
    case wrongPeer(PeerID)
    case badSignature
    case tooManyMuxers(Int)
    /// 2⁶⁴ − 1 messages were sent under one key.
    case nonceExhausted
}
