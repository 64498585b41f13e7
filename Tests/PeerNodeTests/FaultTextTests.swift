import LibP2P
import MRProtocol
import Multiformats
import PeerNode
import Testing

@Suite("Faults in words")
struct FaultTextTests {
    private static let cid = CID.of([1], codec: .raw)

    private static let faults: [any Error] =
        [
            DelimitedFault.length(.tooLong), DelimitedFault.tooLong(5, limit: 4),
            PublicKeyFault.malformed(.truncated), PublicKeyFault.unsupportedType(0), PublicKeyFault.length(3),
            EnvelopeFault.tooLong(9), EnvelopeFault.malformed(.truncated),
            EnvelopeFault.publicKey(.length(3)),
            EnvelopeFault.payloadType, EnvelopeFault.signatureLength(3), EnvelopeFault.signature,
            PeerRecordFault.envelope(.signature), PeerRecordFault.malformed(.truncated),
            PeerRecordFault.peer(.text), PeerRecordFault.wrongSigner,
        ] + [
            MessageFault.tooLong(5, limit: 4), MessageFault.malformed, MessageFault.missing("head"),
            MessageFault.value("key"), SealedMessageFault.envelope(.signature),
            SealedMessageFault.message(.malformed), SealedMessageFault.wrongSigner,
            JobSpecFault.notDagCBOR(.truncated), JobSpecFault.version(3), JobSpecFault.field("map"),
            MessageStreamFault.truncated, MessageStreamFault.noRoom,
        ] + [
            IdentifyFault.delimited(.tooLong(5, limit: 4)), IdentifyFault.malformed(.truncated),
            IdentifyFault.tooManyMessages, IdentifyFault.truncated, BitswapCodecFault.malformed(.truncated),
            BitswapCodecFault.cid(.truncated), BitswapCodecFault.cidTooLong(99),
            BitswapCodecFault.blockTooLong(99), BitswapCodecFault.tooManyEntries,
            BitswapFault.nobodyHas(cid, askedPeerCount: 2), BitswapFault.allLack(cid, peerCount: 2),
            BitswapFault.tooManyWants(limit: 9), PingFault.mismatch, PingFault.unasked, PingFault.timeout,
            PingFault.ended, YamuxOpenFault.closing, YamuxOpenFault.tooManyStreams,
            YamuxOpenFault.tooManyUnacknowledged, YamuxOpenFault.idsExhausted,
        ]

    @Test("name no case of an enum", arguments: faults.indices)
    func words(index: Int) {
        let text = "\(Self.faults[index])"
        #expect(text.contains(" "))
        // As in `tooLong`, and as in `length(…)` or `Fault.truncated`.
        #expect(!text.contains(/[a-z][A-Z]|[A-Za-z][(.][A-Za-z]/), "\(text)")
    }

    @Test("say what is wrong, with its numbers")
    func numbers() {
        #expect("\(DelimitedFault.tooLong(5, limit: 4))" == "a message of 5 bytes is over the limit of 4")
        #expect(
            "\(DelimitedFault.length(.notMinimal))"
                == "the length of a message is wrong: a number is not in its shortest form"
        )
        #expect("\(MessageFault.missing("head"))" == "field «head» is missing")
        #expect("\(SealedMessageFault.envelope(.signature))" == "the signature is wrong")
        #expect(
            "\(BitswapCodecFault.malformed(.wireType(7)))"
                == "a message of bitswap cannot be read: wire type 7 is unknown"
        )
    }
}
