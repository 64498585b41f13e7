extension UInt64 {
    /// The sum, or the greatest number: what other nodes say is added up without a check of each.
    package func addingClamped(_ other: UInt64) -> UInt64 {
        let (sum, overflows) = addingReportingOverflow(other)
        return overflows ? .max : sum
    }

    /// Adds a number; the sum stops at the greatest.
    package mutating func addClamped(_ other: UInt64) { self = addingClamped(other) }
}
