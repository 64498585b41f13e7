package import Engines
package import MRProtocol

/// Makes the engines that execute a job, and knows what a plan must know about them.
package protocol JobEngines: Sendable {
    /// Names the built-in functions' and the run format's version; part of every task key.
    var version: String { get }

    /// Checks the specification's built-in functions and arguments and makes an engine for one slot.
    ///
    /// - Parameters:
    ///   - spec: the job.
    ///   - functions: its user functions; `nil`: all are built in.
    /// - Returns: an engine for the thread of one slot.
    /// - Throws: `TaskFault.argument`.
    func make(_ spec: JobSpec, functions: JobFunctions?) throws(TaskFault) -> any JobEngine

    /// The output of a built-in map depends on names of files and offsets in them.
    func usesPosition(_ spec: JobSpec) -> Bool
}

extension JobEngines {
    /// Names all that runs functions of `spec`, as keys of tasks and calls to workers do.
    func version(for spec: JobSpec) -> String {
        spec.userFunctions.isEmpty ? version : "\(JobFunctions.version(for: spec)), \(version)"
    }

    /// Runs may be merged in any order, neighbours or not, without a change of the result.
    ///
    /// A reduce of the user may depend on the order of values, whatever the combine is.
    func mergesInAnyOrder(_ spec: JobSpec) -> Bool {
        !spec.reduce.isUserFunction && BuiltInEngine.mergesInAnyOrder(spec)
    }
}
