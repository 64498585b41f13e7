import Multiformats

/// Where a connection comes from, as far as its share of the connections is concerned: one IPv4 address, or one IPv6
/// network of 64 bits, all of whose addresses a single machine may have.
struct RemoteNetwork: Hashable, Sendable {
    private let bytes: [UInt8]

    /// The network of an endpoint; names, which no accepted socket has, share one.
    init(_ endpoint: TCPEndpoint) {
        switch endpoint.host {
        case .ip4(let address): bytes = address.bytes
        case .ip6(let address): bytes = Array(address.bytes.prefix(8))
        case .name: bytes = []
        }
    }
}
