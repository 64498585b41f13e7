/// How the bytes of records, keys and values are a function's strings.
enum TextEncoding: String {
    /// Malformed bytes are read as U+FFFD, and unpaired surrogates written as U+FFFD.
    case utf8 = "utf-8"
    /// One unit a byte, so that all bytes stay what they are.
    case latin1 = "latin1"
    /// `Uint8Array`s instead of strings.
    case bytes = "bytes"
}

// MARK: - Bytes to units

extension TextEncoding {
    /// Appends what `bytes` are in UTF-16.
    func append(_ bytes: UnsafeRawBufferPointer, to units: inout [UInt16]) {
        if self == .utf8 {
            TextEncoding.appendUTF8(bytes, to: &units)
        } else {
            units.append(contentsOf: bytes.lazy.map { UInt16($0) })
        }
    }

    private static let replacement: UInt16 = 0xfffd

    /// Reads UTF-8 as browsers do: each longest malformed front of a character is one U+FFFD.
    private static func appendUTF8(_ bytes: UnsafeRawBufferPointer, to units: inout [UInt16]) {
        var position = 0
        while position < bytes.count {
            let lead = bytes[position]
            position += 1
            if lead < 0x80 {
                units.append(UInt16(lead))
                continue
            }
            guard let shape = Shape(lead: lead) else {
                units.append(replacement)
                continue
            }
            var scalar = shape.front
            var range = shape.second
            var missing = shape.tailCount
            while missing > 0, position < bytes.count, range.contains(bytes[position]) {
                scalar = scalar << 6 | UInt32(bytes[position] & 0x3f)
                position += 1
                missing -= 1
                range = 0x80...0xbf
            }
            if missing > 0 {
                units.append(replacement)
            } else if scalar < 0x10000 {
                units.append(UInt16(scalar))
            } else {
                units.append(UInt16(0xd7c0 + scalar >> 10))
                units.append(UInt16(0xdc00 | scalar & 0x3ff))
            }
        }
    }

    /// What a lead byte says of its character.
    private struct Shape {
        /// The bits in the lead.
        let front: UInt32
        let tailCount: Int
        /// What the second byte may be: no longer form than needed, no surrogates, nothing over U+10FFFF.
        let second: ClosedRange<UInt8>

        init?(lead: UInt8) {
            switch lead {
            case 0xc2...0xdf: self.init(lead & 0x1f, 1)
            case 0xe0: self.init(lead & 0x0f, 2, 0xa0...0xbf)
            case 0xed: self.init(lead & 0x0f, 2, 0x80...0x9f)
            case 0xe1...0xef: self.init(lead & 0x0f, 2)
            case 0xf0: self.init(lead & 0x07, 3, 0x90...0xbf)
            case 0xf4: self.init(lead & 0x07, 3, 0x80...0x8f)
            case 0xf1...0xf3: self.init(lead & 0x07, 3)
            default: return nil
            }
        }

        private init(_ front: UInt8, _ tailCount: Int, _ second: ClosedRange<UInt8> = 0x80...0xbf) {
            self.front = UInt32(front)
            self.tailCount = tailCount
            self.second = second
        }
    }
}

// MARK: - Units to bytes

extension TextEncoding {
    /// Appends the bytes of `units`; in `latin1` none is above 0xFF.
    func append(_ units: UnsafeBufferPointer<UInt16>, to bytes: inout [UInt8]) {
        var position = 0
        if self == .latin1 {
            bytes.append(contentsOf: units.lazy.map { UInt8(truncatingIfNeeded: $0) })
            return
        }
        while position < units.count {
            let unit = units[position]
            position += 1
            if unit < 0x80 {
                bytes.append(UInt8(unit))
            } else if unit < 0x800 {
                bytes.append(0xc0 | UInt8(unit >> 6))
                bytes.append(TextEncoding.tail(UInt32(unit)))
            } else if unit & 0xfc00 == 0xd800, position < units.count, units[position] & 0xfc00 == 0xdc00 {
                let scalar = 0x10000 + UInt32(unit & 0x3ff) << 10 + UInt32(units[position] & 0x3ff)
                position += 1
                bytes.append(0xf0 | UInt8(scalar >> 18))
                bytes.append(TextEncoding.tail(scalar >> 12))
                bytes.append(TextEncoding.tail(scalar >> 6))
                bytes.append(TextEncoding.tail(scalar))
            } else {
                let scalar = UInt32(unit & 0xf800 == 0xd800 ? TextEncoding.replacement : unit)
                bytes.append(0xe0 | UInt8(scalar >> 12))
                bytes.append(TextEncoding.tail(scalar >> 6))
                bytes.append(TextEncoding.tail(scalar))
            }
        }
    }

    private static func tail(_ bits: UInt32) -> UInt8 { 0x80 | UInt8(bits & 0x3f) }
}
