import FunctionProtocol
import MRProtocol
import Multiformats
import PeerCrypto

/// A job in which at least one of map, combine and reduce is a user function; the others are built in.
struct FunctionPlan {
    let spec: JobSpec
    /// The job with stand-ins for the user functions: all that the built-in machinery needs to know.
    let builtIn: BuiltInPlan
    let context: TaskKeyContext
    private let reduceContext: TaskKeyContext

    /// Bytes of a frame that are not the record's.
    private static let frameReserve = 64 << 10
    /// Longest record that fits a frame, in bytes.
    static let maxRecordByteLimit = Frame.maxBodyByteCount - frameReserve

    /// Checks the built-in parts of a job.
    ///
    /// - Throws: `TaskFault.argument`.
    init(_ spec: JobSpec, usesPosition: Bool) throws(TaskFault) {
        self.spec = spec
        builtIn = try BuiltInPlan(FunctionPlan.standIn(for: spec))
        guard spec.recordByteLimit <= FunctionPlan.maxRecordByteLimit || !spec.map.isUserFunction else {
            throw .argument(
                name: "record-limit",
                reason: "must be at most \(FunctionPlan.maxRecordByteLimit) bytes for a map of your own"
            )
        }
        let version = "functions \(JobFunctions.version)"
        context = TaskKeyContext(mapsOf: spec, engineVersion: version, usesPosition: usesPosition)
        reduceContext = TaskKeyContext(reducesOf: spec, mapContext: context, engineVersion: version)
    }

    /// Functions of the user are replaced by ones that change nothing; arguments that only they know are left out.
    private static func standIn(for spec: JobSpec) -> JobSpec {
        var standIn = spec
        if spec.map.isUserFunction { standIn.map = .builtIn("identity") }
        if spec.combine?.isUserFunction == true { standIn.combine = nil }
        if spec.reduce.isUserFunction { standIn.reduce = .builtIn("identity") }
        var known: Set<String> = []
        if standIn.map == .builtIn("grep") { known.formUnion(["output", "pattern"]) }
        if standIn.reduce == .builtIn("top") { known.insert("n") }
        standIn.arguments = spec.arguments.filter { known.contains($0.key) }
        return standIn
    }

    // MARK: Seeds

    // What `Math.random` may depend on: the task's key, never attempts, workers or times.

    func mapSeed(_ segments: [MapSegment]) -> [UInt8] {
        var bytes = context.digest + Array("map".utf8)
        for segment in segments {
            if context.usesPosition { bytes += Array("\(segment.fileName):\(segment.fileOffset)\n".utf8) }
            for leaf in segment.leaves { bytes += leaf.cid.bytes }
        }
        return SHA256.hash(bytes)
    }

    var combineSeed: [UInt8] { SHA256.hash(context.digest + Array("combine".utf8)) }

    func reduceSeed(_ partition: Int) -> [UInt8] {
        SHA256.hash(reduceContext.digest + Array("reduce \(partition)".utf8))
    }

    // MARK: Environments

    /// What Hadoop tells a command of its job.
    private var environment: [(name: String, value: String)] {
        [("mapreduce_job_id", spec.cid.description), ("mapreduce_job_reduces", "\(spec.reduceCount)")]
    }

    func mapEnvironment(_ segment: MapSegment) -> [(name: String, value: String)] {
        let byteCount = segment.leaves.reduce(0) { $0 + $1.byteCount }
        return [("map_input_file", segment.fileName)] + environment + [
            ("mapreduce_map_input_file", segment.fileName),
            ("mapreduce_map_input_length", "\(byteCount)"),
            ("mapreduce_map_input_start", "\(segment.fileOffset)"),
            ("mapreduce_task_is_map", "true"),
        ]
    }

    func reduceEnvironment(_ partition: Int) -> [(name: String, value: String)] {
        environment + [("mapreduce_task_is_map", "false"), ("mapreduce_task_partition", "\(partition)")]
    }
}
