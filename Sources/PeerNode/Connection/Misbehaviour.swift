import LibP2P
import MRProtocol
import Multiformats

// Which faults are a peer's misbehaviour, for the log: what nobody does who keeps to the protocols. Ends, timeouts and
// limits of this node are not, nor is what a newer or another program may do.

extension ConnectionFault {
    /// Whether the peer misbehaved.
    var isMisbehaviour: Bool {
        switch self {
        case .noise(let fault): fault.isMisbehaviour
        case .yamux(let fault): fault.isMisbehaviour
        case .multistream(let fault): fault.isMisbehaviour
        // Whoever did not get as far as a handshake is no peer: a program of another kind, or with another swarm key.
        case .notUnderstood: false
        case .system, .timedOut, .ended, .closedHere, .writeStalled, .tooManyConnections, .displaced,
            .dialedSelf:
            false
        }
    }
}

extension NoiseFault {
    fileprivate var isMisbehaviour: Bool {
        switch self {
        case .messageLength, .decryptionFailed, .weakKey, .unexpectedPayload, .payload, .wrongPeer,
            .badSignature,
            .tooManyMuxers:
            true
        case .publicKey(.unsupportedType), .nonceExhausted: false
        case .publicKey: true
        }
    }
}

extension YamuxFault {
    fileprivate var isMisbehaviour: Bool {
        switch self {
        case .version, .frameType, .streamID, .parity, .duplicateStream, .windowExceeded, .tooManyPings,
            .tooManyResets, .tooManyEmptyFrames, .tooManyControlFrames:
            true
        case .keepaliveTimeout, .remoteGoAway: false
        }
    }
}

extension MultistreamFault {
    fileprivate var isMisbehaviour: Bool {
        switch self {
        case .badLength, .messageLength, .badText, .noHeader, .unexpectedAnswer, .tooManyProposals: true
        case .noneAgreed: false
        }
    }
}

extension StreamFault {
    /// Whether the peer misbehaved; what it did on the connection is told of there.
    var isMisbehaviour: Bool {
        if case .negotiation(let fault) = self { fault.isMisbehaviour } else { false }
    }
}

/// What the handlers of streams throw.
enum HandlerFault {
    /// Whether an error says that the peer sent something malformed.
    static func isMisbehaviour(_ error: any Error) -> Bool {
        switch error {
        case is DelimitedFault, is MessageFault, is BitswapCodecFault, is IdentifyFault: true
        default: false
        }
    }
}
