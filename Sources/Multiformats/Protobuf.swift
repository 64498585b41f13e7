/// The little of Protocol Buffers that our messages use: writing fields, and reading them one by one.
///
/// **Source** protobuf.dev, "Encoding"; WIRE section 1.
public enum Protobuf: Sendable {
    /// Wire types; groups (3, 4) are refused.
    public enum WireType: UInt64, Sendable {
        case varint = 0
        case fixed64 = 1
        case bytes = 2
        case fixed32 = 5
    }

    /// One field as it stands in a message.
    public struct Field: Equatable, Sendable {
        /// The number from the message's description.
        public let number: UInt64
        /// What stands behind the number.
        public let value: Value

        /// The value of a field, by wire type.
        public enum Value: Equatable, Sendable {
            case varint(UInt64)
            case fixed64(UInt64)
            case bytes(ArraySlice<UInt8>)
            case fixed32(UInt32)
        }

        /// The varint, or `nil` for another wire type.
        public var varint: UInt64? { if case .varint(let value) = value { value } else { nil } }
        /// The bytes, or `nil` for another wire type.
        public var bytes: ArraySlice<UInt8>? { if case .bytes(let value) = value { value } else { nil } }
    }

    /// Why bytes are not a message.
    public enum Fault: Error, Equatable, Sendable {
        case truncated
        case varintTooLong
        case fieldNumber(UInt64)
        case wireType(UInt64)
    }

    /// Reads a message field by field; unknown fields come out like any other, for the caller to skip.
    public struct Reader: Sendable {
        private var rest: ArraySlice<UInt8>

        /// Starts at the first field of `bytes`.
        public init(_ bytes: ArraySlice<UInt8>) { rest = bytes }
        /// Starts at the first field of `bytes`.
        public init(_ bytes: [UInt8]) { rest = bytes[...] }

        /// The next field, or `nil` at the end.
        public mutating func next() throws(Fault) -> Field? {
            guard !rest.isEmpty else { return nil }
            let tag = try takeVarint()
            guard tag >> 3 >= 1, tag >> 3 < 1 << 29 else { throw .fieldNumber(tag >> 3) }
            switch WireType(rawValue: tag & 7) {
            case .varint:
                return Field(number: tag >> 3, value: .varint(try takeVarint()))
            case .fixed64:
                return Field(number: tag >> 3, value: .fixed64(littleEndian(try take(8))))
            case .bytes:
                return Field(number: tag >> 3, value: .bytes(try take(try takeVarint())))
            case .fixed32:
                return Field(number: tag >> 3, value: .fixed32(UInt32(littleEndian(try take(4)))))
            case nil:
                throw .wireType(tag & 7)
            }
        }

        private mutating func takeVarint() throws(Fault) -> UInt64 {
            var value: UInt64 = 0
            for (index, byte) in rest.prefix(10).enumerated() {
                if index == 9 && byte > 1 { throw .varintTooLong }
                value |= UInt64(byte & 0x7f) << UInt64(7 * index)
                if byte & 0x80 == 0 {
                    rest = rest.dropFirst(index + 1)
                    return value
                }
            }
            throw rest.count < 10 ? .truncated : .varintTooLong
        }

        private mutating func take(_ count: UInt64) throws(Fault) -> ArraySlice<UInt8> {
            guard count <= UInt64(rest.count) else { throw .truncated }
            defer { rest = rest.dropFirst(Int(count)) }
            return rest.prefix(Int(count))
        }

        private func littleEndian(_ bytes: ArraySlice<UInt8>) -> UInt64 {
            bytes.reversed().reduce(0) { $0 << 8 | UInt64($1) }
        }
    }

    /// Writes a message; fields appear in the order of the calls.
    public struct Writer: Sendable {
        /// The message so far.
        public private(set) var bytes: [UInt8] = []

        /// Starts an empty message.
        public init() {}

        /// Writes a varint field, also when it is zero.
        public mutating func varint(_ number: UInt64, _ value: UInt64) {
            Varint.append(number << 3 | WireType.varint.rawValue, to: &bytes)
            Varint.append(value, to: &bytes)
        }

        /// Writes a length-delimited field, also when it is empty.
        public mutating func bytes(_ number: UInt64, _ value: some Collection<UInt8>) {
            Varint.append(number << 3 | WireType.bytes.rawValue, to: &bytes)
            Varint.append(UInt64(value.count), to: &bytes)
            bytes += value
        }

        /// Writes a string field as UTF-8.
        public mutating func string(_ number: UInt64, _ value: String) {
            bytes(number, Array(value.utf8))
        }
    }
}
