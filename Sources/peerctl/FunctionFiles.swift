import Engines
import MRProtocol
import Multiformats
import PeerNode

/// Where the functions and files that a user names go, and who checks them: a node, or a trial in memory.
protocol FunctionStore: Sendable {
    /// Takes a file.
    func add(_ path: String) async throws -> CID
    /// Finds what a node has.
    func find(_ path: ContentPath) async throws -> CID
    /// Says what a function can do, which is found within `limits`.
    func check(_ source: FunctionSource, name: String, _ limits: TaskLimits) async throws
        -> FunctionDescription
}

/// Functions go to a node, without a pin: a job holds its functions while it runs.
struct NodeFunctionStore: FunctionStore {
    let call: Invocation
    let node: any NodeService

    func add(_ path: String) async throws -> CID {
        let session = try await node.beginAdd(onlyHash: false, profile: .standard)
        do {
            let added = try await node.addFile(try FileTree.open(path) { _ in }, in: session)
            try await node.finishAdd(session, pins: [])
            return added.cid
        } catch {
            try? await node.abandonAdd(session)  // the first error is the one to show
            throw error
        }
    }

    func find(_ path: ContentPath) async throws -> CID {
        if path.names.isEmpty { return path.root }
        return try await call.session.waiting(for: "\(path)") { try await node.resolve(path).cid }
    }

    func check(_ source: FunctionSource, name: String, _ limits: TaskLimits) async throws
        -> FunctionDescription
    {
        var what = "the function \(name)"
        if name.isEmpty, case .file(let cid) = source { what += cid.description }
        return try await call.session.waiting(for: what) {
            try await node.checkFunction(source, name: name, limits: limits)
        }
    }
}

/// Turns the functions that a user names into what a job names, and fills in those that were left open.
struct FunctionFiles: Sendable {
    let store: any FunctionStore

    /// The functions of a job.
    struct Resolved: Sendable {
        var map: FunctionReference
        var combine: FunctionReference?
        var reduce: FunctionReference
        var format: RecordFormat
        var files: [JobFile]
        /// What the user calls the functions' files.
        var names: [CID: String] = [:]

        /// The whole job.
        func spec(_ template: JobTemplate, inputs: [JobInput]) -> JobSpec {
            template.spec(
                map: map,
                combine: combine,
                reduce: reduce,
                format: format,
                files: files,
                inputs: inputs
            )
        }
    }

    /// Adds what has to be added, checks the map, and chooses what was left open.
    func resolve(_ template: JobTemplate) async throws -> Resolved {
        var names: [CID: String] = [:]
        let map = try await reference(template.map, &names)
        var (combine, reduce): (FunctionReference?, FunctionReference?)
        if let choice = template.combine { combine = try await reference(choice, &names) }
        if let choice = template.reduce { reduce = try await reference(choice, &names) }
        let defaults = try await defaults(map, reduce, template, names)
        var files: [JobFile] = []
        for file in template.files {
            files.append(JobFile(name: file.name, root: try await store.add(file.path)))
        }
        return Resolved(
            map: map,
            combine: template.hasNoCombine ? nil : combine ?? defaults.combine,
            reduce: defaults.reduce,
            format: defaults.format,
            files: files,
            names: names
        )
    }

    private func reference(_ choice: FunctionChoice, _ names: inout [CID: String]) async throws
        -> FunctionReference
    {
        switch choice {
        case .builtIn(let name): return .builtIn(name)
        case .command(let line): return .command(line)
        case .content(let path):
            let cid = try await store.find(path)
            if !path.names.isEmpty { names[cid] = path.description }
            return .file(cid)
        case .file(let path):
            try FunctionFile.check(path)
            let cid = try await store.add(path)
            // Messages show the path as it was typed, unless it is too long for a name.
            names[cid] = path.utf8.count <= JobService.maxNameByteCount ? path : FileTree.baseName(path)
            return .file(cid)
        }
    }

    /// What goes with the functions that the user chose.
    private func defaults(
        _ map: FunctionReference,
        _ reduce: FunctionReference?,
        _ template: JobTemplate,
        _ names: [CID: String]
    ) async throws -> FunctionDefaults {
        switch map {
        case .builtIn(let name):
            FunctionDefaults(builtIn: name, arguments: template.arguments, reduce: reduce)
        case .command(let line):
            FunctionDefaults(
                map: map,
                try await store.check(.command(line), name: "", template.limits),
                reduce: reduce
            )
        case .file(let cid):
            FunctionDefaults(
                map: map,
                try await store.check(.file(cid), name: names[cid] ?? "", template.limits),
                reduce: reduce
            )
        }
    }
}

/// The file of a function, before an engine sees it.
enum FunctionFile {
    /// Most bytes that any engine takes.
    static let limit = LoadedFunction.maxModuleByteCount
    /// Enough of a file to tell a module.
    private static let frontByteCount = 4

    /// Refuses a file that no engine would take: one that is too large, or that is none of what its name says.
    static func check(_ path: String) throws(NodeError) {
        let file = try FileTree.open(path) { _ in }
        let byteCount = file.byteCount ?? 0
        guard byteCount <= UInt64(limit) else {
            throw NodeError(
                .file,
                "\(path) has \(ByteSize.format(byteCount)); a function has at most "
                    + ByteSize.format(UInt64(limit))
            )
        }
        guard path.hasSuffix(".wasm"), isRegular(path) else { return }
        let front: [UInt8]
        do { front = try file.readArray(upTo: frontByteCount) } catch { throw NodeError.wrap(error) }
        guard LoadedFunction.isWebAssembly(fileBeginning: front) else {
            throw NodeError(
                .invalidFunction,
                "\(path): this is no WebAssembly module; one begins with \\0asm"
            )
        }
    }

    /// What runs the function in a file; `nil`: the file cannot be read, or only once.
    static func engine(of path: String) -> FunctionDescription.Engine? {
        guard isRegular(path), let file = try? FileTree.open(path, progress: { _ in }),
            let front = try? file.readArray(upTo: frontByteCount)
        else { return nil }
        return LoadedFunction.isWebAssembly(fileBeginning: front) ? .webAssembly : .javaScript
    }

    private static func isRegular(_ path: String) -> Bool {
        (try? FileTree.kind(path, follow: true)) == .file
    }

    /// The bytes of a function's file.
    static func read(_ path: String) throws -> [UInt8] {
        try check(path)
        return try FileTree.open(path) { _ in }.readArray(upTo: limit)
    }
}
