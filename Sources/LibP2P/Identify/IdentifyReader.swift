package import Multiformats

/// Reads one answer or push of identify: delimited messages up to the end of the stream, merged in order.
package struct IdentifyReader: Sendable {
    private var reader = DelimitedReader(maxByteCount: IdentifyMessage.maxByteCount)
    private var merged: IdentifyMessage?
    private var messageCount = 0

    /// How long the whole exchange may take; the driver resets the stream afterwards.
    package static let timeout: Duration = .seconds(5)

    /// Starts before the first byte.
    package init() {}

    /// Takes bytes of the stream, in any pieces.
    ///
    /// - Throws: `IdentifyFault`; reset the stream and use nothing of the answer.
    package mutating func receive(_ bytes: ArraySlice<UInt8>) throws(IdentifyFault) {
        var bytes = bytes
        while let message = try nextMessage(&bytes) { try merge(message) }
    }

    private mutating func nextMessage(_ bytes: inout ArraySlice<UInt8>) throws(IdentifyFault) -> [UInt8]? {
        do throws(DelimitedFault) {
            return try reader.next(&bytes)
        } catch {
            throw .delimited(error)
        }
    }

    private mutating func merge(_ bytes: [UInt8]) throws(IdentifyFault) {
        messageCount += 1
        guard messageCount <= IdentifyMessage.maxMessageCount else { throw .tooManyMessages }
        let message: IdentifyMessage
        do throws(Protobuf.Fault) {
            message = try IdentifyMessage(bytes: bytes)
        } catch {
            throw .malformed(error)
        }
        if merged == nil { merged = message } else { merged?.merge(message) }
    }

    /// The stream ended: the merged message.
    ///
    /// - Throws: `IdentifyFault.truncated` when it ended inside a message, or before the first.
    package func finish() throws(IdentifyFault) -> IdentifyMessage {
        guard let merged, reader.isBetweenMessages else { throw .truncated }
        return merged
    }
}

/// Why an identify exchange came to nothing.
package enum IdentifyFault: Error, Equatable, Sendable {
    case delimited(DelimitedFault)
    case malformed(Protobuf.Fault)
    case tooManyMessages
    case truncated
}
