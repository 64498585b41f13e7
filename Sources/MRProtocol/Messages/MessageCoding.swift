internal import Multiformats

/// Why bytes are not a message of `/mapreduce/1`.
package enum MessageFault: Error, Equatable, Sendable {
    case tooLong(Int, limit: Int)
    case malformed
    /// A field that the message cannot do without.
    case missing(String)
    /// A field has a value that it cannot have, or too many of them.
    case value(String)
}

/// Something that is read field by field.
protocol MessageReadable {
    /// Starts with every field at its default.
    init()
    /// Takes one field; unknown numbers and other wire types are passed over.
    mutating func take(_ field: Protobuf.Field) throws(MessageFault)
}

/// Something that is written field by field.
protocol MessageWritable {
    /// Writes the fields that are not at their default.
    func write(to writer: inout Protobuf.Writer)
}

/// A part of a message: fields in, fields out.
protocol MessagePart: MessageReadable, MessageWritable {}

extension MessageReadable {
    init(bytes: ArraySlice<UInt8>) throws(MessageFault) {
        self.init()
        var reader = Protobuf.Reader(bytes)
        while let field = try Self.next(&reader) { try take(field) }
    }

    private static func next(_ reader: inout Protobuf.Reader) throws(MessageFault) -> Protobuf.Field? {
        do throws(Protobuf.Fault) {
            return try reader.next()
        } catch {
            throw .malformed
        }
    }
}

extension MessageWritable {
    var bytes: [UInt8] {
        var writer = Protobuf.Writer()
        write(to: &writer)
        return writer.bytes
    }
}

extension Protobuf.Field {
    /// Text, which has to be UTF-8; control characters are left to those who print it.
    func text(_ name: String) throws(MessageFault) -> String? {
        guard let bytes else { return nil }
        guard let text = String(validating: bytes, as: UTF8.self) else { throw .value(name) }
        return text
    }

    /// A number that fits.
    func number<Number: FixedWidthInteger>(_ type: Number.Type = Number.self) -> Number? {
        varint.flatMap { Number(exactly: $0) }
    }

    func cid(_ name: String) throws(MessageFault) -> CID? {
        guard let bytes else { return nil }
        // What is wrong with the CID does not matter to the caller.
        guard let cid = try? CID(bytes: bytes) else { throw .value(name) }
        return cid
    }

    func peer(_ name: String) throws(MessageFault) -> PeerID? {
        guard let bytes else { return nil }
        // What is wrong with the peer id does not matter to the caller.
        guard let peer = try? PeerID(bytes: bytes) else { throw .value(name) }
        return peer
    }

    func part<Part: MessagePart>(_ type: Part.Type) throws(MessageFault) -> Part? {
        guard let bytes else { return nil }
        return try Part(bytes: bytes)
    }
}

extension Array {
    /// Adds a repeated field's value, up to a limit.
    mutating func append(_ element: Element, limit: Int, field: String) throws(MessageFault) {
        guard count < limit else { throw .value(field) }
        append(element)
    }
}

extension Protobuf.Writer {
    mutating func number(_ field: UInt64, _ value: some BinaryInteger) {
        if value != 0 { varint(field, UInt64(truncatingIfNeeded: value)) }
    }

    mutating func flag(_ field: UInt64, _ value: Bool) {
        if value { varint(field, 1) }
    }

    mutating func text(_ field: UInt64, _ value: String) {
        if !value.isEmpty { string(field, value) }
    }

    mutating func data(_ field: UInt64, _ value: [UInt8]) {
        if !value.isEmpty { bytes(field, value) }
    }

    mutating func part(_ field: UInt64, _ value: some MessageWritable) { bytes(field, value.bytes) }
}
