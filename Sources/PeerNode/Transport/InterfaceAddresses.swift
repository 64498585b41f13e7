import CLinux
import Glibc
import Multiformats

/// The addresses that a wildcard listener is reached at: those of all interfaces that are up.
enum InterfaceAddresses {
    /// Addresses listed at most.
    static let maxCount = 16

    /// Replaces `0.0.0.0` and `::` by the interfaces' addresses; other endpoints stay as they are.
    static func expand(_ endpoint: TCPEndpoint) -> [TCPEndpoint] {
        switch endpoint.host {
        case .ip4(let address) where address.bytes.allSatisfy({ $0 == 0 }): all(AF_INET, port: endpoint.port)
        case .ip6(let address) where address.bytes.allSatisfy({ $0 == 0 }): all(AF_INET6, port: endpoint.port)
        case .ip4, .ip6, .name: [endpoint]
        }
    }

    private static func all(_ family: Int32, port: UInt16) -> [TCPEndpoint] {
        var first: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&first) == 0 else { return [] }
        defer { freeifaddrs(first) }
        var found: [TCPEndpoint] = []
        var next = first
        while let entry = next?.pointee, found.count < maxCount {
            next = entry.ifa_next
            guard let address = entry.ifa_addr, socket_address_family(address) == family else { continue }
            guard entry.ifa_flags & UInt32(IFF_UP) != 0 else { continue }
            let byteCount =
                family == AF_INET ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size
            guard var endpoint = SocketAddress(copying: address, socklen_t(byteCount))?.endpoint else {
                continue
            }
            endpoint.port = port
            if !isLinkLocal(endpoint) { found.append(endpoint) }
        }
        return found
    }

    /// Link-local IPv6 addresses mean nothing without an interface's name.
    private static func isLinkLocal(_ endpoint: TCPEndpoint) -> Bool {
        guard case .ip6(let address) = endpoint.host else { return false }
        return address.bytes.starts(with: [0xfe, 0x80])
    }
}
