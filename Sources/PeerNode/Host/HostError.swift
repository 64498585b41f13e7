import Multiformats

/// Why a host could not do what was asked.
package struct HostError: Error, Sendable, CustomStringConvertible {
    /// What kind of failure it is.
    package enum Code: Hashable, Sendable {
        /// The address is no TCP address, or listening on it failed.
        case cannotListen
        /// No address of the peer is known.
        case noAddress
        /// Every address failed, or is being left alone after failures.
        case unreachable
        /// The peer answered under another id.
        case wrongPeer
        /// The peer serves none of the protocols.
        case protocolsRefused
        /// The connection or stream ended before the answer.
        case interrupted
        /// A limit of this node was reached.
        case limit
        /// The host is stopping.
        case stopped
    }

    /// What kind of failure it is.
    package let code: Code
    /// What failed, on what, and why.
    package let message: String

    /// A failure with its message.
    package init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    package var description: String { message }

    init(_ fault: StreamFault, to peer: PeerID, protocols: [String]) {
        switch fault {
        case .protocolsRefused:
            self.init(.protocolsRefused, "peer \(peer) does not serve \(protocols.joined(separator: ", "))")
        case .connection(let fault):
            self.init(.interrupted, "the connection to \(peer) ended: \(fault)")
        case .resetByPeer:
            self.init(.interrupted, "peer \(peer) reset the stream for \(protocols.joined(separator: ", "))")
        case .timedOut:
            self.init(.interrupted, "peer \(peer) did not answer in time")
        case .closedHere, .cancelled, .negotiation:
            self.init(.interrupted, "the stream to \(peer) ended: \(fault)")
        }
    }
}
