package import LibP2P
package import Multiformats
package import PeerCrypto

/// What a host is made with.
package struct HostConfiguration: Sendable {
    /// The node's key; its peer id follows from it.
    package var identity: Ed25519.KeyPair
    /// Addresses to listen on; names are not allowed, port 0 picks one.
    package var listen: [Multiaddr]
    /// The key of the private network; `nil`: an open network.
    package var swarmKey: SwarmKey?
    /// Name and version of the program, for identify.
    package var agent: String
    /// Whether the protocols for tests and benchmarks are served.
    package var servesDiagnostics: Bool
    /// What peers may do.
    package var limits = HostLimits()
    /// Takes what belongs into the log: connections and streams refused or closed for a fault, a few of each reason.
    ///
    /// It must not block.
    package var onFault: @Sendable (NetworkFault) -> Void = { _ in }

    /// A configuration; no swarm key and no diagnostics unless said otherwise.
    package init(
        identity: Ed25519.KeyPair,
        listen: [Multiaddr],
        swarmKey: SwarmKey? = nil,
        agent: String = "peernode",
        servesDiagnostics: Bool = false
    ) {
        self.identity = identity
        self.listen = listen
        self.swarmKey = swarmKey
        self.agent = agent
        self.servesDiagnostics = servesDiagnostics
    }
}

/// What a host says of itself, for `status`.
package struct HostStatus: Sendable {
    /// Addresses that others may dial, without the peer id.
    package var addresses: [Multiaddr]
    /// Live connections, handshakes under way, and open streams.
    package var connectionCount: Int
    package var upgradingCount: Int
    package var streamCount: Int
    /// What was refused or failed, by kind and reason.
    package var counters: [String: [String: UInt64]]
}
