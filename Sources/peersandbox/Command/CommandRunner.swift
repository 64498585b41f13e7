import CLinux
import FunctionProtocol
import Glibc

/// Runs commands by Hadoop Streaming's contract: lines in, lines out, `reporter:` lines on standard error.
///
/// An attempt is one `/bin/sh -c COMMAND` in a session of its own, with the job's working folder as current folder. The
/// attempt is over when the shell ends; what the command left running is killed.
final class CommandRunner: Runner {
    private let command: String
    private let limits: FunctionLimits
    private let environment: [String: String]
    private let folders: CommandFolders
    let readiness: Readiness

    /// Nothing yet: what is to be taken depends on the working folder, and a command line is not code before it is run.
    static func confine() -> [String] { [] }

    init(_ preparation: Preparation) throws(FunctionFault) {
        guard !preparation.program.isEmpty, !preparation.program.contains(0) else {
            throw FunctionFault(.invalid, "a command must not be empty and must not hold a NUL byte")
        }
        var confinement = CommandConfinement(
            around: preparation.folder,
            hiding: preparation.hiddenFolder,
            isForeign: preparation.isForeign
        )
        NodeWatch.start()
        guard chdir(preparation.folder) == 0 else {
            let reason = String(cString: strerror(errno))
            throw FunctionFault(.sandbox, "the command's working folder \(preparation.folder): \(reason)")
        }
        command = String(decoding: preparation.program, as: UTF8.self)
        limits = preparation.limits
        environment = CommandRunner.environment(preparation)
        folders = confinement.folders
        CommandRunner.limitResources(limits)
        confinement.lock(writing: preparation.folder)
        readiness = Readiness(roles: preparation.roles, usesPosition: true, missing: confinement.missing)
    }

    func execute(_ start: TaskStart, _ channel: Channel) throws(FunctionFault) {
        var variables = environment
        for variable in start.environment {
            variables[CommandRunner.variableName(variable.name)] = variable.value
        }
        let process = try CommandProcess(command, variables)
        // However the attempt ends, nothing that the command started goes on, and no file of it is left.
        defer {
            ProcessTree.own.killAll()
            folders.empty()
        }
        var exchange = CommandExchange(process, start.role, limits, folders, channel)
        try exchange.run()
    }
}

// MARK: - What a command finds

extension CommandRunner {
    /// Descriptors of one process.
    private static let maxDescriptorCount: UInt = 1024

    /// Limits that the system keeps for each process; `CommandExchange` keeps those of all together.
    private static func limitResources(_ limits: FunctionLimits) {
        limit_resource(resource_descriptors, maxDescriptorCount)
        if limits.outputByteCount > 0 { limit_resource(resource_file_size, UInt(limits.outputByteCount)) }
        if limits.memoryByteCount > 0 { limit_resource(resource_data, 2 * UInt(limits.memoryByteCount)) }
    }

    /// What this process itself was given, the job's arguments, and the folder.
    private static func environment(_ preparation: Preparation) -> [String: String] {
        var variables = ["HOME": preparation.folder, "TMPDIR": preparation.folder, "PWD": preparation.folder]
        for name in ["LANG", "PATH", "TZ"] {
            variables[name] = getenv(name).map { String(cString: $0) }
        }
        // An interpreter that orders by hash must order alike in every attempt.
        variables["PYTHONHASHSEED"] = "0"
        for argument in preparation.arguments { variables[variableName(argument.name)] = argument.value }
        return variables
    }

    /// As Hadoop Streaming names a job's settings: what is no letter or digit becomes `_`.
    private static func variableName(_ name: String) -> String {
        String(name.map { $0.isASCII && ($0.isLetter || $0.isNumber) ? $0 : "_" })
    }
}
