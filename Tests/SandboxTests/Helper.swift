import Engines
import FunctionProtocol
import Glibc
import MRProtocol
import PeerTestKit
import Testing

/// A helper process with one function, and what it has answered.
final class Helper {
    let process: FunctionProcess
    let readiness: Readiness
    /// `key` or `key TAB value` of each pair.
    private(set) var pairs: [String] = []
    private(set) var counters: [CounterIncrement] = []
    private(set) var statuses: [String] = []
    private(set) var log = ""

    /// Starts the helper of this build, or another `executable`, and hands it the function.
    init(
        _ engine: EngineKind,
        _ program: String = "",
        arguments: [(name: String, value: String)] = [],
        limits: FunctionLimits = FunctionLimits(),
        folder: String = "",
        hiddenFolder: String = "",
        isForeign: Bool = false,
        executable: String? = nil,
        isCancelled: @escaping () -> Bool = { false }
    ) throws {
        let built: String = try #require(BuiltHelper.path)
        process = try FunctionProcess(engine, executable: executable ?? built, isCancelled: isCancelled)
        readiness = try process.prepare(
            Preparation(
                engine: engine,
                roles: [.map, .reduce],
                name: "function",
                program: Array(program.utf8),
                arguments: arguments,
                limits: limits,
                folder: folder,
                hiddenFolder: hiddenFolder,
                isForeign: isForeign
            )
        )
    }

    /// One map attempt over frames of records.
    func map(
        _ frames: [String],
        _ format: RecordChunk.Format = .lines,
        environment: [(name: String, value: String)] = []
    ) throws(FunctionProcess.Fault) {
        try process.begin(TaskStart(role: .map, seed: [], environment: environment))
        let head = RecordChunk(format: format, input: "input", offset: 0, bytes: []).head
        for frame in frames { try send(.records, head, Array(frame.utf8)) }
        try process.end(onAnswer: take)
    }

    /// One attempt of a reduce, or of a combine, over pairs.
    func reduce(
        _ pairs: [(key: String, value: String?)],
        _ role: FunctionRole = .reduce
    ) throws(FunctionProcess.Fault) {
        try process.begin(TaskStart(role: role, seed: []))
        var packed: [UInt8] = []
        for pair in pairs { PackedPairs.append(key: pair.key.utf8, value: pair.value?.utf8, to: &packed) }
        try send(.input, [], packed)
        try process.end(onAnswer: take)
    }

    private func send(_ kind: Frame.Kind, _ head: [UInt8], _ bytes: [UInt8]) throws(FunctionProcess.Fault) {
        try bytes.withUnsafeBufferPointer { bytes throws(FunctionProcess.Fault) in
            try process.send(kind, head: head, bytes: UnsafeRawBufferPointer(bytes), onAnswer: take)
        }
    }

    private func take(_ answer: FunctionAnswer) throws(TaskFault) {
        switch answer {
        case .output(let packed):
            _ = PackedPairs.forEach(in: packed) { key, value in
                let value = value.map { "\t" + String(decoding: $0, as: UTF8.self) } ?? ""
                pairs.append(String(decoding: key, as: UTF8.self) + value)
            }
        case .counter(let increment): counters.append(increment)
        case .log(let text): log += String(decoding: text, as: UTF8.self)
        case .status(let text): statuses.append(text)
        case .skipped: break
        }
    }

    /// Its process is in the system's table.
    var isAlive: Bool { kill(process.identifier, 0) == 0 }
}

/// The function's fault that `body` throws.
func fault(of body: () throws -> Void) -> FunctionFault? {
    do {
        try body()
        return nil
    } catch FunctionProcess.Fault.function(let fault) {
        return fault
    } catch {
        Issue.record(error)
        return nil
    }
}

/// A folder that is removed with its files.
final class TemporaryFolder {
    let path: String

    init() throws {
        var template = Array("/tmp/peersandbox-test-XXXXXX\0".utf8CString.dropLast())
        path = try #require(mkdtemp(&template).map { String(cString: $0) })
        chmod(path, 0o777)
    }

    deinit { FolderContents.removeFolder(path) }

    /// Writes an executable script and returns its path.
    func script(_ text: String) throws -> String {
        let script = path + "/script"
        let file = open(script, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0o755)
        #expect(write(file, text, text.utf8.count) == text.utf8.count)
        close(file)
        return script
    }
}
