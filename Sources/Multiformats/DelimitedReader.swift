/// Cuts a byte stream into messages, each with its length as a varint before it.
///
/// A message is gathered in a buffer of its own, which is handed out whole: its bytes are copied once, and slices of it
/// may be kept. Memory grows with the bytes that came, never with a length that was announced.
///
/// **Source** WIRE section 1, "Delimited message".
public struct DelimitedReader: Sendable {
    /// Longest message, in bytes.
    public let maxByteCount: Int

    private var lengthBytes: [UInt8] = []
    private var message: [UInt8] = []
    private var missingByteCount: Int?

    /// Most bytes that are set aside before they came.
    public static let maxReservedByteCount = 64 << 10

    /// Starts before the first message.
    public init(maxByteCount: Int) { self.maxByteCount = maxByteCount }

    /// Whether the stream stands between two messages, where it may end.
    public var isBetweenMessages: Bool { missingByteCount == nil && lengthBytes.isEmpty }

    /// Bytes of a message that is not whole.
    public var heldByteCount: Int { message.count }

    /// Takes bytes off the front of `bytes` up to the end of one message.
    ///
    /// Call it until it returns `nil`; then all of `bytes` was taken.
    /// - Returns: a whole message, or `nil` when more bytes are needed.
    /// - Throws: `DelimitedFault`; the stream is of no use afterwards.
    public mutating func next(_ bytes: inout ArraySlice<UInt8>) throws(DelimitedFault) -> [UInt8]? {
        if missingByteCount == nil {
            guard let count = try takeLength(&bytes) else { return nil }
            missingByteCount = count
            message.reserveCapacity(min(count, DelimitedReader.maxReservedByteCount))
        }
        guard let missing = missingByteCount else { return nil }
        let part = bytes.prefix(missing)
        message += part
        bytes = bytes.dropFirst(part.count)
        guard part.count == missing else {
            missingByteCount = missing - part.count
            return nil
        }
        missingByteCount = nil
        defer { message = [] }
        return message
    }

    private mutating func takeLength(_ bytes: inout ArraySlice<UInt8>) throws(DelimitedFault) -> Int? {
        while let byte = bytes.popFirst() {
            lengthBytes.append(byte)
            guard byte & 0x80 == 0 || lengthBytes.count >= Varint.maxByteCount else { continue }
            let length: UInt64?
            do throws(VarintFault) {
                length = try Varint.decode(lengthBytes)?.value
            } catch {
                throw .length(error)
            }
            guard let length else { continue }
            guard length <= UInt64(maxByteCount) else { throw .tooLong(length, limit: maxByteCount) }
            lengthBytes = []
            return Int(length)
        }
        return nil
    }
}

/// Why a stream is not one of delimited messages.
public enum DelimitedFault: Error, Equatable, Sendable {
    case length(VarintFault)
    case tooLong(UInt64, limit: Int)
}

extension Array<UInt8> {
    /// The bytes with their number before them as a varint.
    public var delimited: [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(count + Varint.maxByteCount)
        Varint.append(UInt64(count), to: &bytes)
        bytes += self
        return bytes
    }
}
