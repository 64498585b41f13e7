/// One message between a node and the process that runs user functions.
///
/// **Layout** `length` (32 bits, little endian: bytes of kind and body), `kind` (1 byte), `body`.
/// The full protocol: docs/protocols/functions.md.
package struct Frame: Hashable, Sendable {
    /// What a frame says.
    ///
    /// Below 0x80: node to process; from 0x80 on: process to node.
    package enum Kind: UInt8, Sendable, CaseIterable {
        /// `Preparation`: the function, once, before anything else.
        case prepare = 0x01
        /// `TaskStart`: an attempt begins with fresh state.
        case begin = 0x02
        /// `RecordChunk`: whole records of one input.
        case records = 0x03
        /// Packed pairs in key order (`PackedPairs`).
        case input = 0x04
        /// The attempt's input ends.
        case end = 0x05

        /// `Readiness`: the function is loaded and checked.
        case ready = 0x81
        /// Packed pairs that were emitted.
        case output = 0x82
        /// `CounterIncrement`.
        case counter = 0x83
        /// Text for the attempt's log.
        case log = 0x84
        /// What the attempt is doing, in a line of text.
        case status = 0x85
        /// `FunctionFault` of a record that was skipped.
        case skipped = 0x86
        /// The attempt's output is complete.
        case done = 0x87
        /// `FunctionFault`: preparation or the attempt failed.
        case failed = 0x88
    }

    /// Bytes in front of the body.
    package static let headByteCount = 5
    /// Largest body in bytes: the longest record or pair, and what lies around it.
    package static let maxBodyByteCount = 64 << 20
    /// Bodies are cut at about this size where they can be, in bytes.
    package static let batchByteCount = 256 << 10

    package var kind: Kind
    package var body: [UInt8]

    package init(_ kind: Kind, _ body: [UInt8] = []) {
        self.kind = kind
        self.body = body
    }

    /// The head of a frame.
    ///
    /// - Precondition: `bodyByteCount` is at most `maxBodyByteCount`.
    package static func head(_ kind: Kind, bodyByteCount: Int) -> [UInt8] {
        precondition(bodyByteCount <= maxBodyByteCount, "a body of \(bodyByteCount) bytes")
        var head: [UInt8] = []
        head.appendLittleEndian(UInt32(bodyByteCount + 1))
        head.append(kind.rawValue)
        return head
    }

    /// Reads a head.
    ///
    /// - Returns: `nil` when the kind is unknown or the length out of bounds.
    package static func parse(head: some Collection<UInt8>) -> (kind: Kind, bodyByteCount: Int)? {
        var reader = FieldReader(head)
        guard let length = reader.uint32(), let kind = reader.byte().flatMap(Kind.init) else { return nil }
        guard 1...(maxBodyByteCount + 1) ~= Int(length) else { return nil }
        return (kind, Int(length) - 1)
    }
}

/// Pairs one behind the other.
///
/// **Layout** of each: `keyByteCount` and `valueByteCount` (32 bits each, little endian; 0xFFFFFFFF: the pair has no value),
/// the key's bytes, the value's.
package enum PackedPairs {
    /// `valueByteCount` of a pair without a value.
    @inlinable package static var noValue: UInt32 { UInt32.max }
    /// Bytes in front of the key.
    @inlinable package static var headByteCount: Int { 8 }

    /// Appends a pair.
    package static func append(
        key: some Collection<UInt8>,
        value: (some Collection<UInt8>)?,
        to bytes: inout [UInt8]
    ) {
        bytes.appendLittleEndian(UInt32(key.count))
        bytes.appendLittleEndian(value.map { UInt32($0.count) } ?? noValue)
        bytes += key
        if let value { bytes += value }
    }

    /// Number of pairs in `bytes`; `nil` when they end within one.
    package static func count(in bytes: UnsafeRawBufferPointer) -> Int? {
        var count = 0
        var position = 0
        while position < bytes.count {
            guard bytes.count - position >= headByteCount else { return nil }
            let key = UInt32(littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self))
            let mark = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self)
            )
            position += headByteCount + Int(key) + (mark == noValue ? 0 : Int(mark))
            count += 1
        }
        return position == bytes.count ? count : nil
    }

    /// Hands out the pairs of `bytes`, in order.
    ///
    /// - Returns: `false` when the bytes end within a pair; those before it were handed out.
    @inlinable
    package static func forEach<Failure: Error>(
        in bytes: UnsafeRawBufferPointer,
        _ body: (UnsafeRawBufferPointer, UnsafeRawBufferPointer?) throws(Failure) -> Void
    ) throws(Failure) -> Bool {
        var position = 0
        while position < bytes.count {
            guard bytes.count - position >= headByteCount else { return false }
            let keyCount = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: position, as: UInt32.self)
            )
            let mark = UInt32(
                littleEndian: bytes.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self)
            )
            let valueCount = mark == noValue ? 0 : Int(mark)
            position += headByteCount
            guard bytes.count - position >= Int(keyCount) + valueCount else { return false }
            let key = UnsafeRawBufferPointer(rebasing: bytes[position..<position + Int(keyCount)])
            position += Int(keyCount)
            let value = UnsafeRawBufferPointer(rebasing: bytes[position..<position + valueCount])
            position += valueCount
            try body(key, mark == noValue ? nil : value)
        }
        return true
    }
}
