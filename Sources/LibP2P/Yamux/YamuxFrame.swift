/// Names one stream of a session; odd ones were opened by the end that dialed TCP.
package struct YamuxStreamID: Hashable, Sendable, CustomStringConvertible {
    /// The number on the wire; 0 is the session itself.
    package let number: UInt32

    /// Wraps a number from the wire.
    package init(_ number: UInt32) { self.number = number }

    package var description: String { String(number) }
}

/// The 12 bytes before every frame.
///
/// **Layout** version 1 byte (0), type 1, flags 2, stream id 4, length 4; big-endian.
/// **Source** libp2p/specs yamux; WIRE section 6.
package struct YamuxHeader: Equatable, Sendable {
    /// Length of a header in bytes.
    package static let byteCount = 12

    /// What a frame is.
    package enum Kind: UInt8, Sendable {
        case data = 0
        case windowUpdate = 1
        case ping = 2
        case goAway = 3
    }

    /// What a frame says besides.
    package struct Flags: OptionSet, Sendable {
        package let rawValue: UInt16
        package init(rawValue: UInt16) { self.rawValue = rawValue }

        package static let syn = Flags(rawValue: 1)
        package static let ack = Flags(rawValue: 2)
        package static let fin = Flags(rawValue: 4)
        package static let rst = Flags(rawValue: 8)
    }

    package var kind: Kind
    package var flags: Flags
    package var stream: YamuxStreamID
    /// Body bytes for data, else a window, an opaque value or an error code.
    package var length: UInt32

    package init(_ kind: Kind, _ flags: Flags = [], stream: YamuxStreamID, length: UInt32) {
        self.kind = kind
        self.flags = flags
        self.stream = stream
        self.length = length
    }

    /// Reads a header.
    ///
    /// - Parameter bytes: exactly 12.
    /// - Throws: `YamuxFault.version` or `.frameType`.
    package init(bytes: ArraySlice<UInt8>) throws(YamuxFault) {
        precondition(bytes.count == Self.byteCount, "a header has 12 bytes, not \(bytes.count)")
        let start = bytes.startIndex
        guard bytes[start] == 0 else { throw .version(bytes[start]) }
        guard let kind = Kind(rawValue: bytes[start + 1]) else { throw .frameType(bytes[start + 1]) }
        self.kind = kind
        flags = Flags(rawValue: UInt16(bytes[start + 2]) << 8 | UInt16(bytes[start + 3]))
        stream = YamuxStreamID(Self.word(bytes, at: start + 4))
        length = Self.word(bytes, at: start + 8)
    }

    /// Writes the 12 bytes.
    package func write(to output: UnsafeMutableRawBufferPointer) {
        output[0] = 0
        output[1] = kind.rawValue
        output.storeBytes(of: flags.rawValue.bigEndian, toByteOffset: 2, as: UInt16.self)
        output.storeBytes(of: stream.number.bigEndian, toByteOffset: 4, as: UInt32.self)
        output.storeBytes(of: length.bigEndian, toByteOffset: 8, as: UInt32.self)
    }

    /// The 12 bytes.
    package var bytes: [UInt8] {
        [UInt8](unsafeUninitializedCapacity: Self.byteCount) { output, count in
            write(to: UnsafeMutableRawBufferPointer(output))
            count = Self.byteCount
        }
    }

    private static func word(_ bytes: ArraySlice<UInt8>, at index: Int) -> UInt32 {
        bytes[index..<(index + 4)].reduce(0) { $0 << 8 | UInt32($1) }
    }
}

/// A frame on its way out; the body is a slice of what the application wrote.
package struct YamuxFrame: Equatable, Sendable {
    package var header: YamuxHeader
    package var body: ArraySlice<UInt8>
    /// The stream's queue fell to `YamuxLimits.lowWaterByteCount`: its writer may go on.
    package var reopensQueue = false
    /// The stream is gone with this frame: both directions have ended.
    package var endsStream = false

    package init(_ header: YamuxHeader, body: ArraySlice<UInt8> = []) {
        self.header = header
        self.body = body
    }

    /// Header and body together.
    package var byteCount: Int { YamuxHeader.byteCount + body.count }
}
