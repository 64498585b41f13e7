import MRProtocol

/// Decimal integers as bytes.
enum DecimalText {
    /// Most digits of an integer that the short form holds without an overflow check.
    private static let shortDigitCount = 18

    /// The integer that `bytes` spell (`-` allowed, at most 18 digits); `nil` for anything else.
    @inline(__always)
    static func short(_ bytes: UnsafeRawBufferPointer) -> Int? {
        var position = 0
        let negative = bytes.first == 0x2d
        if negative { position = 1 }
        let digits = bytes.count - position
        guard digits > 0 && digits <= shortDigitCount else { return nil }
        var value = 0
        while position < bytes.count {
            let digit = bytes[position] &- 0x30
            guard digit < 10 else { return nil }
            value = 10 &* value &+ Int(digit)
            position += 1
        }
        return negative ? -value : value
    }

    /// Whether `bytes` spell an integer from 0 on of at most 18 digits as `append` would.
    @inline(__always)
    static func isPlain(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard let first = bytes.first, first != 0x2d else { return false }
        return (bytes.count == 1 || first != 0x30) && short(bytes) != nil
    }

    /// The integer that `bytes` spell, of any length that fits; `nil` for anything else.
    static func wide(_ bytes: UnsafeRawBufferPointer) -> Int128? {
        let negative = bytes.first == 0x2d
        let digits = bytes.dropFirst(negative ? 1 : 0)
        guard !digits.isEmpty else { return nil }
        var value: Int128 = 0
        for byte in digits {
            guard byte &- 0x30 < 10 else { return nil }
            let (scaled, tooLarge) = value.multipliedReportingOverflow(by: 10)
            let digit = Int128(byte - 0x30)
            let (sum, overflow) =
                negative ? scaled.subtractingReportingOverflow(digit) : scaled.addingReportingOverflow(digit)
            guard !tooLarge && !overflow else { return nil }
            value = sum
        }
        return value
    }

    /// Appends the digits of `value`.
    @inline(__always)
    static func append(_ value: Int, to bytes: GrowingBytes) {
        let place = bytes.room(for: 20)
        bytes.commit(write(value, to: place))
    }

    /// Writes the digits of `value`, at most 20 bytes, and returns their number.
    @inline(__always)
    static func write(_ value: Int, to place: UnsafeMutablePointer<UInt8>) -> Int {
        var rest = value.magnitude
        var count = value < 0 ? 1 : 0
        var scale = rest
        repeat {
            count += 1
            scale /= 10
        } while scale > 0
        if value < 0 { place[0] = 0x2d }
        var position = count
        repeat {
            let (quotient, digit) = rest.quotientAndRemainder(dividingBy: 10)
            position -= 1
            place[position] = 0x30 + UInt8(truncatingIfNeeded: digit)
            rest = quotient
        } while rest > 0
        return count
    }
}
