package import Engines
package import MRProtocol

/// Makes the engines that execute a job, and knows what a plan must know about them.
package protocol JobEngines: Sendable {
    /// Names the functions' and the run format's version; part of every task key.
    var version: String { get }

    /// Checks the specification's functions and arguments and makes an engine for one slot.
    func make(_ spec: JobSpec) throws(TaskFault) -> any JobEngine

    /// The map's output depends on names of files and offsets in them.
    func usesPosition(_ spec: JobSpec) -> Bool
}

extension JobEngines {
    /// Runs may be merged in any order, neighbours or not, without a change of the result.
    func mergesInAnyOrder(_ spec: JobSpec) -> Bool { BuiltInEngine.mergesInAnyOrder(spec) }
}
