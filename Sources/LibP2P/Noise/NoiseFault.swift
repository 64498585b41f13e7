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

extension NoiseFault: CustomStringConvertible {
    /// What is wrong, in words.
    package var description: String {
        switch self {
        case .messageLength(let count): "a message of \(count) bytes is none of the handshake's"
        case .decryptionFailed: "a message is not encrypted with the key that was agreed"
        case .weakKey: "its key is of small order"
        case .unexpectedPayload: "the first message has a payload"
        case .payload: "its payload is malformed"
        case .publicKey: "its public key is malformed, or of a kind that is not read here"
        case .wrongPeer(let peer): "it is peer \(peer)"
        case .badSignature: "its signature is wrong"
        case .tooManyMuxers(let count): "it offers \(count) muxers"
        case .nonceExhausted: "too many messages were sent under one key"
        }
    }
}
