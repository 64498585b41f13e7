import Glibc
import PeerNode

/// The command line of a node.
enum Peerctl {
    /// Starts the command on a task and keeps the main thread for signals and time.
    static func start() -> Never {
        let arguments = Array(CommandLine.arguments.dropFirst())
        let session = Session()
        session.blockSignals()
        Task {
            let code = await Peerctl.run(arguments, session)
            session.streams.flush()
            exit(code)
        }
        session.watch()
    }

    /// Runs one command and gives its exit code.
    private static func run(_ arguments: [String], _ session: Session) async -> Int32 {
        do {
            guard let call = try CommandLineReader.read(arguments, session) else { return 0 }
            try session.setTimeout(call)
            try await call.perform()
            return session.exitCode
        } catch let error as UsageError {
            session.fail(error.message)
            return 2
        } catch {
            let fault = NodeError.wrap(error)
            if session.isInterrupted { return 130 }
            session.fail(fault.message)
            return fault.code == .invalidArgument ? 2 : 1
        }
    }
}
