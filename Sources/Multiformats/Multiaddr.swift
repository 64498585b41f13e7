/// A self-describing network address: a list of protocols, each with its value.
///
/// Only the protocols of `Component` are known. A binary address with another code has parts of unknown length, so the
/// whole address is refused and the caller drops it, keeping the message that it came in.
///
/// **Layout** (varint(code) ‖ value)*, values of fixed length or with a varint length before them.
/// **Source** multiformats/multiaddr; WIRE section 1.
public struct Multiaddr: Hashable, Sendable {
    /// One protocol with its value.
    public enum Component: Hashable, Sendable {
        case ip4(IPv4Address)
        case ip6(IPv6Address)
        /// A name that resolves to addresses of either version.
        case dns(String)
        case dns4(String)
        case dns6(String)
        /// A name whose TXT records hold multiaddrs.
        case dnsaddr(String)
        case tcp(UInt16)
        case udp(UInt16)
        case quicV1
        case p2p(PeerID)
        case p2pCircuit
    }

    /// The parts, outermost protocol first; never empty.
    public let components: [Component]

    /// Longest binary address, in bytes.
    public static let maxByteCount = 512
    /// Longest text, in characters.
    public static let maxCharacterCount = 1024
    /// Most components.
    public static let maxComponentCount = 16
    /// Longest DNS name, in characters (RFC 1035 section 2.3.4).
    public static let maxNameCharacterCount = 253

    /// An address of parts that are known to be right.
    ///
    /// - Parameter components: 1 … `maxComponentCount` parts.
    public init(_ components: [Component]) {
        precondition(1...Multiaddr.maxComponentCount ~= components.count, "\(components.count) components")
        self.components = components
    }

    private init(unchecked components: [Component]) { self.components = components }

    /// The binary form.
    public var bytes: [UInt8] {
        var bytes: [UInt8] = []
        for component in components { component.append(to: &bytes) }
        return bytes
    }

    /// Reads a binary address that fills `bytes` exactly.
    ///
    /// - Throws: `MultiaddrFault`; `.unknownCode` when a part is of a protocol not known here.
    public init(bytes: some Collection<UInt8>) throws(MultiaddrFault) {
        guard bytes.count <= Multiaddr.maxByteCount else { throw .tooLong(bytes.count) }
        var rest = ArraySlice(bytes)
        var components: [Component] = []
        while !rest.isEmpty {
            components.append(try Component.take(from: &rest))
            guard components.count <= Multiaddr.maxComponentCount else { throw .tooManyComponents }
        }
        guard !components.isEmpty else { throw .empty }
        self.components = components
    }

    /// The peer that the address ends in, if it ends in `/p2p/…`.
    public var peer: PeerID? {
        if case .p2p(let peer) = components.last { peer } else { nil }
    }

    /// The address without a `/p2p/…` at its end; `nil` when nothing else is in it.
    public var withoutPeer: Multiaddr? {
        guard peer != nil else { return self }
        return components.count == 1 ? nil : Multiaddr(unchecked: components.dropLast())
    }

    /// The address ending in `/p2p/` of `peer`, in place of any other.
    public func with(peer: PeerID) -> Multiaddr {
        let base = self.peer == nil ? components : Array(components.dropLast())
        return Multiaddr(unchecked: base + [.p2p(peer)])
    }
}

extension Multiaddr.Component {
    /// The protocol's number in the multicodec table.
    public var code: UInt64 {
        switch self {
        case .ip4: 4
        case .tcp: 6
        case .ip6: 41
        case .dns: 53
        case .dns4: 54
        case .dns6: 55
        case .dnsaddr: 56
        case .udp: 273
        case .p2pCircuit: 290
        case .p2p: 421
        case .quicV1: 461
        }
    }

    fileprivate func append(to bytes: inout [UInt8]) {
        Varint.append(code, to: &bytes)
        switch self {
        case .ip4(let address): bytes += address.bytes
        case .ip6(let address): bytes += address.bytes
        case .tcp(let port), .udp(let port): bytes += [UInt8(port >> 8), UInt8(port & 0xff)]
        case .dns(let name), .dns4(let name), .dns6(let name), .dnsaddr(let name):
            Varint.append(UInt64(name.utf8.count), to: &bytes)
            bytes += name.utf8
        case .p2p(let peer):
            Varint.append(UInt64(peer.bytes.count), to: &bytes)
            bytes += peer.bytes
        case .quicV1, .p2pCircuit: break
        }
    }

    fileprivate static func take(from rest: inout ArraySlice<UInt8>) throws(MultiaddrFault)
        -> Multiaddr.Component
    {
        let code = try takeVarint(from: &rest)
        switch code {
        case 4:
            guard let address = IPv4Address(bytes: rest.prefix(4)) else { throw .truncated }
            rest = rest.dropFirst(4)
            return .ip4(address)
        case 41:
            guard let address = IPv6Address(bytes: rest.prefix(16)) else { throw .truncated }
            rest = rest.dropFirst(16)
            return .ip6(address)
        case 6: return .tcp(try takePort(from: &rest))
        case 273: return .udp(try takePort(from: &rest))
        case 53: return .dns(try takeName(from: &rest))
        case 54: return .dns4(try takeName(from: &rest))
        case 55: return .dns6(try takeName(from: &rest))
        case 56: return .dnsaddr(try takeName(from: &rest))
        case 290: return .p2pCircuit
        case 461: return .quicV1
        case 421:
            let bytes = try takeCounted(from: &rest)
            do throws(PeerIDFault) {
                return .p2p(try PeerID(bytes: bytes))
            } catch {
                throw .peer(error)
            }
        default: throw .unknownCode(code)
        }
    }

    private static func takeVarint(from rest: inout ArraySlice<UInt8>) throws(MultiaddrFault) -> UInt64 {
        let decoded: (value: UInt64, byteCount: Int)?
        do throws(VarintFault) {
            decoded = try Varint.decode(rest)
        } catch {
            throw .varint(error)
        }
        guard let decoded else { throw .truncated }
        rest = rest.dropFirst(decoded.byteCount)
        return decoded.value
    }

    private static func takeCounted(from rest: inout ArraySlice<UInt8>) throws(MultiaddrFault) -> ArraySlice<
        UInt8
    > {
        let count = try takeVarint(from: &rest)
        guard count <= UInt64(rest.count) else { throw .truncated }
        defer { rest = rest.dropFirst(Int(count)) }
        return rest.prefix(Int(count))
    }

    private static func takePort(from rest: inout ArraySlice<UInt8>) throws(MultiaddrFault) -> UInt16 {
        guard rest.count >= 2 else { throw .truncated }
        defer { rest = rest.dropFirst(2) }
        return rest.prefix(2).reduce(0) { $0 << 8 | UInt16($1) }
    }

    private static func takeName(from rest: inout ArraySlice<UInt8>) throws(MultiaddrFault) -> String {
        let bytes = try takeCounted(from: &rest)
        guard let name = checkedName(bytes) else {
            throw .value("dns", String(decoding: bytes.prefix(64), as: UTF8.self))
        }
        return name
    }

    /// The name, if it has 1 … 253 letters, digits, hyphens, dots and underscores; anything else could forge text forms.
    static func checkedName(_ bytes: ArraySlice<UInt8>) -> String? {
        guard 1...Multiaddr.maxNameCharacterCount ~= bytes.count else { return nil }
        let legal = bytes.allSatisfy {
            switch $0 {
            case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, 0x2d, 0x2e, 0x5f: true
            default: false
            }
        }
        return legal ? String(decoding: bytes, as: UTF8.self) : nil
    }
}

/// Why something is not a multiaddr of ours.
public enum MultiaddrFault: Error, Equatable, Sendable {
    case empty
    case truncated
    /// Bytes or characters, over the limit.
    case tooLong(Int)
    case tooManyComponents
    case varint(VarintFault)
    case unknownCode(UInt64)
    /// Text does not start with `/`.
    case missingSlash
    case unknownProtocol(String)
    case missingValue(protocolName: String)
    /// The value of a protocol is not one of its values.
    case value(_ protocolName: String, _ text: String)
    case peer(PeerIDFault)
}

extension MultiaddrFault: CustomStringConvertible {
    /// What is wrong, for the person who typed the address.
    public var description: String {
        switch self {
        case .empty: "the address is empty"
        case .truncated: "the address ends early"
        case .tooLong(let count): "the address is too long (\(count))"
        case .tooManyComponents: "the address has more than \(Multiaddr.maxComponentCount) parts"
        case .varint: "a number in the address is malformed"
        case .unknownCode(let code): "protocol number \(code) is unknown"
        case .missingSlash: "an address starts with '/', as in /ip4/127.0.0.1/tcp/4001"
        case .unknownProtocol(let name): "protocol '\(name)' is unknown"
        case .missingValue(let name): "'/\(name)' needs a value"
        case .value(let name, let text): "'\(text)' is no value of '/\(name)'"
        case .peer(let fault): "the peer id is malformed (\(fault))"
        }
    }
}
