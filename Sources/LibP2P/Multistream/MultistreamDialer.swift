/// The dialer's half of multistream-select: proposes protocols in order until one is echoed.
///
/// Header and first proposal go out together. A dialer with one proposal may be used lazily: the caller sends
/// application bytes right behind `start()` and reads the listener's answer when it first wants data.
///
///     awaitingHeader ── header ──► awaitingAnswer ── echo ──► agreed
///                                    │      ▲
///                                    └─ na ─┘ (next proposal; none left: failed)
package struct MultistreamDialer: Sendable {
    /// What the caller does next.
    package enum Step: Equatable, Sendable {
        /// Send these bytes, if any, and wait for more.
        case wait(send: [UInt8])
        /// Speak this protocol; what is left of the input belongs to it.
        case agreed(String)
    }

    private enum State {
        case awaitingHeader
        case awaitingAnswer
        case agreed
    }

    private let proposals: [String]
    private var proposed = 0
    private var state = State.awaitingHeader
    private var reader = MultistreamReader()

    /// Prepares to propose protocols, the preferred one first.
    ///
    /// - Parameter proposals: at least one.
    package init(proposals: [String]) {
        precondition(!proposals.isEmpty, "a dialer proposes at least one protocol")
        self.proposals = proposals
    }

    /// The bytes to send first: the header and the first proposal.
    package func start() -> [UInt8] {
        MultistreamMessage.encode(MultistreamMessage.header) + MultistreamMessage.encode(proposals[0])
    }

    /// Takes the listener's bytes, in pieces of any size.
    ///
    /// - Parameter bytes: shortened by what the negotiation used; the rest is the protocol's.
    /// - Returns: what to do next.
    /// - Throws: a fault that ends the connection or stream being negotiated.
    package mutating func receive(_ bytes: inout ArraySlice<UInt8>) throws(MultistreamFault) -> Step {
        var answer: [UInt8] = []
        while state != .agreed, let text = try reader.next(&bytes) {
            switch state {
            case .awaitingHeader:
                guard text == MultistreamMessage.header else { throw .noHeader }
                state = .awaitingAnswer
            case .awaitingAnswer:
                try receiveAnswer(text, sending: &answer)
            case .agreed:
                preconditionFailure("the loop ends with the agreement")
            }
        }
        return state == .agreed ? .agreed(proposals[proposed]) : .wait(send: answer)
    }

    private mutating func receiveAnswer(_ text: String, sending answer: inout [UInt8])
        throws(MultistreamFault)
    {
        if text == proposals[proposed] {
            state = .agreed
            return
        }
        guard text == MultistreamMessage.notAvailable else { throw .unexpectedAnswer }
        proposed += 1
        guard proposed < proposals.count else { throw .noneAgreed }
        answer += MultistreamMessage.encode(proposals[proposed])
    }
}
