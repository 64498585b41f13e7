import Multiformats
import Testing

@Suite("Multiaddrs")
struct MultiaddrTests {
    static let peer = "12D3KooWBtg3aaRMjxwedh83aGiUkwSxDwUZkzuJcfaqUmo7R3pq"

    @Test("text and bytes of known addresses give each other")
    func vectors() throws {
        for pair in try LibP2PVectors.load().multiaddr.pairs {
            let address = try Multiaddr(parsing: pair[0])
            #expect(address.bytes == hex(pair[1]))
            #expect(address.description == pair[0])
            #expect(try Multiaddr(bytes: hex(pair[1])) == address)
        }
    }

    @Test(
        "every protocol keeps its value through bytes and text",
        arguments: [
            ("/dns/example.org/tcp/1", "350b6578616d706c652e6f7267060001"),
            ("/dns4/a/tcp/65535", "36016106ffff"),
            ("/dns6/a_b-c/udp/0", "3705615f622d6391020000"),
            ("/dnsaddr/bootstrap.libp2p.io", "3813626f6f7473747261702e6c69627032702e696f"),
            ("/ip4/1.2.3.4/udp/4001/quic-v1", "040102030491020fa1cd03"),
            ("/p2p-circuit", "a202"),
            ("/ip6/2001:db8::1/tcp/80", "2920010db8000000000000000000000001060050"),
        ] as [(String, String)]
    )
    func protocols(text: String, bytes: String) throws {
        let address = try Multiaddr(parsing: text)
        #expect(address.bytes == hex(bytes))
        #expect(try Multiaddr(bytes: hex(bytes)).description == text)
    }

    @Test(
        "IPv6 is parsed in every form and written in one",
        arguments: [
            ("::", "::"), ("::1", "::1"), ("0:0:0:0:0:0:0:1", "::1"), ("1::", "1::"), ("FE80::A", "fe80::a"),
            ("1:0:0:2:0:0:0:3", "1:0:0:2::3"), ("1:0:2:3:4:5:6:7", "1:0:2:3:4:5:6:7"),
            ("::ffff:10.0.0.1", "::ffff:10.0.0.1"), ("64:ff9b::10.0.0.1", "64:ff9b::a00:1"),
            ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"),
        ] as [(String, String)]
    )
    func ip6(text: String, written: String) throws {
        #expect(IPv6Address(text)?.description == written)
    }

    @Test(
        "text that is no IPv6 address is refused",
        arguments: [
            "", ":", ":::", "1", "1::2::3", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7", "12345::", "g::", "::1.2.3",
            "1.2.3.4::",
            "::+1", "1:2:3:4:5:6:7:8::", "::1%eth0", "1:2:3:4:5:6:7:1.2.3.4",
        ] as [String]
    )
    func badIP6(text: String) {
        #expect(IPv6Address(text) == nil)
    }

    @Test(
        "malformed text is refused with the part that is wrong",
        arguments: [
            ("", MultiaddrFault.empty), ("/", .empty), ("//", .empty), ("ip4/1.2.3.4", .missingSlash),
            ("/ip4", .missingValue(protocolName: "ip4")), ("/ip4//tcp/1", .missingValue(protocolName: "ip4")),
            ("/ip4/1.2.3", .value("ip4", "1.2.3")), ("/ip4/1.2.3.256", .value("ip4", "1.2.3.256")),
            ("/ip4/01.2.3.4", .value("ip4", "01.2.3.4")), ("/ip4/1.2.3.4.5", .value("ip4", "1.2.3.4.5")),
            ("/ip4/1.2.3.4/tcp/65536", .value("tcp", "65536")), ("/ip4/1.2.3.4/tcp/-1", .value("tcp", "-1")),
            ("/ip4/1.2.3.4/tcp/+1", .value("tcp", "+1")), ("/dns/a b/tcp/1", .value("dns", "a b")),
            ("/ip4/1.2.3.4/sctp/1", .unknownProtocol("sctp")), ("/p2p/x", .peer(.text)),
            ("/ip4/1.2.3.4//tcp/1", .unknownProtocol("")),
        ] as [(String, MultiaddrFault)]
    )
    func badText(text: String, fault: MultiaddrFault) {
        #expect(throws: fault) { try Multiaddr(parsing: text) }
    }

    @Test(
        "malformed bytes are refused with the reason",
        arguments: [
            ("", MultiaddrFault.empty), ("04", .truncated), ("047f0000", .truncated), ("0600", .truncated),
            ("29" + String(repeating: "00", count: 15), .truncated), ("80", .truncated),
            ("8400", .varint(.notMinimal)),
            ("0a00", .unknownCode(10)), ("047f000001dd03", .unknownCode(477)), ("3503612f", .truncated),
            ("3502612f", .value("dns", "a/")), ("3500", .value("dns", "")),
            ("a5030100", .peer(.multihash(.truncated))),
            ("36ffffffffffffffff7f", .truncated),
        ] as [(String, MultiaddrFault)]
    )
    func badBytes(bytes: String, fault: MultiaddrFault) {
        #expect(throws: fault) { try Multiaddr(bytes: hex(bytes)) }
    }

    @Test("limits hold at the limit and one past it")
    func limits() throws {
        let longest = String(repeating: "/quic-v1", count: Multiaddr.maxComponentCount)
        #expect(try Multiaddr(parsing: longest).components.count == 16)
        #expect(throws: MultiaddrFault.tooManyComponents) { try Multiaddr(parsing: longest + "/quic-v1") }
        #expect(throws: MultiaddrFault.tooManyComponents) {
            try Multiaddr(bytes: Array(repeating: [0xcd, 0x03], count: 17).flatMap { $0 })
        }
        #expect(throws: MultiaddrFault.tooLong(513)) {
            try Multiaddr(bytes: [UInt8](repeating: 6, count: 513))
        }
        #expect(throws: MultiaddrFault.tooLong(1025)) {
            try Multiaddr(parsing: String(repeating: "/", count: 1025))
        }
        let name = String(repeating: "a", count: 253)
        #expect(try Multiaddr(parsing: "/dns/" + name).description == "/dns/" + name)
        #expect(throws: MultiaddrFault.value("dns", name + "a")) {
            try Multiaddr(parsing: "/dns/" + name + "a")
        }
    }

    @Test("the peer is put behind, replaced and taken off")
    func peer() throws {
        let peer = try PeerID(parsing: Self.peer)
        let plain = try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/1")
        let named = plain.with(peer: peer)
        #expect(named.description == "/ip4/127.0.0.1/tcp/1/p2p/" + Self.peer)
        #expect(try Multiaddr(parsing: "/ip4/127.0.0.1/tcp/1/ipfs/\(Self.peer)/") == named)
        #expect(named.with(peer: peer) == named)
        #expect(named.peer == peer)
        #expect(plain.peer == nil)
        #expect(named.withoutPeer == plain)
        #expect(try Multiaddr(parsing: "/p2p/" + Self.peer).withoutPeer == nil)
        let full = try Multiaddr(parsing: String(repeating: "/quic-v1", count: 16))
        #expect(full.with(peer: peer).peer == peer)
    }

    @Test("only plain TCP addresses have an endpoint, and it gives the address back")
    func endpoints() throws {
        for text in [
            "/ip4/1.2.3.4/tcp/5", "/ip6/::1/tcp/5", "/dns/h/tcp/5", "/dns4/h/tcp/5", "/dns6/h/tcp/5",
        ] {
            let address = try Multiaddr(parsing: text)
            #expect(address.tcpEndpoint?.multiaddr == address)
            #expect(try Multiaddr(parsing: text + "/p2p/" + Self.peer).tcpEndpoint == address.tcpEndpoint)
        }
        for text in [
            "/ip4/1.2.3.4", "/tcp/5", "/ip4/1.2.3.4/udp/5", "/dnsaddr/h/tcp/5", "/tcp/5/ip4/1.2.3.4",
            "/ip4/1.2.3.4/tcp/5/p2p/\(Self.peer)/p2p-circuit",
        ] {
            #expect(try Multiaddr(parsing: text).tcpEndpoint == nil)
        }
    }
}
