import Glibc
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
    /// Its handshake took long, and others of the same address needed the place.
    case displaced
    /// The other end said something, or closed, before the two had agreed on anything: it may speak another protocol,
    /// or encrypt with another swarm key.
    indirect case notUnderstood(ConnectionFault)
    /// The peer is this node itself.
    case dialedSelf

    /// What happened, for a message to the user.
    package var reason: String {
        switch self {
        case .multistream(let fault): "negotiation failed: \(fault)"
        case .noise(.wrongPeer(let peer)): "it is peer \(peer)"
        case .noise(let fault): "security failed: \(fault)"
        case .yamux(let fault): "\(fault)"
        case .notUnderstood(let fault): fault.reason
        case .system(let error): error.description
        case .timedOut, .ended, .closedHere, .writeStalled, .tooManyConnections, .displaced,
            .dialedSelf:
            name
        }
    }

    /// What happened, and what the operator may look at; `hasSwarmKey`: this node is in a private network.
    func advice(hasSwarmKey: Bool) -> String {
        guard case .notUnderstood = self else { return reason }
        return reason
            + (hasSwarmKey ? "; is its swarm.key the same?" : "; does its network have a swarm.key?")
    }

    /// Whether the connection ended as connections do, and nobody is to blame.
    var isOrdinary: Bool {
        switch self {
        case .ended, .closedHere, .yamux(.remoteGoAway(0)): true
        // A peer that leaves while bytes are on their way to it.
        case .system(let error): error.code == ECONNRESET || error.code == EPIPE
        default: false
        }
    }

    /// A short stable name for counters.
    package var name: String {
        switch self {
        case .system(let error): error.description.lowercased()
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
        case .displaced: "dropped for a newer handshake"
        case .notUnderstood(let fault): fault.name
        case .dialedSelf: "dialed itself"
        }
    }
}

extension ConnectionFault: CustomStringConvertible {
    /// As `reason`.
    package var description: String { reason }
}
