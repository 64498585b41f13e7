package import LibP2P

/// Why a connection could not be made, or ended.
package enum ConnectionFault: Error, Equatable, Sendable {
    case system(SystemError)
    case timedOut
    /// The peer closed TCP.
    case ended
    /// This node closed it.
    case closedHere
    case multistream(MultistreamFault)
    case noise(NoiseFault)
    case yamux(YamuxFault)
    /// The socket took no bytes for `ConnectionLimits.writeStallTimeout`.
    case writeStalled
    /// A limit of `ConnectionLimits` was reached.
    case tooManyConnections
    /// The peer is this node itself.
    case dialedSelf

    /// What happened, for a message to the user.
    package var reason: String {
        if case .system(let error) = self { error.description } else { name }
    }

    /// A short stable name for counters.
    package var name: String {
        switch self {
        case .system(let error): "system error \(error.code)"
        case .timedOut: "timed out"
        case .ended: "closed by peer"
        case .closedHere: "closed here"
        case .multistream: "negotiation failed"
        case .noise(.wrongPeer): "wrong peer id"
        case .noise(.badSignature): "bad signature"
        case .noise: "security failed"
        case .yamux(.keepaliveTimeout): "keepalive timeout"
        case .yamux(.remoteGoAway): "peer went away"
        case .yamux: "muxer protocol error"
        case .writeStalled: "write stalled"
        case .tooManyConnections: "too many connections"
        case .dialedSelf: "dialed itself"
        }
    }
}
