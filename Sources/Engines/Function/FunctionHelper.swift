import FunctionProtocol
import MRProtocol

/// One helper process with a function that is ready, kept for attempt after attempt.
///
/// Used by one thread at a time: whoever has borrowed it.
final class FunctionHelper {
    /// Longest time that a function may take to load, on a machine that is busy too; less where its limit on time without
    /// progress is lower.
    static let loadTimeLimit = Duration.seconds(15)

    let function: LoadedFunction
    private let process: FunctionProcess
    /// The working folder of commands; removed with the helper.
    private let folder: WorkingFolder?
    /// What the function can do.
    private(set) var readiness: Readiness
    /// What the process was started for, in bytes; 0: as much as it likes.
    let memoryByteLimit: UInt64

    /// Lets a process load the function: one of `spares`, else a new one.
    ///
    /// - Throws: `TaskFault.userFunction` when the function or the process is not fit.
    init(
        _ function: LoadedFunction,
        roles: FunctionRoles,
        settings: FunctionSettings,
        terms: SandboxTerms,
        folder: WorkingFolder?,
        spares: SpareProcesses? = nil,
        onAnswer: (FunctionAnswer) throws(TaskFault) -> Void = { _ in }
    ) throws(TaskFault) {
        self.function = function
        self.folder = folder
        memoryByteLimit = settings.limits(for: function.engine).memoryByteCount
        if let spare = spares?.take(function.engine, memoryByteLimit: memoryByteLimit) {
            process = spare
        } else {
            do throws(FunctionFault) {
                process = try FunctionProcess(function.engine, memoryByteLimit: memoryByteLimit)
            } catch {
                throw .userFunction(FunctionFailure(error, of: function, role: nil))
            }
        }
        readiness = Readiness(roles: [], usesPosition: true)
        try prepare(roles: roles, settings: settings, terms: terms, onAnswer: onAnswer)
    }

    /// Lets the process load the function for a job, or take the job's settings for a function that was only checked.
    ///
    /// - Throws: as `init`; the process has ended then.
    func prepare(
        roles: FunctionRoles,
        settings: FunctionSettings,
        terms: SandboxTerms,
        onAnswer: (FunctionAnswer) throws(TaskFault) -> Void = { _ in }
    ) throws(TaskFault) {
        let limits = settings.limits(for: function.engine)
        let preparation = Preparation(
            engine: function.engine,
            roles: roles,
            name: function.label,
            program: function.program,
            arguments: settings.arguments.sorted { $0.key < $1.key }.map { (name: $0.key, value: $0.value) },
            skipLimit: UInt64(clamping: settings.skipBad),
            limits: limits,
            folder: folder?.path ?? "",
            hiddenFolder: terms.hiddenFolder,
            isForeign: terms.isForeign
        )
        let loadMilliseconds = FunctionHelper.loadMilliseconds(limits)
        let end = ContinuousClock.now + .milliseconds(Int64(loadMilliseconds))
        process.isCancelled = { ContinuousClock.now > end }
        do throws(FunctionProcess.Fault) {
            readiness = try process.prepare(preparation, onAnswer: onAnswer)
            process.isCancelled = { false }
        } catch {
            if error == .task(.cancelled) { throw FunctionHelper.slowLoad(of: function, loadMilliseconds) }
            throw FunctionHelper.fault(error, function, role: nil, isUsable: true)
        }
        if let reason = terms.refusal(function.engine, readiness.missing) {
            process.close()
            throw .userFunction(FunctionFailure(FunctionFault(.sandbox, reason), of: function, role: nil))
        }
    }

    /// How long a function with these limits may take to load.
    private static func loadMilliseconds(_ limits: FunctionLimits) -> UInt64 {
        let longest = UInt64(loadTimeLimit.components.seconds) * 1000
        return limits.stallMilliseconds > 0 ? min(longest, limits.stallMilliseconds) : longest
    }

    private static func slowLoad(of function: LoadedFunction, _ milliseconds: UInt64) -> TaskFault {
        .userFunction(
            FunctionFailure(
                .limit,
                function: function.label,
                role: "",
                message: "it was not loaded within \(LimitUnit.milliseconds.text(milliseconds)): "
                    + "what stands outside of its functions takes too long"
            )
        )
    }

    var isUsable: Bool { process.isUsable }
    /// As `FunctionProcess.record`.
    var record: (frame: Int, offset: UInt64)? { process.record }
    /// Number of its process.
    var identifier: Int32 { process.identifier }

    /// Begins an attempt, which `limits` may end.
    func begin(_ start: TaskStart, _ limits: AttemptLimits) throws(TaskFault) {
        process.isCancelled = limits.isCancelled
        if let leftovers = try folder?.empty() {
            Array(leftovers.utf8).withUnsafeBytes { limits.report.log($0) }
        }
        do throws(FunctionProcess.Fault) { try process.begin(start) } catch { throw fault(error, start.role) }
    }

    /// Gives the attempt a frame of input.
    func send(
        _ kind: Frame.Kind,
        head: [UInt8] = [],
        bytes: UnsafeRawBufferPointer,
        role: FunctionRole,
        onAnswer: (FunctionAnswer) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        do throws(FunctionProcess.Fault) {
            try process.send(kind, head: head, bytes: bytes, onAnswer: onAnswer)
        } catch {
            throw fault(error, role)
        }
    }

    /// Ends the attempt's input and takes the rest of its output.
    func end(role: FunctionRole, onAnswer: (FunctionAnswer) throws(TaskFault) -> Void) throws(TaskFault) {
        do throws(FunctionProcess.Fault) {
            try process.end(onAnswer: onAnswer)
        } catch {
            throw fault(error, role)
        }
        process.isCancelled = { false }
    }

    func close() { process.close() }

    private func fault(_ fault: FunctionProcess.Fault, _ role: FunctionRole) -> TaskFault {
        FunctionHelper.fault(fault, function, role: role, isUsable: process.isUsable)
    }

    private static func fault(
        _ fault: FunctionProcess.Fault,
        _ function: LoadedFunction,
        role: FunctionRole?,
        isUsable: Bool
    ) -> TaskFault {
        switch fault {
        case .task(let fault): return fault
        case .function(let fault):
            var failure = FunctionFailure(fault, of: function, role: role)
            // A function that throws leaves its process alive.
            if failure.kind == .threw, !isUsable { failure.kind = .crashed }
            return .userFunction(failure)
        }
    }
}

extension FunctionFailure {
    init(_ fault: FunctionFault, of function: LoadedFunction, role: FunctionRole?) {
        let kind: Kind =
            switch fault.code {
            case .invalid: .invalid
            case .threw: .threw
            case .limit: .limit
            case .protocolViolation: .crashed
            case .sandbox: .sandbox
            }
        self.init(
            kind,
            function: function.label,
            role: role?.label ?? "",
            message: FunctionFailure.cut(fault.message),
            line: fault.line,
            column: fault.column,
            stack: FunctionFailure.cut(fault.stack),
            input: FunctionFailure.cut(fault.input),
            offset: fault.offset,
            excerpt: fault.excerpt
        )
    }

    private static func cut(_ text: String) -> String {
        text.utf8.count <= maxTextByteCount
            ? text : String(decoding: text.utf8.prefix(maxTextByteCount), as: UTF8.self)
    }
}
