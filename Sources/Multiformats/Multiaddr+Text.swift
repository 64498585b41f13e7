extension Multiaddr: CustomStringConvertible, LosslessStringConvertible {
    /// The text form, such as `/ip4/127.0.0.1/tcp/4001/p2p/12D3KooW…`.
    public var description: String { components.map(\.description).joined() }

    /// Parses the text form; `nil` when it is none.
    public init?(_ description: String) {
        // The fault is of no use to this caller.
        guard let address = try? Multiaddr(parsing: description) else { return nil }
        self = address
    }

    /// Parses the text form; slashes at the end are ignored, and `/ipfs/` is an old spelling of `/p2p/`.
    ///
    /// - Throws: `MultiaddrFault` saying which part is wrong.
    public init(parsing text: String) throws(MultiaddrFault) {
        guard text.utf8.count <= Multiaddr.maxCharacterCount else { throw .tooLong(text.utf8.count) }
        guard !text.isEmpty else { throw .empty }
        guard text.utf8.first == UInt8(ascii: "/") else { throw .missingSlash }
        var parts = text.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        while parts.last?.isEmpty == true { parts.removeLast() }
        guard !parts.isEmpty else { throw .empty }
        var components: [Component] = []
        while let name = parts.popFirst() {
            components.append(try Component.parse(String(name), values: &parts))
            guard components.count <= Multiaddr.maxComponentCount else { throw .tooManyComponents }
        }
        self.components = components
    }
}

extension Multiaddr.Component: CustomStringConvertible {
    /// The part with its leading slash, such as `/tcp/4001`.
    public var description: String {
        switch self {
        case .ip4(let address): "/ip4/\(address)"
        case .ip6(let address): "/ip6/\(address)"
        case .dns(let name): "/dns/\(name)"
        case .dns4(let name): "/dns4/\(name)"
        case .dns6(let name): "/dns6/\(name)"
        case .dnsaddr(let name): "/dnsaddr/\(name)"
        case .tcp(let port): "/tcp/\(port)"
        case .udp(let port): "/udp/\(port)"
        case .quicV1: "/quic-v1"
        case .p2p(let peer): "/p2p/\(peer)"
        case .p2pCircuit: "/p2p-circuit"
        }
    }

    fileprivate static func parse(
        _ name: String,
        values: inout ArraySlice<Substring>
    ) throws(MultiaddrFault) -> Multiaddr.Component {
        switch name {
        case "quic-v1": return .quicV1
        case "p2p-circuit": return .p2pCircuit
        case "ip4", "ip6", "dns", "dns4", "dns6", "dnsaddr", "tcp", "udp", "p2p", "ipfs": break
        default: throw .unknownProtocol(name)
        }
        guard let value = values.popFirst(), !value.isEmpty else { throw .missingValue(protocolName: name) }
        if name == "p2p" || name == "ipfs" {
            do throws(PeerIDFault) {
                return .p2p(try PeerID(parsing: String(value)))
            } catch {
                throw .peer(error)
            }
        }
        guard let component = valued(name, value) else { throw .value(name, String(value)) }
        return component
    }

    private static func valued(_ name: String, _ value: Substring) -> Multiaddr.Component? {
        switch name {
        case "ip4": IPv4Address(value).map { .ip4($0) }
        case "ip6": IPv6Address(value).map { .ip6($0) }
        case "tcp": DecimalText.parse(value, as: UInt16.self).map { .tcp($0) }
        case "udp": DecimalText.parse(value, as: UInt16.self).map { .udp($0) }
        case "dns": checkedName(ArraySlice(value.utf8)).map { .dns($0) }
        case "dns4": checkedName(ArraySlice(value.utf8)).map { .dns4($0) }
        case "dns6": checkedName(ArraySlice(value.utf8)).map { .dns6($0) }
        case "dnsaddr": checkedName(ArraySlice(value.utf8)).map { .dnsaddr($0) }
        default: nil
        }
    }
}
