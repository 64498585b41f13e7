import CLinux
import FunctionProtocol
import Glibc

/// The shell that runs a command, and the near ends of its three pipes; closed when this is given up.
///
/// It neither kills nor reaps: `ProcessTree` does, for the shell and for what it has started.
final class CommandProcess {
    /// Room of a pipe in bytes: fewer switches between the command and this process.
    private static let pipeByteCount: Int32 = 1 << 20

    let identifier: pid_t
    private(set) var input: Int32
    private(set) var output: Int32
    private(set) var errors: Int32
    /// Readable when the shell has ended; -1 when the system has no such descriptors.
    let ended: Int32

    init(_ command: String, _ variables: [String: String]) throws(FunctionFault) {
        let input = try CommandProcess.pipe()
        let output = try CommandProcess.pipe()
        let errors = try CommandProcess.pipe()
        defer { for far in [input.read, output.write, errors.write] { Glibc.close(far) } }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        for (number, far) in [input.read, output.write, errors.write].enumerated() {
            posix_spawn_file_actions_adddup2(&actions, far, Int32(number))
        }
        posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1)
        let number: Int32
        (identifier, number) = CommandProcess.spawn(command, variables, &actions)
        guard number == 0 else { throw CommandProcess.cannot("start /bin/sh", number) }
        for near in [input.write, output.read, errors.read] { _ = fcntl(near, F_SETFL, O_NONBLOCK) }
        (self.input, self.output, self.errors) = (input.write, output.read, errors.read)
        ended = open_process(identifier)
    }

    deinit {
        for descriptor in [input, output, errors, ended] where descriptor >= 0 { Glibc.close(descriptor) }
    }

    /// The command has all of its input.
    func closeInput() { CommandProcess.close(&input) }
    /// The command has written all of its output.
    func closeOutput() { CommandProcess.close(&output) }
    /// The command has written all of its errors.
    func closeErrors() { CommandProcess.close(&errors) }

    private static func close(_ descriptor: inout Int32) {
        guard descriptor >= 0 else { return }
        Glibc.close(descriptor)
        descriptor = -1
    }

    /// A pipe at numbers that the command's own three cannot overwrite.
    private static func pipe() throws(FunctionFault) -> (read: Int32, write: Int32) {
        var pair: [Int32] = [-1, -1]
        guard pipe2(&pair, O_CLOEXEC) == 0 else { throw cannot("make a pipe", errno) }
        _ = set_pipe_size(pair[0], pipeByteCount)
        return (pair[0], pair[1])
    }

    private static func spawn(
        _ command: String,
        _ variables: [String: String],
        _ actions: inout posix_spawn_file_actions_t
    ) -> (identifier: pid_t, number: Int32) {
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        spawn_in_own_session(&attributes)
        var identifier: pid_t = 0
        let number = withCStrings(["/bin/sh", "-c", command]) { arguments in
            withCStrings(variables.map { "\($0.key)=\($0.value)" }.sorted()) { environment in
                posix_spawn(&identifier, "/bin/sh", &actions, &attributes, arguments, environment)
            }
        }
        return (identifier, number)
    }

    private static func withCStrings<Result>(
        _ strings: [String],
        _ body: ([UnsafeMutablePointer<CChar>?]) -> Result
    ) -> Result {
        let copies = strings.map { strdup($0) }
        defer { copies.forEach { free($0) } }
        return body(copies + [nil])
    }

    private static func cannot(_ operation: String, _ number: Int32) -> FunctionFault {
        FunctionFault(.sandbox, "cannot \(operation) for the command: \(String(cString: strerror(number)))")
    }
}
