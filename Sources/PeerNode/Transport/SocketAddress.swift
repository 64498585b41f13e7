import CLinux
import Glibc
import Multiformats

/// An IPv4 or IPv6 address with a port, as the socket calls take it.
struct SocketAddress: Sendable {
    private var storage = sockaddr_storage()
    private var byteCount: socklen_t

    /// The address of an endpoint; `nil` for a name that is not resolved.
    init?(_ endpoint: TCPEndpoint) {
        switch endpoint.host {
        case .ip4(let address): self.init(address, port: endpoint.port)
        case .ip6(let address): self.init(address, port: endpoint.port)
        case .name: return nil
        }
    }

    init(_ address: IPv4Address, port: UInt16) {
        byteCount = socklen_t(MemoryLayout<sockaddr_in>.size)
        var raw = sockaddr_in()
        raw.sin_family = sa_family_t(AF_INET)
        raw.sin_port = port.bigEndian
        withUnsafeMutableBytes(of: &raw.sin_addr) { $0.copyBytes(from: address.bytes) }
        withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: raw, as: sockaddr_in.self) }
    }

    init(_ address: IPv6Address, port: UInt16) {
        byteCount = socklen_t(MemoryLayout<sockaddr_in6>.size)
        var raw = sockaddr_in6()
        raw.sin6_family = sa_family_t(AF_INET6)
        raw.sin6_port = port.bigEndian
        withUnsafeMutableBytes(of: &raw.sin6_addr) { $0.copyBytes(from: address.bytes) }
        withUnsafeMutableBytes(of: &storage) { $0.storeBytes(of: raw, as: sockaddr_in6.self) }
    }

    /// Lets a socket call fill in an address.
    init(filling fill: (UnsafeMutablePointer<sockaddr>, UnsafeMutablePointer<socklen_t>) -> Int32)
        throws(SystemError)
    {
        byteCount = socklen_t(MemoryLayout<sockaddr_storage>.size)
        var filled = storage
        var count = byteCount
        _ = try SystemCall.check {
            withUnsafeMutablePointer(to: &filled) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { fill($0, &count) }
            }
        }
        storage = filled
        byteCount = count
    }

    /// Copies an address that a library call returned; `nil` when it is too long.
    init?(copying address: UnsafePointer<sockaddr>, _ count: socklen_t) {
        guard count <= MemoryLayout<sockaddr_storage>.size else { return nil }
        byteCount = count
        withUnsafeMutableBytes(of: &storage) {
            $0.copyMemory(from: UnsafeRawBufferPointer(start: address, count: Int(count)))
        }
    }

    /// `AF_INET` or `AF_INET6`.
    var family: Int32 { Int32(storage.ss_family) }

    /// Lends the address to a socket call.
    func withSocketAddress<Result>(_ body: (UnsafePointer<sockaddr>, socklen_t) -> Result) -> Result {
        withUnsafePointer(to: storage) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0, byteCount) }
        }
    }

    /// The address as an endpoint, an IPv4 address mapped into IPv6 as IPv4; `nil` for another family.
    var endpoint: TCPEndpoint? {
        withUnsafeBytes(of: storage) { bytes in
            switch family {
            case AF_INET:
                let raw = bytes.loadUnaligned(as: sockaddr_in.self)
                let address = withUnsafeBytes(of: raw.sin_addr) { IPv4Address(bytes: Array($0)) }
                return address.map { TCPEndpoint(host: .ip4($0), port: UInt16(bigEndian: raw.sin_port)) }
            case AF_INET6:
                let raw = bytes.loadUnaligned(as: sockaddr_in6.self)
                let address = withUnsafeBytes(of: raw.sin6_addr) { Array($0) }
                return Self.host(address).map {
                    TCPEndpoint(host: $0, port: UInt16(bigEndian: raw.sin6_port))
                }
            default:
                return nil
            }
        }
    }

    private static let mappedPrefix = [UInt8](repeating: 0, count: 10) + [0xff, 0xff]

    private static func host(_ bytes: [UInt8]) -> TCPEndpoint.Host? {
        if bytes.starts(with: mappedPrefix) { return IPv4Address(bytes: bytes[12...]).map { .ip4($0) } }
        return IPv6Address(bytes: bytes).map { .ip6($0) }
    }
}
