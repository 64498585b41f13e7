import Engines
import MRProtocol

/// The engines of this program's own functions.
struct BuiltInEngines: JobEngines {
    var version: String { "built-in \(BuiltInEngine.version), run \(RunIndex.version)" }

    func make(_ spec: JobSpec) throws(TaskFault) -> any JobEngine { try BuiltInEngine.make(spec) }

    func usesPosition(_ spec: JobSpec) -> Bool { BuiltInEngine.usesPosition(spec) }
}
