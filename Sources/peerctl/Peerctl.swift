import Glibc
import PeerNode

/// The command line of a node.
enum Peerctl {
    /// Starts the command on a task and keeps the main thread for signals and time.
    static func start() -> Never {
        let session = Session()
        session.blockSignals()
        Task {
            session.streams.leave(await Peerctl.run(session))
        }
        session.watch()
    }

    /// Runs one command and gives its exit code.
    private static func run(_ session: Session) async -> Int32 {
        do {
            guard let call = try CommandLineReader.read(try arguments(), session) else { return 0 }
            try session.setTimeout(call)
            try await call.perform()
            return session.exitCode
        } catch let error as UsageError {
            session.fail(error.message)
            return 2
        } catch {
            let fault = NodeError.wrap(error)
            // What was interrupted is tidied up before the process ends.
            await session.interruptionEnded()
            session.fail(fault.message)
            return fault.code == .invalidArgument ? 2 : 1
        }
    }

    /// The words behind the command's name.
    ///
    /// Names in the store are UTF-8, so other words cannot be meant for it.
    private static func arguments() throws(UsageError) -> [String] {
        var arguments: [String] = []
        for index in 1..<max(Int(CommandLine.argc), 1) {
            guard let word = CommandLine.unsafeArgv[index] else { break }
            let bytes = UnsafeRawBufferPointer(start: word, count: strlen(word))
            guard let argument = String(validating: bytes, as: UTF8.self) else {
                throw UsageError(
                    "«\(String(decoding: bytes, as: UTF8.self))» is not UTF-8; rename the file, "
                        + "or add its bytes with `peerctl add - <FILE`"
                )
            }
            arguments.append(argument)
        }
        return arguments
    }
}
