import BlockStore
package import Engines
import FunctionProtocol
import Glibc
package import MRProtocol
package import Multiformats
import Synchronization

/// Loads user functions from the store or from peers, checks them, and makes them ready for jobs.
///
/// What blocks runs on threads of its own.
package final class FunctionLibrary: Sendable {
    private struct State {
        var descriptions: [CID: FunctionDescription] = [:]
        var support: FunctionSupport?
    }

    private let store: any BlockStore
    private let exchange: Exchange?
    /// Where working folders of commands are made.
    private let workFolder: String
    let policy: any AdmissionPolicy
    private let threads = WorkerThreads()
    private let state = Mutex(State())

    /// Functions of which it is remembered what they can do.
    static let maxDescriptionCount = 256
    /// Bytes of all files that a job ships with its commands.
    static let maxFilesByteCount: UInt64 = 1 << 30
    /// Largest command-line job file, in bytes, that is read at a time.
    private static let pieceByteCount = 1 << 20

    /// A library over a node's blocks.
    ///
    /// - Parameters:
    ///   - store: the blocks here.
    ///   - exchange: fetches what is not here; `nil`: the node is alone.
    ///   - workFolder: a folder for commands; it is made when it is needed.
    ///   - policy: who may run what.
    package init(
        store: any BlockStore,
        exchange: Exchange? = nil,
        workFolder: String,
        policy: any AdmissionPolicy = StandardAdmission()
    ) {
        self.store = store
        self.exchange = exchange
        self.workFolder = workFolder
        self.policy = policy
    }
}

// MARK: - Support

extension FunctionLibrary {
    /// What this node can do, found out once.
    func support() async -> FunctionSupport {
        if let known = state.withLock(\.support) { return known }
        let found = (try? await threads.run { FunctionLibrary.trySupport() }) ?? FunctionSupport(problem: "the node is busy")
        state.withLock { $0.support = found }
        return found
    }

    private static func trySupport() -> FunctionSupport {
        let program = LoadedFunction(
            file: .file(CID.of([], codec: .raw)),
            bytes: Array("function map() {}".utf8)
        )
        do throws(TaskFault) {
            return FunctionSupport(missing: try FunctionCheck.load(program, roles: .map).missing)
        } catch {
            guard case .userFunction(let failure) = error else { return FunctionSupport(problem: error.message) }
            return FunctionSupport(problem: failure.message)
        }
    }
}

// MARK: - Jobs

extension FunctionLibrary {
    /// Loads the functions and files of a job and checks the functions.
    ///
    /// - Parameters:
    ///   - spec: the job.
    ///   - submitter: whose limits hold.
    ///   - holders: peers that are likely to have the files.
    /// - Returns: `nil` when all functions are built in.
    /// - Throws: `.userFunction`, `.blockUnavailable`, `.argument`.
    func load(_ spec: JobSpec, for submitter: Submitter, holders: [PeerID] = []) async throws(TaskFault)
        -> JobFunctions?
    {
        guard !spec.userFunctions.isEmpty else { return nil }
        let settings = FunctionSettings(spec, standard: FunctionLimits(), most: policy.limits(for: submitter))
        let loader = FunctionLoader(store: reading(holders), workFolder: workFolder)
        let canLackParts = submitter == .localUser || policy.allowsIncompleteSandbox
        do {
            return try await threads.run { try loader.load(spec, settings, canLackParts: canLackParts) }
        } catch let fault as TaskFault {
            throw fault
        } catch {
            throw .store("\(error)")
        }
    }

    /// Loads one function and says what it can do.
    ///
    /// - Throws: as `load`.
    func describe(_ source: FunctionSource, name: String?) async throws(TaskFault) -> FunctionDescription {
        if case .file(let cid) = source, let known = state.withLock({ $0.descriptions[cid] }) { return known }
        let loader = FunctionLoader(store: reading([]), workFolder: workFolder)
        do {
            let (cid, description) = try await threads.run { try loader.describe(source) }
            if let cid {
                state.withLock { state in
                    if state.descriptions.count >= FunctionLibrary.maxDescriptionCount { state.descriptions = [:] }
                    state.descriptions[cid] = description
                }
            }
            return description
        } catch let fault as TaskFault {
            throw fault
        } catch {
            throw .store("\(error)")
        }
    }

    private func reading(_ holders: [PeerID]) -> any BlockStore {
        guard let exchange else { return store }
        let options = FetchOptions(patience: ClusterLimits.inputPatience, holders: { _ in holders })
        return FetchingStore(store, exchange: exchange, options: options)
    }
}

/// Reads functions and files out of a store; blocks its thread.
private struct FunctionLoader: Sendable {
    let store: any BlockStore
    let workFolder: String

    func load(
        _ spec: JobSpec,
        _ settings: FunctionSettings,
        canLackParts: Bool
    ) throws(TaskFault) -> JobFunctions {
        var functions: [LoadedFunction] = []
        for reference in spec.userFunctions { functions.append(try load(reference)) }
        let hasCommand = functions.contains { $0.engine == .command }
        var filesFolder: String?
        if hasCommand {
            try makeFolder(workFolder)
            filesFolder = try FileFolder(under: workFolder).fill(spec.files, from: store)
        }
        return try JobFunctions(
            spec,
            functions: functions,
            settings: settings,
            workFolder: hasCommand ? workFolder : nil,
            filesFolder: filesFolder
        ).checked(canLackParts: canLackParts)
    }

    func describe(_ source: FunctionSource) throws(TaskFault) -> (CID?, FunctionDescription) {
        switch source {
        case .file(let cid):
            let function = try load(.file(cid))
            return (cid, FunctionDescription(function.engine, try FunctionCheck.load(function, roles: [])))
        case .bytes(let bytes):
            guard bytes.count <= LoadedFunction.maxByteCount(ofFileBeginning: bytes) else {
                throw tooLarge("the function", bytes)
            }
            let function = LoadedFunction(file: .file(CID.of(bytes, codec: .raw)), bytes: bytes)
            return (nil, FunctionDescription(function.engine, try FunctionCheck.load(function, roles: [])))
        case .command:
            return (
                nil,
                FunctionDescription(engine: .command, roles: [.map, .combine, .reduce], usesPosition: true)
            )
        }
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
            var bytes = try self.bytes(reader, count: min(reader.byteCount, 4))
            let limit = LoadedFunction.maxByteCount(ofFileBeginning: bytes)
            guard reader.byteCount <= UInt64(limit) else {
                throw BlockStoreError(.unsupported, "it has \(reader.byteCount) bytes; a function has at most \(limit)")
            }
            bytes = try self.bytes(reader, count: reader.byteCount)
            return bytes
        } catch {
            switch error.code {
            case .notFound, .corrupt, .io, .busy:
                throw .blockUnavailable(error.cid ?? cid, file: "the function \(cid)", offset: 0, reason: error.message)
            default:
                throw .userFunction(
                    FunctionFailure(.invalid, function: cid.description, role: "", message: error.message)
                )
            }
        }
    }

    private func bytes(_ reader: FileReader, count: UInt64) throws(BlockStoreError) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: Int(count))
        let filled = try bytes.withUnsafeMutableBytes { buffer throws(BlockStoreError) in
            try reader.read(at: 0, into: buffer)
        }
        return Array(bytes.prefix(filled))
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

    private func makeFolder(_ path: String) throws(TaskFault) {
        guard mkdir(path, 0o700) == 0 || errno == EEXIST else {
            throw .store("the folder \(path) cannot be made: \(String(cString: strerror(errno)))")
        }
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
            WorkingFolder.remove(path)
            throw error
        }
        return path
    }

    private func write(_ file: JobFile, from store: any BlockStore, _ room: inout UInt64) throws(TaskFault) {
        // Checked when the specification was read, and again where it matters.
        guard JobFile.isSafe(file.name) else { throw .argument(name: "file", reason: "\(file.name) is no safe name") }
        let descriptor = open("\(path)/\(file.name)", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0o500)
        guard descriptor >= 0 else { throw failure(file) }
        defer { close(descriptor) }
        do throws(BlockStoreError) {
            let reader = try FileReader(file.root, in: store)
            guard reader.byteCount <= room else {
                throw BlockStoreError(
                    .unsupported,
                    "the files of a job have at most \(FunctionLibrary.maxFilesByteCount) bytes together"
                )
            }
            room -= reader.byteCount
            try reader.forEachPiece { (piece) throws(BlockStoreError) in
                var rest = piece
                while !rest.isEmpty {
                    let count = Glibc.write(descriptor, rest.baseAddress, rest.count)
                    guard count > 0 else {
                        throw BlockStoreError(.io, "\(path)/\(file.name): \(String(cString: strerror(errno)))")
                    }
                    rest = UnsafeRawBufferPointer(rebasing: rest[count...])
                }
            }
        } catch {
            throw .blockUnavailable(error.cid ?? file.root, file: file.name, offset: 0, reason: error.message)
        }
    }

    private func failure(_ file: JobFile) -> TaskFault {
        .store("\(file.name) cannot be written to \(path): \(String(cString: strerror(errno)))")
    }
}
