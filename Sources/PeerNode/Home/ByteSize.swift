/// Sizes as people write them.
public enum ByteSize {
    /// Reads `4096`, `64K`, `1M`, `2GiB`, `10GB`: one letter or `…iB` counts in powers of 1,024, `…B` in powers of 1,000.
    ///
    /// - Returns: bytes; `nil` when the text is no size or does not fit 63 bits.
    public static func parse(_ text: String) -> UInt64? {
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let number = UInt64(digits) else { return nil }
        guard let factor = factor(text.dropFirst(digits.count).lowercased()) else { return nil }
        let (bytes, overflows) = number.multipliedReportingOverflow(by: factor)
        return overflows || bytes > UInt64(Int64.max) ? nil : bytes
    }

    private static func factor(_ unit: String) -> UInt64? {
        if unit.isEmpty || unit == "b" { return 1 }
        let letters = "kmgtp"
        guard let first = unit.first, let index = letters.firstIndex(of: first) else { return nil }
        let power = letters.distance(from: letters.startIndex, to: index) + 1
        switch unit.dropFirst() {
        case "", "ib": return (0..<power).reduce(1) { factor, _ in factor * 1024 }
        case "b": return (0..<power).reduce(1) { factor, _ in factor * 1000 }
        default: return nil
        }
    }

    /// A short text for people, in powers of 1,024: `512 B`, `1.5 MiB`.
    public static func format(_ byteCount: UInt64) -> String {
        guard byteCount >= 1024 else { return "\(byteCount) B" }
        let units = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]
        var value = Double(byteCount) / 1024
        var unit = 0
        while value >= 1023.95, unit < units.count - 1 {
            value /= 1024
            unit += 1
        }
        let tenths = Int((value * 10).rounded())
        return "\(tenths / 10).\(tenths % 10) \(units[unit])"
    }
}

/// Durations as people write them.
public enum DurationText {
    /// Reads `30` (seconds), `500ms`, `30s`, `5m`, `2h`, `1.5s`.
    ///
    /// - Returns: `nil` when the text is no duration, or longer than a year.
    public static func parse(_ text: String) -> Duration? {
        let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
        guard let number = Double(digits), number >= 0 else { return nil }
        let factors: [String: Double] = ["": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600]
        guard let factor = factors[String(text.dropFirst(digits.count))] else { return nil }
        let seconds = number * factor
        return seconds <= 31_536_000 ? .milliseconds(Int64(seconds * 1000)) : nil
    }
}
