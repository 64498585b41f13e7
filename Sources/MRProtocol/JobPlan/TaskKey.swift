package import Multiformats
import PeerCrypto

/// Name of a task's output: the hash of everything that the output depends on.
package struct TaskKey: Hashable, Sendable {
    /// SHA2-256 digest.
    package var digest: [UInt8]

    package init(digest: [UInt8]) { self.digest = digest }
}

/// The part of a key that all tasks of a kind in a job share.
package struct TaskKeyContext: Hashable, Sendable {
    /// Hash over functions, versions, arguments, formats, limits.
    package var digest: [UInt8]
    /// The map's output depends on names of files and offsets in them.
    package var usesPosition: Bool

    package init(digest: [UInt8], usesPosition: Bool) {
        self.digest = digest
        self.usesPosition = usesPosition
    }

    /// Everything but the blocks that the map tasks of `spec` depend on.
    ///
    /// - Parameters:
    ///   - spec: the job.
    ///   - engineVersion: names the engine and the version of its functions and of the run format.
    ///   - usesPosition: the output depends on where records stand.
    package init(mapsOf spec: JobSpec, engineVersion: String, usesPosition: Bool) {
        self.usesPosition = usesPosition
        var builder = TaskKeyBuilder(kind: .mapContext)
        builder.append(engineVersion)
        builder.append(TaskKeyContext.partitioner)
        builder.append(spec.map)
        builder.append(spec.combine == nil ? 0 : 1)
        if let combine = spec.combine { builder.append(combine) }
        builder.append(arguments: spec.arguments)
        builder.append(spec.recordFormat.rawValue)
        builder.append(spec.reduceCount)
        builder.append(spec.recordByteLimit)
        builder.append(spec.skipsLongRecords ? 1 : 0)
        builder.append(usesPosition ? 1 : 0)
        // Behind the rest, so that jobs without them keep the keys that they had before there were any.
        if !spec.files.isEmpty || spec.skipBad > 0 {
            builder.append(files: spec.files)
            builder.append(spec.skipBad)
        }
        digest = builder.finish().digest
    }

    /// Everything but the runs that the reduce tasks of `spec` depend on.
    package init(reducesOf spec: JobSpec, mapContext: TaskKeyContext, engineVersion: String) {
        usesPosition = false
        var builder = TaskKeyBuilder(kind: .reduceContext, context: mapContext)
        builder.append(engineVersion)
        builder.append(spec.reduce)
        builder.append(spec.outputFormat.rawValue)
        digest = builder.finish().digest
    }

    /// Name and version of the partition function.
    private static let partitioner = "fnv1a64/1"
}

extension TaskKey {
    /// Key of the part file that the reduce of `partition` writes, over the runs of all map tasks in input order.
    package static func reduce(partition: Int, runs: TaskKey, context: TaskKeyContext) -> TaskKey {
        var builder = TaskKeyBuilder(kind: .reduce, context: context)
        builder.append(partition)
        builder.append(runs.digest)
        return builder.finish()
    }

    /// One key for a sequence of runs.
    package static func sequence(_ keys: some Collection<TaskKey>) -> TaskKey {
        var builder = TaskKeyBuilder(kind: .sequence)
        builder.append(keys.count)
        for key in keys { builder.append(key.digest) }
        return builder.finish()
    }

    /// Key of the whole result of a specification.
    package static func job(_ spec: CID, engineVersion: String) -> TaskKey {
        var builder = TaskKeyBuilder(kind: .job)
        builder.append(engineVersion)
        builder.append(spec)
        return builder.finish()
    }
}

/// What is remembered under the key of a map task.
package enum RememberedRun: Hashable, Sendable {
    /// The run file.
    case run(RememberedOutput)
    /// The attempt read this many leaves behind its own; the run is under the key over all of them.
    case readsOn(Int)
}

/// A file in the store that a task made.
package struct RememberedOutput: Hashable, Sendable {
    package var root: CID
    package var byteCount: UInt64
    /// Tasks that it stands for.
    package var taskCount: Int
    package var counters: TaskCounters

    package init(root: CID, byteCount: UInt64, taskCount: Int, counters: TaskCounters) {
        self.root = root
        self.byteCount = byteCount
        self.taskCount = taskCount
        self.counters = counters
    }
}

/// Writes the fields of a key so that no two sequences of fields give the same bytes: each variable one has its length before it.
struct TaskKeyBuilder {
    enum Kind: String {
        case mapContext = "peernode map context 1"
        case reduceContext = "peernode reduce context 1"
        case map = "peernode map 1"
        case reduce = "peernode reduce 1"
        case sequence = "peernode runs 1"
        case job = "peernode job 1"
    }

    private var bytes: [UInt8] = []

    init(kind: Kind) { append(kind.rawValue) }

    init(kind: Kind, context: TaskKeyContext) {
        append(kind.rawValue)
        append(context.digest)
    }

    mutating func append(_ number: Int) { Varint.append(UInt64(number), to: &bytes) }

    mutating func append(_ field: some Collection<UInt8>) {
        Varint.append(UInt64(field.count), to: &bytes)
        bytes += field
    }

    mutating func append(_ text: String) { append(text.utf8) }
    mutating func append(_ cid: CID) { append(cid.bytes) }

    mutating func append(_ function: FunctionReference) {
        switch function {
        case .builtIn(let name):
            append(0)
            append(name)
        case .file(let cid):
            append(1)
            append(cid)
        case .command(let line):
            append(2)
            append(line)
        }
    }

    mutating func append(files: [JobFile]) {
        append(files.count)
        for file in files {
            append(file.name)
            append(file.root)
        }
    }

    mutating func append(arguments: [String: String]) {
        append(arguments.count)
        for (name, value) in arguments.sorted(by: { $0.key < $1.key }) {
            append(name)
            append(value)
        }
    }

    func finish() -> TaskKey { TaskKey(digest: SHA256.hash(bytes)) }
}
