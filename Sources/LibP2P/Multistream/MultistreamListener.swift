/// The listener's half of multistream-select: echoes the first proposal it serves and answers `na` to others.
///
///     awaitingHeader ── header ──► awaitingProposal ── served ──► agreed
///                                     │      ▲
///                                     └──────┘ not served: na
package struct MultistreamListener: Sendable {
    /// What the caller does next.
    package enum Step: Equatable, Sendable {
        /// Send these bytes, if any, and wait for more.
        case wait(send: [UInt8])
        /// Send these bytes and speak this protocol; what is left of the input belongs to it.
        case agreed(String, send: [UInt8])
    }

    private enum State {
        case awaitingHeader
        case awaitingProposal
        case agreed(String)
    }

    private let protocols: Set<String>
    private var refused = 0
    private var state = State.awaitingHeader
    private var reader = MultistreamReader()

    /// Prepares to serve these protocols.
    package init(protocols: Set<String>) {
        self.protocols = protocols
    }

    /// The bytes to send first: the header, which need not wait for the dialer's.
    package func start() -> [UInt8] {
        MultistreamMessage.encode(MultistreamMessage.header)
    }

    /// Takes the dialer's bytes, in pieces of any size.
    ///
    /// - Parameter bytes: shortened by what the negotiation used; the rest is the protocol's.
    /// - Returns: what to do next.
    /// - Throws: a fault that ends the connection or stream being negotiated.
    package mutating func receive(_ bytes: inout ArraySlice<UInt8>) throws(MultistreamFault) -> Step {
        var answer: [UInt8] = []
        while true {
            if case .agreed(let name) = state { return .agreed(name, send: answer) }
            guard let text = try reader.next(&bytes) else { return .wait(send: answer) }
            try receiveMessage(text, sending: &answer)
        }
    }

    private mutating func receiveMessage(_ text: String, sending answer: inout [UInt8])
        throws(MultistreamFault)
    {
        switch state {
        case .awaitingHeader:
            guard text == MultistreamMessage.header else { throw .noHeader }
            state = .awaitingProposal
        case .awaitingProposal where protocols.contains(text):
            answer += MultistreamMessage.encode(text)
            state = .agreed(text)
        case .awaitingProposal:
            refused += 1
            guard refused <= MultistreamMessage.maxProposalCount else { throw .tooManyProposals }
            answer += MultistreamMessage.encode(MultistreamMessage.notAvailable)
        case .agreed:
            preconditionFailure("no message is read after the agreement")
        }
    }
}
