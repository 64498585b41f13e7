internal import Multiformats

/// The messages of multistream-select 1.0: uvarint length, text, newline, where the length counts the newline.
///
/// **Source** multiformats/multistream-select; WIRE section 3.
package enum MultistreamMessage: Sendable {
    /// The protocol's own name, which both sides send first.
    package static let header = "/multistream/1.0.0"
    /// The listener's answer to a protocol that it does not serve.
    package static let notAvailable = "na"
    /// Longest message accepted, newline included; go and js close above it too.
    package static let maxByteCount = 1024
    /// Proposals a listener refuses before it gives up on the dialer.
    package static let maxProposalCount = 64

    /// Encodes one message.
    package static func encode(_ text: String) -> [UInt8] {
        let body = text.utf8
        precondition(body.count < maxByteCount, "a multistream message of \(body.count) bytes is too long")
        return Varint.encode(UInt64(body.count + 1)) + body + [newline]
    }

    static let newline = UInt8(ascii: "\n")
}

/// Why a negotiation failed; scope: the connection or the stream that is negotiated.
package enum MultistreamFault: Error, Equatable, Sendable {
    /// The length prefix is not a minimal uvarint.
    case badLength
    /// The length is zero or exceeds `MultistreamMessage.maxByteCount`.
    case messageLength(UInt64)
    /// The message does not end in a newline, or is not UTF-8.
    case badText
    /// The first message was not the header.
    case noHeader
    /// The listener has none of the proposed protocols.
    case noneAgreed
    /// The listener answered with something that was not proposed.
    case unexpectedAnswer
    /// The dialer proposed more than `MultistreamMessage.maxProposalCount` protocols.
    case tooManyProposals
}

/// Takes messages off the front of a byte stream, and never a byte more than the message it is reading.
struct MultistreamReader: Sendable {
    private var prefix: [UInt8] = []
    private var body: [UInt8] = []
    private var bodyByteCount: Int?
    private var isFirst = true

    /// Moves bytes from the front of `bytes` into the message.
    ///
    /// - Returns: the text of the message once it is complete; `nil` when `bytes` ended before.
    mutating func next(_ bytes: inout ArraySlice<UInt8>) throws(MultistreamFault) -> String? {
        while bodyByteCount == nil {
            guard let byte = bytes.popFirst() else { return nil }
            prefix.append(byte)
            bodyByteCount = try decodeLength()
        }
        guard let wanted = bodyByteCount else { return nil }
        let piece = bytes.prefix(wanted - body.count)
        body += piece
        bytes = bytes.dropFirst(piece.count)
        guard body.count == wanted else { return nil }
        defer {
            self = MultistreamReader()
            isFirst = false
        }
        guard body.popLast() == MultistreamMessage.newline, let text = String(validating: body, as: UTF8.self)
        else {
            throw .badText
        }
        return text
    }

    private func decodeLength() throws(MultistreamFault) -> Int? {
        let decoded: (value: UInt64, byteCount: Int)?
        do { decoded = try Varint.decode(prefix) } catch { throw .badLength }
        guard let length = decoded?.value else { return nil }
        guard (1...UInt64(MultistreamMessage.maxByteCount)).contains(length) else {
            throw .messageLength(length)
        }
        // A peer with another swarm key sends noise: do not wait for the rest of what cannot be the header.
        guard !isFirst || length == MultistreamMessage.header.utf8.count + 1 else { throw .noHeader }
        return Int(length)
    }
}

extension MultistreamFault: CustomStringConvertible {
    /// What is wrong, in words.
    package var description: String {
        switch self {
        case .badLength, .badText, .noHeader: "what came is no multistream"
        case .messageLength(let count): "a message of \(count) bytes is not one of multistream"
        case .noneAgreed: "it serves none of the protocols that were proposed"
        case .unexpectedAnswer: "it answered with a protocol that was not proposed"
        case .tooManyProposals: "it proposed more than \(MultistreamMessage.maxProposalCount) protocols"
        }
    }
}
