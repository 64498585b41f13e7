import Multiformats

/// Messages, each with its length before it, over one stream.
///
/// One task reads and one writes. What comes is bounded by the limit of each read, before memory is taken for it.
package final class MessageStream: Sendable {
    private let stream: any PeerStream
    private let reading: ReadState

    /// Frames a stream.
    package init(_ stream: any PeerStream) {
        self.stream = stream
        reading = ReadState()
    }

    /// Bytes between what came and what was taken as messages; used by the one reading task.
    private actor ReadState {
        private var reader = DelimitedReader(maxByteCount: MessageStream.maxByteCount)
        private var rest: ArraySlice<UInt8> = []

        func next(from stream: any PeerStream) async throws -> [UInt8]? {
            while true {
                if let message = try reader.next(&rest) { return message }
                guard let chunk = try await stream.read(atMost: MessageStream.readByteCount) else {
                    if reader.isBetweenMessages { return nil }
                    throw MessageStreamFault.truncated
                }
                rest = chunk[...]
            }
        }
    }

    /// Longest message, in bytes.
    package static let maxByteCount = 4 << 20
    /// Bytes taken from the stream at a time.
    package static let readByteCount = 64 << 10

    /// The next message; `nil` after the peer's half-close.
    ///
    /// - Throws: `MessageStreamFault`, `DelimitedFault`, and what the stream throws.
    package func next() async throws -> [UInt8]? { try await reading.next(from: stream) }

    /// Sends one message.
    package func send(_ message: [UInt8]) async throws { try await stream.write(message.delimited) }

    /// No more messages from here.
    package func closeWrite() async throws { try await stream.closeWrite() }

    /// Ends both directions at once.
    package func reset() async { await stream.reset() }
}

/// Why a stream is not one of messages.
package enum MessageStreamFault: Error, Equatable, Sendable {
    /// It ended inside a message.
    case truncated
}
