package import FunctionProtocol
package import MRProtocol
import Multiformats
import Synchronization

/// The user functions of one job on this node, and the helper processes that run them.
///
/// A helper serves this job only, after it has checked its function perhaps, one attempt at a time, and is kept warm between
/// them. There are as many as attempts want at once: one for each slot and function, and one more where a combine runs in
/// the middle of its own file's map.
package final class JobFunctions: Sendable {
    package let spec: JobSpec
    package let settings: FunctionSettings
    private let functions: [FunctionReference: LoadedFunction]
    private let terms: SandboxTerms
    /// Where working folders are made; `nil`: there are no commands, or it was given up.
    private let room: Mutex<WorkRoom?>
    private let filesFolder: String?
    /// Keeps the helpers that nobody is using, and others' too.
    private let idle: IdleHelpers
    private let use = Mutex(Use.open)
    /// What the functions said when they were loaded.
    private let readinesses = Mutex<[FunctionReference: Readiness]>([:])

    /// Who may still borrow helpers.
    private enum Use {
        case open
        /// Attempts that have begun; what they give back ends.
        case retired
        /// Nobody.
        case closed
    }

    /// The version of how functions are run; part of the keys of remembered outputs.
    package static let version = 1
    /// The version of what commands read, and of how their lines are understood; likewise.
    package static let commandVersion = 2

    /// Names what runs the functions of a job, for the keys of its outputs.
    package static func version(for spec: JobSpec) -> String {
        spec.hasCommands ? "functions \(version), commands \(commandVersion)" : "functions \(version)"
    }

    /// Functions that were loaded and checked.
    ///
    /// - Parameters:
    ///   - spec: the job.
    ///   - functions: all of its user functions.
    ///   - settings: limits and arguments.
    ///   - terms: what their processes are told and must have.
    ///   - room: in it each command gets a folder of its own.
    ///   - filesFolder: holds the job's files by their names; removed with the functions.
    ///   - idle: where helpers wait between attempts, which all jobs of a node share.
    package init(
        _ spec: JobSpec,
        functions: [LoadedFunction],
        settings: FunctionSettings,
        terms: SandboxTerms = SandboxTerms(),
        room: WorkRoom? = nil,
        filesFolder: String? = nil,
        idle: IdleHelpers = IdleHelpers()
    ) {
        self.spec = spec
        self.settings = settings
        self.terms = terms
        self.room = Mutex(room)
        self.filesFolder = filesFolder
        self.idle = idle
        self.functions = Dictionary(functions.map { ($0.reference, $0) }) { first, _ in first }
    }

    deinit { close() }

    /// The map's output depends on the names of files and the offsets of records; `nil`: the map is no user function.
    package var usesPosition: Bool? {
        functions[spec.map].map { map in
            map.engine == .command || readinesses.withLock { $0[spec.map]?.usesPosition } ?? true
        }
    }

    /// Ends all helpers as soon as nobody uses them; attempts that come later fail.
    package func close() {
        use.withLock { $0 = .closed }
        idle.end(of: self)
        if let filesFolder { FolderContents.removeFolder(filesFolder) }
        room.withLock { $0 = nil }
    }

    /// Lets attempts that have begun end with these functions, while others take the job's next ones; no helper is kept.
    package func retire() {
        use.withLock { if $0 == .open { $0 = .retired } }
        idle.end(of: self)
    }

    /// Loads every function in a process of its own, which tells whether it is fit for the job.
    ///
    /// Blocks its thread. The processes are kept for the attempts.
    ///
    /// - Throws: `TaskFault.userFunction` with the function's own fault.
    package func check() throws(TaskFault) {
        for function in spec.userFunctions {
            let helper = try borrow(function)
            let readiness = helper.readiness
            readinesses.withLock { $0[function] = readiness }
            giveBack(helper)
        }
    }

    /// What a function outside of any job can do, found within `limits`.
    ///
    /// Blocks its thread. The process is kept for a job of this node's own user that names the function.
    package static func readiness(
        of function: LoadedFunction,
        limits: TaskLimits = TaskLimits(),
        idle: IdleHelpers? = nil
    ) throws(TaskFault) -> Readiness {
        let settings = FunctionSettings(limits: limits, skipBad: 0, arguments: [:])
        let helper = try FunctionHelper(
            function,
            roles: [],
            settings: settings,
            terms: SandboxTerms(),
            folder: nil,
            spares: idle?.spares
        )
        let readiness = helper.readiness
        idle?.keepChecked(helper)
        return readiness
    }

    /// One of the job's functions.
    func function(_ reference: FunctionReference) throws(TaskFault) -> LoadedFunction {
        guard let function = functions[reference] else {
            throw .argument(name: "function", reason: "\(reference.label) was not loaded")
        }
        return function
    }

    /// A helper for `function` that is idle, or a new one.
    func borrow(
        _ function: FunctionReference,
        onAnswer: (FunctionAnswer) throws(TaskFault) -> Void = { _ in }
    ) throws(TaskFault) -> FunctionHelper {
        if use.withLock({ $0 }) == .closed { throw .cancelled }
        if let helper = idle.take(function, of: self) { return helper }
        let loaded = try self.function(function)
        if let helper = try takeChecked(loaded, onAnswer: onAnswer) { return helper }
        var folder: WorkingFolder?
        if loaded.engine == .command, let room = room.withLock({ $0 }) {
            folder = try WorkingFolder(
                in: room,
                files: spec.files.map(\.name),
                from: filesFolder
            )
        }
        return try FunctionHelper(
            loaded,
            roles: spec.roles(of: function),
            settings: settings,
            terms: terms,
            folder: folder,
            spares: idle.spares,
            onAnswer: onAnswer
        )
    }

    /// The process that has checked the function before the job began; only for this node's own user, who had it checked.
    ///
    /// - Throws: what the file is refused for; `nil` when the process is not there, or not what it was.
    private func takeChecked(
        _ function: LoadedFunction,
        onAnswer: (FunctionAnswer) throws(TaskFault) -> Void
    ) throws(TaskFault) -> FunctionHelper? {
        let memoryByteLimit = settings.limits(for: function.engine).memoryByteCount
        guard !terms.isForeign,
            let helper = idle.takeChecked(function.reference, memoryByteLimit: memoryByteLimit)
        else { return nil }
        do throws(TaskFault) {
            try helper.prepare(
                roles: spec.roles(of: function.reference),
                settings: settings,
                terms: terms,
                onAnswer: onAnswer
            )
            return helper
        } catch {
            if case .userFunction(let failure) = error, failure.kind == .invalid { throw error }
            return nil
        }
    }

    /// Takes back a helper between two attempts, or one that a fault has ended.
    func giveBack(_ helper: FunctionHelper) {
        guard helper.isUsable else { return }
        idle.keep(helper, of: self)
        // They may have been closed or retired meanwhile.
        if use.withLock({ $0 }) != .open { idle.end(of: self) }
    }
}
