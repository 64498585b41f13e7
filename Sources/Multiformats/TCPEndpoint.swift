/// What a TCP dialer or listener needs of a multiaddr: a host and a port.
public struct TCPEndpoint: Hashable, Sendable {
    /// An address, or a name still to be resolved.
    public enum Host: Hashable, Sendable {
        case ip4(IPv4Address)
        case ip6(IPv6Address)
        /// `version` restricts what the name may resolve to; `nil` means either.
        case name(String, version: IPVersion?)
    }

    /// Versions of the Internet Protocol.
    public enum IPVersion: Hashable, Sendable {
        case v4
        case v6
    }

    /// Where to dial, or the address to listen on.
    public var host: Host
    /// TCP port; 0 lets a listener pick one.
    public var port: UInt16

    /// An endpoint of a host and a port.
    public init(host: Host, port: UInt16) {
        self.host = host
        self.port = port
    }

    /// The endpoint as an address without a peer.
    public var multiaddr: Multiaddr {
        let first: Multiaddr.Component =
            switch host {
            case .ip4(let address): .ip4(address)
            case .ip6(let address): .ip6(address)
            case .name(let name, nil): .dns(name)
            case .name(let name, .v4): .dns4(name)
            case .name(let name, .v6): .dns6(name)
            }
        return Multiaddr([first, .tcp(port)])
    }
}

extension Multiaddr {
    /// Host and port when the address is plain TCP, with or without a peer behind; `nil` for any other (relays, QUIC).
    public var tcpEndpoint: TCPEndpoint? {
        guard let plain = withoutPeer, plain.components.count == 2, case .tcp(let port) = plain.components[1]
        else {
            return nil
        }
        switch plain.components[0] {
        case .ip4(let address): return TCPEndpoint(host: .ip4(address), port: port)
        case .ip6(let address): return TCPEndpoint(host: .ip6(address), port: port)
        case .dns(let name): return TCPEndpoint(host: .name(name, version: nil), port: port)
        case .dns4(let name): return TCPEndpoint(host: .name(name, version: .v4), port: port)
        case .dns6(let name): return TCPEndpoint(host: .name(name, version: .v6), port: port)
        case .dnsaddr, .tcp, .udp, .quicV1, .p2p, .p2pCircuit: return nil
        }
    }
}
