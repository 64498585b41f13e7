/// What a limit counts.
package enum LimitUnit: Sendable {
    case milliseconds, bytes, pairs, processes

    /// A number of it, in the largest unit that leaves it whole.
    package func text(_ number: UInt64) -> String {
        switch self {
        case .milliseconds: number % 1000 == 0 ? "\(number / 1000) s" : "\(number) ms"
        case .bytes:
            if number % (1 << 20) == 0 {
                "\(number >> 20) MiB"
            } else if number % (1 << 10) == 0 {
                "\(number >> 10) KiB"
            } else {
                number == 1 ? "1 byte" : "\(number) bytes"
            }
        case .pairs, .processes: "\(number)"
        }
    }
}

extension FunctionFault {
    /// An attempt used more than it may.
    package static func passed(limitOn what: String, _ limit: UInt64, _ unit: LimitUnit) -> FunctionFault {
        FunctionFault(.limit, "the attempt passed its limit on \(what), \(unit.text(limit))")
    }
}
