package import FunctionProtocol
package import MRProtocol

/// What a node lets the functions of one job use, and what they are told.
package struct FunctionSettings: Sendable {
    private let limits: TaskLimits
    package var skipBad: Int
    package var arguments: [String: String]

    /// Settings of no job.
    package init(limits: TaskLimits, skipBad: Int, arguments: [String: String]) {
        self.limits = limits
        self.skipBad = skipBad
        self.arguments = arguments
    }

    /// The settings of a job.
    package init(_ spec: JobSpec) {
        self.init(limits: spec.limits, skipBad: spec.skipBad, arguments: spec.arguments)
    }

    /// The limits on an attempt of a function.
    package func limits(for engine: EngineKind) -> FunctionLimits { FunctionLimits(limits, for: engine) }
}

extension FunctionLimits {
    /// The limits that a job asks for; what it leaves open is as by default.
    package init(_ wanted: TaskLimits, for engine: EngineKind) {
        self = .standard(for: engine)
        for (asked, path) in FunctionLimits.fields {
            if let value = wanted[keyPath: asked] { self[keyPath: path] = value }
        }
    }

    private static let fields:
        [(
            any KeyPath<TaskLimits, UInt64?> & Sendable,
            any WritableKeyPath<FunctionLimits, UInt64> & Sendable
        )] = [
            (\.cpuMilliseconds, \.cpuMilliseconds), (\.stallMilliseconds, \.stallMilliseconds),
            (\.memoryByteCount, \.memoryByteCount), (\.outputByteCount, \.outputByteCount),
            (\.outputPairCount, \.outputPairCount), (\.logByteCount, \.logByteCount),
            (\.processCount, \.processCount),
        ]
}
