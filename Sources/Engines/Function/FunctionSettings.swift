package import FunctionProtocol
package import MRProtocol

/// What a node lets the functions of one job use, and what they are told.
package struct FunctionSettings: Sendable {
    package var limits: FunctionLimits
    package var skipBad: Int
    package var arguments: [String: String]

    /// The settings of a job.
    ///
    /// - Parameters:
    ///   - spec: says what the job wants.
    ///   - standard: limits that the job leaves open.
    ///   - most: what this node allows; 0: unlimited.
    package init(_ spec: JobSpec, standard: FunctionLimits, most: FunctionLimits) {
        limits = standard
        skipBad = spec.skipBad
        arguments = spec.arguments
        for (wanted, path) in FunctionSettings.fields {
            let value = spec.limits[keyPath: wanted] ?? standard[keyPath: path]
            limits[keyPath: path] = FunctionSettings.lower(value, most[keyPath: path])
        }
    }

    private static func lower(_ one: UInt64, _ other: UInt64) -> UInt64 {
        one == 0 ? other : other == 0 ? one : min(one, other)
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
