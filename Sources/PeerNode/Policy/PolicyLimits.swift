import FunctionProtocol
package import MRProtocol

/// Upper bounds that a policy sets on each attempt of a function; what it leaves out is unbounded for the node's own user,
/// and the node's standard for others (`boundingPeers`).
public struct PolicyLimits: Hashable, Sendable {
    /// What is bounded.
    public enum Name: String, Hashable, Sendable, CaseIterable {
        /// Processor time.
        case cpu
        /// Time without a sign of life.
        case stall
        /// Resident memory.
        case memory
        /// Bytes of emitted pairs.
        case output
        /// Emitted pairs.
        case pairs
        /// Bytes of log.
        case log
        /// Processes and threads of a command.
        case processes

        /// How a value is written.
        public enum Unit: Sendable {
            /// In milliseconds; as text `30s`, `5m`.
            case duration
            /// In bytes; as text `512M`, `2GiB`.
            case size
            case count
        }

        /// How its value is written.
        public var unit: Unit {
            switch self {
            case .cpu, .stall: .duration
            case .memory, .output, .log: .size
            case .pairs, .processes: .count
            }
        }
    }

    /// Bounds that are set, all above 0.
    public var bounds: [Name: UInt64]

    /// Sets bounds.
    public init(_ bounds: [Name: UInt64] = [:]) { self.bounds = bounds }

    /// What a job asks for, with nothing above its bound; what it leaves open, or asks without end (0), is the bound.
    package func bounding(_ limits: TaskLimits) -> TaskLimits {
        var bounded = limits
        for (name, bound) in bounds {
            let asked = limits[keyPath: name.field] ?? 0
            bounded[keyPath: name.field] = asked == 0 ? bound : min(asked, bound)
        }
        return bounded
    }

    /// What another node's job asks for, with nothing above its bound.
    ///
    /// Where none is set the bound is what a job gets here that asks for nothing. What the job leaves open stays open there:
    /// each of its functions gets the standard of its engine.
    package func boundingPeers(_ spec: JobSpec) -> TaskLimits {
        // Beside commands other functions may be silent as long as they.
        let standard = FunctionLimits.standard(for: spec.hasCommands ? .command : .javaScript)
        var bounded = bounding(spec.limits)
        for name in Name.allCases where bounds[name] == nil {
            guard let asked = bounded[keyPath: name.field] else { continue }
            let bound = standard[keyPath: name.standard]
            bounded[keyPath: name.field] = asked == 0 ? bound : min(asked, bound)
        }
        return bounded
    }
}

extension PolicyLimits.Name {
    /// The limit that it bounds.
    package var field: WritableKeyPath<TaskLimits, UInt64?> {
        switch self {
        case .cpu: \.cpuMilliseconds
        case .stall: \.stallMilliseconds
        case .memory: \.memoryByteCount
        case .output: \.outputByteCount
        case .pairs: \.outputPairCount
        case .log: \.logByteCount
        case .processes: \.processCount
        }
    }

    /// Where the node's own limit stands.
    fileprivate var standard: KeyPath<FunctionLimits, UInt64> {
        switch self {
        case .cpu: \.cpuMilliseconds
        case .stall: \.stallMilliseconds
        case .memory: \.memoryByteCount
        case .output: \.outputByteCount
        case .pairs: \.outputPairCount
        case .log: \.logByteCount
        case .processes: \.processCount
        }
    }

    /// Reads a value as people write it; `nil` when it is none, is 0, or is over `TaskLimits.maxValue`.
    public func parse(_ text: String) -> UInt64? {
        let value: UInt64? =
            switch unit {
            case .duration: DurationText.parse(text).map { UInt64($0 / .milliseconds(1)) }
            case .size: ByteSize.parse(text)
            case .count: UInt64(text)
            }
        return value.flatMap { 1...TaskLimits.maxValue ~= $0 ? $0 : nil }
    }

    /// The shortest text that `parse` reads as `value`.
    public func format(_ value: UInt64) -> String {
        switch unit {
        case .count: return "\(value)"
        case .size:
            var (value, unit) = (value, 0)
            while value >= 1024, value % 1024 == 0, unit < 5 { (value, unit) = (value / 1024, unit + 1) }
            return "\(value)" + ["", "KiB", "MiB", "GiB", "TiB", "PiB"][unit]
        case .duration:
            for (text, factor) in [("h", 3_600_000), ("m", 60_000), ("s", 1000)] as [(String, UInt64)]
            where value % factor == 0 { return "\(value / factor)\(text)" }
            return "\(value)ms"
        }
    }

    /// An example of a value, for errors.
    public var example: String {
        switch unit {
        case .duration: "a duration such as 30s or 5m"
        case .size: "a size such as 512M or 2GiB"
        case .count: "a number above 0"
        }
    }
}
