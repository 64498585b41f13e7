import CLinux
import Glibc
import Multiformats

/// Resolves host names by the system's resolver, on a thread of its own because it blocks.
actor NameResolver {
    /// Addresses taken of one name.
    static let maxAddressCount = 8

    private let executor = ThreadExecutor()

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    /// The endpoints that a name stands for; the endpoint itself when it has an address already.
    func resolve(_ endpoint: TCPEndpoint) -> [TCPEndpoint] {
        guard case .name(let name, let version) = endpoint.host else { return [endpoint] }
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        hints.ai_family =
            switch version {
            case .v4: AF_INET
            case .v6: AF_INET6
            case nil: AF_UNSPEC
            }
        var first: UnsafeMutablePointer<addrinfo>?
        guard getaddrinfo(name, nil, &hints, &first) == 0 else { return [] }
        defer { freeaddrinfo(first) }
        return Self.endpoints(first, port: endpoint.port)
    }

    private static func endpoints(_ first: UnsafeMutablePointer<addrinfo>?, port: UInt16) -> [TCPEndpoint] {
        var found: [TCPEndpoint] = []
        var next = first
        while let entry = next?.pointee, found.count < maxAddressCount {
            if let address = entry.ai_addr,
                var endpoint = SocketAddress(copying: address, entry.ai_addrlen)?.endpoint
            {
                endpoint.port = port
                found.append(endpoint)
            }
            next = entry.ai_next
        }
        return found
    }
}
