import LibP2P
import Testing

@Suite("Multistream-select")
struct MultistreamTests {
    private static let header = MultistreamMessage.encode(MultistreamMessage.header)

    @Test("Messages are encoded as observed on the wire")
    func vectors() throws {
        let section = try Vectors.section("multistream")
        for text in section.keys {
            #expect(try MultistreamMessage.encode(text) == Vectors.bytes(section, text))
        }
    }

    @Test(
        "Dialer and listener agree whatever the chunking, and leave the protocol's bytes alone",
        arguments: 1...60
    )
    func split(chunkByteCount: Int) throws {
        var dialer = MultistreamDialer(proposals: ["/nosuch/1", "/noise"])
        var listener = MultistreamListener(protocols: ["/noise", "/tls/1.0.0"])
        var toListener = dialer.start()[...]
        var toDialer = listener.start()[...]
        var agreed: [String] = []
        while agreed.count < 2 {
            var chunk = toListener.prefix(chunkByteCount)
            toListener = toListener.dropFirst(chunk.count)
            switch try listener.receive(&chunk) {
            case .wait(let send): toDialer += send
            case .agreed(let name, let send):
                guard agreed.isEmpty else { break }
                toDialer += send + [0xde, 0xad]
                agreed.append(name)
            }
            toListener = chunk + toListener
            var answer = toDialer.prefix(chunkByteCount)
            toDialer = toDialer.dropFirst(answer.count)
            switch try dialer.receive(&answer) {
            case .wait(let send): toListener += send
            case .agreed(let name):
                agreed.append(name)
                #expect(Array(answer + toDialer) == [0xde, 0xad])
            }
        }
        #expect(agreed == ["/noise", "/noise"])
    }

    @Test("A lazy dialer's application bytes stay with the protocol")
    func lazy() throws {
        var listener = MultistreamListener(protocols: ["/ipfs/ping/1.0.0"])
        var bytes = (MultistreamDialer(proposals: ["/ipfs/ping/1.0.0"]).start() + [1, 2, 3])[...]
        let step = try listener.receive(&bytes)
        #expect(step == .agreed("/ipfs/ping/1.0.0", send: MultistreamMessage.encode("/ipfs/ping/1.0.0")))
        #expect(bytes == [1, 2, 3])
    }

    @Test("ls and unknown protocols get na, and another proposal may follow")
    func refusal() throws {
        var listener = MultistreamListener(protocols: ["/a"])
        var bytes = (Self.header + MultistreamMessage.encode("ls") + MultistreamMessage.encode("/a"))[...]
        #expect(
            try listener.receive(&bytes)
                == .agreed("/a", send: MultistreamMessage.encode("na") + MultistreamMessage.encode("/a"))
        )
    }

    @Test(
        "What is no negotiation is refused",
        arguments: [
            ("a message of 1025 bytes", [0x81, 0x08], MultistreamFault.messageLength(1025)),
            ("a message of no bytes", [0x00], .messageLength(0)),
            ("a length that is not minimal", [0x81, 0x00], .badLength),
            ("no newline at the end", [0x13] + [UInt8](repeating: 0x61, count: 19), .badText),
            ("text that is not UTF-8", [0x13] + [UInt8](repeating: 0xff, count: 18) + [0x0a], .badText),
            ("a first message as long as no header", [0x12], .noHeader),
            (
                "another text than the header", [0x13] + [UInt8](repeating: 0x61, count: 18) + [0x0a],
                .noHeader
            ),
        ] as [(String, [UInt8], MultistreamFault)]
    )
    func hostile(name: String, bytes: [UInt8], fault: MultistreamFault) {
        var listener = MultistreamListener(protocols: ["/a"])
        var dialer = MultistreamDialer(proposals: ["/a"])
        var first = bytes[...]
        var second = bytes[...]
        #expect(throws: fault) { try listener.receive(&first) }
        #expect(throws: fault) { try dialer.receive(&second) }
    }

    @Test("A message of exactly 1024 bytes is taken")
    func longest() throws {
        let name = "/" + String(repeating: "x", count: 1022)
        var listener = MultistreamListener(protocols: [name])
        var bytes = (Self.header + MultistreamMessage.encode(name))[...]
        #expect(try listener.receive(&bytes) == .agreed(name, send: MultistreamMessage.encode(name)))
    }

    @Test("The 65th refused proposal ends the negotiation, the 64th does not")
    func proposals() throws {
        var listener = MultistreamListener(protocols: [])
        let proposal = MultistreamMessage.encode("/x")
        var bytes = (Self.header + Array(repeating: proposal, count: 64).joined())[...]
        _ = try listener.receive(&bytes)
        var last = proposal[...]
        #expect(throws: MultistreamFault.tooManyProposals) { try listener.receive(&last) }
    }

    @Test("A dialer fails when nothing is agreed or the answer is foreign")
    func dialerFaults() {
        var dialer = MultistreamDialer(proposals: ["/a"])
        var refused = (Self.header + MultistreamMessage.encode("na"))[...]
        #expect(throws: MultistreamFault.noneAgreed) { try dialer.receive(&refused) }
        var other = MultistreamDialer(proposals: ["/a"])
        var foreign = (Self.header + MultistreamMessage.encode("/b"))[...]
        #expect(throws: MultistreamFault.unexpectedAnswer) { try other.receive(&foreign) }
    }
}
