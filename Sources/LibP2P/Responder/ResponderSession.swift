/// One stream that a responder serves: answers as far as the stream's queue has room, and takes no more than it answers.
///
/// What is not answered is not consumed, so it stays in the peer's window: a peer that reads no answers soon sends nothing.
///
///     open ── the peer's half ends ──► ending ── everything is answered ──► ended
package struct ResponderSession: Sendable {
    /// What the driver has to do.
    package enum Step: Equatable, Sendable {
        /// Report so many bytes consumed, and send the answer, which may be empty.
        case answer(ArraySlice<UInt8>, consumedByteCount: Int)
        /// End this end's half; always the last.
        case end
    }

    private enum State: Sendable {
        case open
        case ending
        case ended
    }

    private var responder: any StreamResponder
    private var waiting = FIFO<ArraySlice<UInt8>>()
    private var state = State.open

    /// Starts with an empty stream.
    package init(_ responder: any StreamResponder) { self.responder = responder }

    /// When the stream is to be reset unless something is taken before.
    package var nextDeadline: Duration { responder.nextDeadline }

    /// Takes the peer's bytes; `next` answers them.
    package mutating func receive(_ bytes: ArraySlice<UInt8>) { waiting.keep(bytes) }

    /// The peer sends no more.
    package mutating func receiveEnd() {
        if case .open = state { state = .ending }
    }

    /// The next step, until there is none for now.
    ///
    /// - Parameters:
    ///   - room: bytes that the stream's queue takes, asked for when something waits; an answer may exceed it by the bytes that the responder held back.
    ///   - now: time since an origin that the driver chose.
    /// - Returns: `nil` when nothing waits, or nothing fits.
    package mutating func next(room: @autoclosure () -> Int, now: Duration) -> Step? {
        guard !waiting.isEmpty else {
            guard case .ending = state else { return nil }
            state = .ended
            return .end
        }
        let room = room()
        guard room > 0, let bytes = waiting.takePiece(atMost: room) else { return nil }
        return .answer(responder.receive(bytes, now: now), consumedByteCount: bytes.count)
    }
}
