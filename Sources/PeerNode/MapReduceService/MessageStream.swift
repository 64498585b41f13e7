import Multiformats

/// Messages, each with its length before it, over one stream.
///
/// One task reads and one writes. What comes is bounded before memory is taken for it.
package actor MessageStream {
    private nonisolated let stream: any PeerStream
    private var reader: DelimitedReader
    private var rest: ArraySlice<UInt8> = []

    /// Bytes taken from the stream at a time.
    package static let readByteCount = 64 << 10

    /// Frames a stream.
    ///
    /// - Parameters:
    ///   - stream: what carries the messages.
    ///   - maxByteCount: the longest message that is read, in bytes.
    package init(_ stream: any PeerStream, maxByteCount: Int) {
        self.stream = stream
        reader = DelimitedReader(maxByteCount: maxByteCount)
    }

    /// The next message; `nil` after the peer's half-close.
    ///
    /// - Throws: `MessageStreamFault`, `DelimitedFault`, and what the stream throws.
    package func next() async throws -> [UInt8]? {
        while true {
            if let message = try reader.next(&rest) { return message }
            guard let chunk = try await stream.read(atMost: Self.readByteCount) else {
                if reader.isBetweenMessages { return nil }
                throw MessageStreamFault.truncated
            }
            rest = chunk[...]
        }
    }

    /// Sends one message.
    package nonisolated func send(_ message: [UInt8]) async throws {
        try await stream.write(message.delimited)
    }

    /// No more messages from here.
    package nonisolated func closeWrite() async throws { try await stream.closeWrite() }

    /// Ends both directions at once.
    package nonisolated func reset() async { await stream.reset() }
}

/// Why a stream is not one of messages.
package enum MessageStreamFault: Error, Equatable, Sendable {
    /// It ended inside a message.
    case truncated
}
