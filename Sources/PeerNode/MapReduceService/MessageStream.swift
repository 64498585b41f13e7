import Multiformats
import Synchronization

/// Messages, each with its length before it, over one stream.
///
/// One task reads and one writes. What comes is bounded before memory is taken for it.
package actor MessageStream {
    private nonisolated let stream: any PeerStream
    private var reader: DelimitedReader
    private var rest: ArraySlice<UInt8> = []
    private let budget: MessageBudget?
    /// Bytes taken from the budget.
    private var reservedByteCount = 0

    /// Bytes taken from the stream at a time.
    package static let readByteCount = 64 << 10

    /// Frames a stream.
    ///
    /// - Parameters:
    ///   - stream: what carries the messages.
    ///   - maxByteCount: the longest message that is read, in bytes.
    ///   - budget: what long messages take their memory from; `nil`: their number is bounded otherwise.
    package init(_ stream: any PeerStream, maxByteCount: Int, budget: MessageBudget? = nil) {
        self.stream = stream
        self.budget = budget
        reader = DelimitedReader(maxByteCount: maxByteCount)
    }

    deinit { budget?.release(reservedByteCount) }

    /// The next message; `nil` after the peer's half-close.
    ///
    /// - Throws: `MessageStreamFault`, `DelimitedFault`, and what the stream throws.
    package func next() async throws -> [UInt8]? {
        while true {
            if let message = try reader.next(&rest) {
                budget?.release(reservedByteCount)
                reservedByteCount = 0
                return message
            }
            try reserve()
            guard let chunk = try await stream.read(atMost: Self.readByteCount) else {
                if reader.isBetweenMessages { return nil }
                throw MessageStreamFault.truncated
            }
            rest = chunk[...]
        }
    }

    private func reserve() throws(MessageStreamFault) {
        guard let budget else { return }
        let needed = max(0, reader.heldByteCount - CallLimits.smallRequestByteCount) - reservedByteCount
        guard needed > 0 else { return }
        guard budget.reserve(needed) else { throw .noRoom }
        reservedByteCount += needed
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
    /// Too much memory is held by messages that are not whole.
    case noRoom
}

extension MessageStreamFault: CustomStringConvertible {
    /// What is wrong.
    package var description: String {
        switch self {
        case .truncated: "the stream ended inside a message"
        case .noRoom: "too many messages are incomplete"
        }
    }
}

/// Memory that the incomplete messages of many streams share.
package final class MessageBudget: Sendable {
    private let free: Mutex<Int>

    /// A budget of `byteCount` bytes.
    package init(byteCount: Int) { free = Mutex(byteCount) }

    /// Takes bytes; `false` when there are not enough.
    func reserve(_ byteCount: Int) -> Bool {
        free.withLock { free in
            guard free >= byteCount else { return false }
            free -= byteCount
            return true
        }
    }

    func release(_ byteCount: Int) { free.withLock { $0 += byteCount } }
}
