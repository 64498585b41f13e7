import Engines
import MRProtocol

/// The engines of this program: for jobs of built-in functions, and for those with functions of the user's own.
struct StandardEngines: JobEngines {
    var version: String { "built-in \(BuiltInEngine.version), run \(RunIndex.version)" }

    func make(_ spec: JobSpec, functions: JobFunctions?) throws(TaskFault) -> any JobEngine {
        guard let functions else { return try BuiltInEngine.make(spec) }
        return try FunctionEngine(spec, functions: functions)
    }

    func usesPosition(_ spec: JobSpec) -> Bool { BuiltInEngine.usesPosition(spec) }
}
