package import BlockStore
import Engines
import FunctionProtocol
import Glibc
import MRProtocol
import Multiformats
import Synchronization

/// Loads user functions from the store or from peers, checks them, and makes them ready for jobs.
///
/// What blocks runs on threads of its own.
package final class FunctionLibrary: Sendable {
    private let store: any BlockStore
    private let exchange: Exchange?
    /// Where working folders of commands are made.
    private let workFolder: String?
    /// The node's home, which commands do not see.
    private let homeFolder: String
    private let gate: PolicyGate
    private let rooms = WorkRooms()
    private let threads = WorkerThreads()
    /// Helper processes of all jobs that nobody uses just now.
    private let idleHelpers = IdleHelpers()
    /// Held by the thread that tries the sandbox.
    private let trial = Mutex(())
    private let descriptions = Mutex<[CID: FunctionDescription]>([:])

    /// Functions of which it is remembered what they can do.
    static let maxDescriptionCount = 256
    /// Bytes of all files that a job ships with its commands.
    static let maxFilesByteCount: UInt64 = 1 << 30

    /// A library over a node's blocks.
    ///
    /// - Parameters:
    ///   - store: the blocks here.
    ///   - exchange: fetches what is not here; `nil`: the node is alone.
    ///   - workFolder: a folder for commands, made when it is needed; `nil`: there are no commands.
    ///   - homeFolder: the node's home, which commands do not see; empty: there is none.
    ///   - gate: says who may use which engine.
    package init(
        store: any BlockStore,
        exchange: Exchange? = nil,
        workFolder: String?,
        homeFolder: String = "",
        gate: PolicyGate
    ) {
        self.store = store
        self.exchange = exchange
        self.workFolder = workFolder
        self.homeFolder = homeFolder
        self.gate = gate
    }

    /// Loads the functions and files of a job and checks the functions.
    ///
    /// - Parameters:
    ///   - spec: the job, with limits that its submitter may have.
    ///   - peer: the job's master, which is likely to have the files; `nil`: this node.
    /// - Returns: `nil` when all functions are built in.
    /// - Throws: `TaskFault`; `PolicyRefusal` when `peer` may not use an engine here.
    func load(_ spec: JobSpec, from peer: PeerID?) async throws -> JobFunctions? {
        guard !spec.userFunctions.isEmpty else { return nil }
        let gate = gate
        let terms = terms(for: peer)
        let isSandboxed = spec.functions.contains { if case .file = $0 { true } else { false } }
        // Known before a byte of another node's function is fetched; those of the own user need no whole sandbox.
        if isSandboxed, peer != nil { try gate.admitConfined(from: peer, await sandboxState()) }
        return try await withLoader(from: peer) { loader in
            let functions = try loader.load(spec)
            for function in functions { try gate.admit(PolicyEngine(function.engine), from: peer) }
            let ready = try loader.prepare(spec, functions, terms)
            try ready.check()
            return ready
        }
    }

    /// Starts processes for functions of this node's own user that are about to be named: one for each, then more for the
    /// first, up to one a slot.
    func expect(_ engines: [EngineKind], slotsOfFirst: Int, limits: TaskLimits) {
        let further = engines.prefix(1).flatMap { repeatElement($0, count: max(0, slotsOfFirst - 1)) }
        for engine in engines + further {
            idleHelpers.spares.start(
                engine,
                memoryByteLimit: FunctionLimits(limits, for: engine).memoryByteCount
            )
        }
    }

    /// Processes that were started for functions which are not named yet.
    var spareCount: Int { idleHelpers.spares.count }

    /// Loads one function within `limits` and says what it can do.
    ///
    /// - Throws: `TaskFault`.
    func describe(_ source: FunctionSource, limits: TaskLimits = TaskLimits()) async throws
        -> FunctionDescription
    {
        if case .file(let cid) = source, let known = descriptions.withLock({ $0[cid] }) { return known }
        let description = try await withLoader(from: nil) { try $0.describe(source, limits) }
        if case .file(let cid) = source {
            descriptions.withLock { known in
                if known.count >= FunctionLibrary.maxDescriptionCount { known = [:] }
                known[cid] = description
            }
        }
        return description
    }

    /// Ends processes that have checked a function and that no job wants, until the task is cancelled; then all of them.
    func run() async {
        while (try? await Task.sleep(for: IdleHelpers.checkedPatience)) != nil { idleHelpers.endUnwanted() }
        idleHelpers.endChecked()
    }

    /// How well this machine confines functions: as it was found last, tried again now and then while it is not whole.
    ///
    /// Whoever asks while it is tried waits for the same trial.
    func sandboxState() async -> SandboxState {
        if gate.sandbox == .tried(missing: []) { return gate.sandbox }
        let state = try? await threads.run { [self] in
            trial.withLock { _ in
                if gate.isSandboxTrialDue() { gate.sandbox = SandboxProbe.run() }
                return gate.sandbox
            }
        }
        // No thread to try it on: each function's process is looked at anyway.
        return state ?? gate.sandbox
    }

    private func loader(_ store: any BlockStore) -> FunctionLoader {
        FunctionLoader(store: store, workFolder: workFolder, rooms: rooms, idleHelpers: idleHelpers)
    }

    /// On what terms functions of `peer`'s jobs run; `nil`: of this node's own user.
    private func terms(for peer: PeerID?) -> SandboxTerms {
        let gate = gate
        return SandboxTerms(hiddenFolder: homeFolder, isForeign: peer != nil) { engine, missing in
            let state = SandboxState.tried(missing: missing)
            // A command needs more of the system, which says nothing of other functions.
            if engine != .command { gate.sandbox = state }
            do throws(PolicyRefusal) {
                try gate.admitConfined(from: peer, state)
                return nil
            } catch {
                return error.reason
            }
        }
    }

    /// Runs `body`, which blocks its thread, with a loader of blocks here and at `peer`; a cancelled task waits for none.
    private func withLoader<Value: Sendable>(
        from peer: PeerID?,
        _ body: @escaping @Sendable (FunctionLoader) throws -> Value
    ) async throws -> Value {
        guard let exchange else {
            let loader = loader(store)
            return try await threads.run { try body(loader) }
        }
        let holders = peer.map { [$0] } ?? []
        let options = FetchOptions(patience: ClusterLimits.inputPatience, holders: { _ in holders })
        let reading = FetchingStore(store, exchange: exchange, options: options)
        let loader = loader(reading)
        return try await withTaskCancellationHandler {
            try await threads.run { try body(loader) }
        } onCancel: {
            reading.cancel()
        }
    }
}

extension PolicyEngine {
    init(_ kind: EngineKind) {
        self =
            switch kind {
            case .javaScript, .probe: .javascript
            case .webAssembly: .webassembly
            case .command: .command
            }
    }
}

/// Reads functions and files out of a store; blocks its thread.
private struct FunctionLoader: Sendable {
    let store: any BlockStore
    let workFolder: String?
    let rooms: WorkRooms
    let idleHelpers: IdleHelpers

    func load(_ spec: JobSpec) throws(TaskFault) -> [LoadedFunction] {
        var functions: [LoadedFunction] = []
        for reference in spec.userFunctions { functions.append(try load(reference)) }
        return functions
    }

    /// Puts the job's files into a folder if there are commands to read them.
    func prepare(
        _ spec: JobSpec,
        _ functions: [LoadedFunction],
        _ terms: SandboxTerms
    ) throws(TaskFault) -> JobFunctions {
        let hasCommand = functions.contains { $0.engine == .command }
        var filesFolder: String?
        var room: WorkRoom?
        if hasCommand {
            guard let workFolder else {
                throw .argument(name: "command", reason: "this node has no folder for commands")
            }
            let made = try rooms.room(under: workFolder)
            filesFolder = try FileFolder(under: made.path).fill(spec.files, from: store)
            room = made
        }
        return JobFunctions(
            spec,
            functions: functions,
            settings: FunctionSettings(spec),
            terms: terms,
            room: room,
            filesFolder: filesFolder,
            idle: idleHelpers
        )
    }

    func describe(_ source: FunctionSource, _ limits: TaskLimits) throws(TaskFault) -> FunctionDescription {
        let function: LoadedFunction
        switch source {
        case .file(let cid): function = try load(.file(cid))
        case .bytes(let bytes):
            guard bytes.count <= LoadedFunction.maxByteCount(ofFileBeginning: bytes) else {
                throw tooLarge("the function", bytes)
            }
            function = LoadedFunction(file: .file(CID.of(bytes, codec: .raw)), bytes: bytes)
        case .command:
            return FunctionDescription(
                engine: .command,
                roles: [.map, .combine, .reduce],
                usesPosition: true
            )
        }
        return FunctionDescription(
            function.engine,
            try JobFunctions.readiness(of: function, limits: limits, idle: idleHelpers)
        )
    }

    private func load(_ reference: FunctionReference) throws(TaskFault) -> LoadedFunction {
        switch reference {
        case .builtIn(let name): throw .argument(name: "function", reason: "`\(name)` is built in")
        case .command(let line): return LoadedFunction(command: line)
        case .file(let cid): return LoadedFunction(file: reference, bytes: try read(cid))
        }
    }

    private func read(_ cid: CID) throws(TaskFault) -> [UInt8] {
        do throws(BlockStoreError) {
            let reader = try FileReader(cid, in: store)
            let front = try bytes(reader, count: min(reader.byteCount, 4))
            let limit = LoadedFunction.maxByteCount(ofFileBeginning: front)
            guard reader.byteCount <= UInt64(limit) else {
                throw BlockStoreError(
                    .unsupported,
                    "it has \(reader.byteCount) bytes; a function has at most \(limit)"
                )
            }
            return try bytes(reader, count: reader.byteCount)
        } catch {
            switch error.code {
            case .notFound, .corrupt, .io, .busy:
                throw .blockUnavailable(
                    error.cid ?? cid,
                    file: "the function \(cid)",
                    offset: 0,
                    reason: error.message
                )
            default:
                throw .userFunction(
                    FunctionFailure(.invalid, function: cid.description, role: "", message: error.message)
                )
            }
        }
    }

    private func bytes(_ reader: FileReader, count: UInt64) throws(BlockStoreError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(count))
        let filled = bytes.withUnsafeMutableBytes { buffer -> Result<Int, BlockStoreError> in
            do throws(BlockStoreError) {
                return .success(try reader.read(at: 0, into: buffer))
            } catch {
                return .failure(error)
            }
        }
        return Array(bytes.prefix(try filled.get()))
    }

    private func tooLarge(_ name: String, _ bytes: [UInt8]) -> TaskFault {
        .userFunction(
            FunctionFailure(
                .invalid,
                function: name,
                role: "",
                message: "it has \(bytes.count) bytes; a function has at most "
                    + "\(LoadedFunction.maxByteCount(ofFileBeginning: bytes))"
            )
        )
    }
}

/// The folder for the commands of this process, as long as a job uses it.
private final class WorkRooms: Sendable {
    private struct Current: Sendable {
        weak var room: WorkRoom?
    }

    private let current = Mutex(Current())

    func room(under parent: String) throws(TaskFault) -> WorkRoom {
        let made = current.withLock { current -> Result<WorkRoom, TaskFault> in
            if let room = current.room { return .success(room) }
            do throws(TaskFault) {
                let room = try WorkRoom(under: parent)
                current.room = room
                return .success(room)
            } catch {
                return .failure(error)
            }
        }
        return try made.get()
    }
}

/// A folder with the files of one job.
private struct FileFolder {
    private let path: String

    init(under parent: String) throws(TaskFault) {
        var template = Array((parent + "/files-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw .store("no folder can be made in \(parent): \(String(cString: strerror(errno)))")
        }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
    }

    /// Writes the files; removes the folder when that fails.
    func fill(_ files: [JobFile], from store: any BlockStore) throws(TaskFault) -> String {
        do throws(TaskFault) {
            var room = FunctionLibrary.maxFilesByteCount
            for file in files { try write(file, from: store, &room) }
        } catch {
            FolderContents.removeFolder(path)
            throw error
        }
        return path
    }

    private func write(_ file: JobFile, from store: any BlockStore, _ room: inout UInt64) throws(TaskFault) {
        // Checked when the specification was read, and again where it matters.
        guard JobFile.isSafe(file.name) else {
            throw .argument(name: "file", reason: "\(file.name) is no safe name")
        }
        let descriptor = open(
            "\(path)/\(file.name)",
            O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW,
            0o500
        )
        guard descriptor >= 0 else { throw failure(file) }
        defer { close(descriptor) }
        do {
            let reader = try FileReader(file.root, in: store)
            guard reader.byteCount <= room else {
                throw BlockStoreError(
                    .unsupported,
                    "the files of a job have at most \(FunctionLibrary.maxFilesByteCount) bytes together"
                )
            }
            room -= reader.byteCount
            try reader.forEachPiece { piece in
                var rest = piece
                while !rest.isEmpty {
                    let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                    guard count > 0 else {
                        throw BlockStoreError(
                            .io,
                            "\(path)/\(file.name): \(String(cString: strerror(errno)))"
                        )
                    }
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                }
            }
        } catch {
            let known = error as? BlockStoreError
            throw .blockUnavailable(
                known?.cid ?? file.root,
                file: file.name,
                offset: 0,
                reason: known?.message ?? "\(error)"
            )
        }
    }

    private func failure(_ file: JobFile) -> TaskFault {
        .store("\(file.name) cannot be written to \(path): \(String(cString: strerror(errno)))")
    }
}
