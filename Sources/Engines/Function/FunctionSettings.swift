package import FunctionProtocol
package import MRProtocol

/// What a node lets the functions of one job use, and what they are told.
package struct FunctionSettings: Sendable {
    package var limits: FunctionLimits
    package var skipBad: Int
    package var arguments: [String: String]

    /// Settings of no job.
    package init(limits: FunctionLimits, skipBad: Int, arguments: [String: String]) {
        self.limits = limits
        self.skipBad = skipBad
        self.arguments = arguments
    }

    /// The settings of a job.
    package init(_ spec: JobSpec) {
        limits = FunctionLimits(spec.limits)
        skipBad = spec.skipBad
        arguments = spec.arguments
    }
}

extension FunctionLimits {
    /// The limits that a job asks for; what it leaves open is as by default.
    package init(_ wanted: TaskLimits) {
        self.init()
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
