import Engines
import FunctionProtocol
import Glibc
import MRProtocol
import Multiformats
import PeerTestKit
import Testing

/// A job with user functions, run in one thread with the helpers of this build.
struct FunctionJob {
    var job: LocalJob
    var limits = TaskLimits()
    /// Bytes of the function files, by CID.
    var files: [CID: [UInt8]] = [:]
    let report = AttemptReport()

    init(
        map: Function,
        combine: Function? = nil,
        reduce: Function,
        reduceCount: Int = 1,
        format: RecordFormat = .lines,
        arguments: [String: String] = [:]
    ) {
        job = LocalJob(
            JobSpec(
                map: map.reference,
                combine: combine?.reference,
                reduce: reduce.reference,
                reduceCount: reduceCount,
                recordFormat: format,
                arguments: arguments,
                inputs: []
            )
        )
        for case .script(let text)? in [map, combine, reduce] {
            files[CID.of(Array(text.utf8), codec: .raw)] = Array(text.utf8)
        }
    }

    func run(_ inputs: [(name: String, bytes: [UInt8])]) throws -> LocalJob.Outcome {
        try runs([inputs])[0].get()
    }

    /// Runs the job over one input after the other, in one engine.
    func runs(_ inputs: [[(name: String, bytes: [UInt8])]]) throws -> [Result<LocalJob.Outcome, TaskFault>] {
        let folder = try TemporaryFolder()
        let functions = JobFunctions(
            job.spec,
            functions: try job.spec.userFunctions.map { reference in
                switch reference {
                case .command(let line): LoadedFunction(command: line)
                case .file(let cid): LoadedFunction(file: reference, bytes: try #require(files[cid]))
                case .builtIn: throw TaskFault.cancelled
                }
            },
            settings: FunctionSettings(
                limits: limits,
                skipBad: job.spec.skipBad,
                arguments: job.spec.arguments
            ),
            room: try WorkRoom(under: folder.path)
        )
        defer { functions.close() }
        let engine = try FunctionEngine(job.spec, functions: functions)
        return inputs.map { files in
            Result { () throws(TaskFault) in try job.run(files, engine: engine, report: report) }
        }
    }

    /// The failure of a job that has to fail.
    func failure(_ inputs: [(name: String, bytes: [UInt8])]) -> FunctionFailure? {
        do {
            _ = try run(inputs)
        } catch TaskFault.userFunction(let failure) {
            return failure
        } catch {
            Issue.record("failed otherwise: \(error)")
        }
        return nil
    }
}

/// A function as a test names it.
enum Function {
    case builtIn(String)
    case command(String)
    /// JavaScript text.
    case script(String)

    var reference: FunctionReference {
        switch self {
        case .builtIn(let name): .builtIn(name)
        case .command(let line): .command(line)
        case .script(let text): .file(CID.of(Array(text.utf8), codec: .raw))
        }
    }
}

/// A folder that goes with the object.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/engines-functions-XXXXXX".utf8CString)
        path = String(cString: try #require(mkdtemp(&template)))
    }

    deinit { FolderContents.removeFolder(path) }
}

/// What this machine can run.
enum Available {
    static let commands = BuiltHelper.path != nil && access("/bin/sh", X_OK) == 0
    static let python = commands && access("/usr/bin/python3", X_OK) == 0
    static let javaScript = canRun(Array("function map(key, value, emit) {}".utf8))

    private static func canRun(_ program: [UInt8]) -> Bool {
        guard BuiltHelper.path != nil else { return false }
        let function = LoadedFunction(file: .file(CID.of(program, codec: .raw)), bytes: program)
        return (try? JobFunctions.readiness(of: function)) != nil
    }
}
