internal import Glibc
internal import Synchronization

/// Standard output and error of a command.
///
/// Lines and notes may hold text of others: their control characters are spelled out (`TerminalText`).
package final class StandardStreams: Sendable {
    /// Bytes gathered before they are written.
    private static let bufferByteCount = 1 << 16

    private let pending = Mutex<[UInt8]>([])
    /// Whether a person watches stdout.
    package let isInteractive: Bool
    /// Whether a person watches stderr.
    package let hasTerminal: Bool

    /// The streams of this process.
    package init() {
        StandardStreams.fillGaps()
        isInteractive = isatty(STDOUT_FILENO) == 1
        hasTerminal = isatty(STDERR_FILENO) == 1
    }

    /// Writes a line to stdout.
    package func line(_ text: String) {
        let text = TerminalText.visible(text)
        pending.withLock { pending in
            pending += text.utf8
            pending.append(10)
            if isInteractive || pending.count >= StandardStreams.bufferByteCount {
                StandardStreams.drain(&pending)
            }
        }
    }

    /// Writes bytes to stdout, as they are.
    package func bytes(_ bytes: UnsafeRawBufferPointer) {
        pending.withLock { pending in
            if bytes.count >= StandardStreams.bufferByteCount {
                StandardStreams.drain(&pending)
                StandardStreams.writeAll(bytes)
            } else {
                pending += bytes
                if pending.count >= StandardStreams.bufferByteCount { StandardStreams.drain(&pending) }
            }
        }
    }

    /// Writes what is gathered.
    package func flush() { pending.withLock { StandardStreams.drain(&$0) } }

    /// Writes what is gathered and ends the process.
    ///
    /// Threads may still be at their end then. `exit` would have libcrypto free what belongs to them at the same time
    /// (a crash in one of some thousand commands), so destructors of libraries are left out.
    package func leave(_ code: Int32) -> Never {
        flush()
        _exit(code)
    }

    /// Writes a line to stderr.
    package func note(_ text: String) { error(TerminalText.visible(text) + "\n") }

    /// Writes text of our own to stderr, with what moves the cursor.
    package func error(_ text: String) {
        _ = text.withCString { write(STDERR_FILENO, $0, strlen($0)) }
    }

    /// Opens what the caller has closed, so that no file of ours gets its number; writing to it fails as it should.
    private static func fillGaps() {
        for descriptor in STDIN_FILENO...STDERR_FILENO where fcntl(descriptor, F_GETFD) == -1 {
            _ = open("/dev/null", O_RDONLY)
        }
    }

    private static func drain(_ pending: inout [UInt8]) {
        pending.withUnsafeBytes { writeAll($0) }
        pending.removeAll(keepingCapacity: true)
    }

    private static func writeAll(_ bytes: UnsafeRawBufferPointer) {
        var rest = bytes[...]
        while !rest.isEmpty {
            let part = UnsafeRawBufferPointer(rebasing: rest)
            let count = write(STDOUT_FILENO, part.baseAddress, part.count)
            if count >= 0 { rest = rest.dropFirst(count); continue }
            if errno == EINTR { continue }
            if errno == EPIPE { dieOfBrokenPipe() }
            let reason = String(cString: strerror(errno))
            _ = "peerctl: cannot write to standard output: \(reason)\n".withCString {
                write(STDERR_FILENO, $0, strlen($0))
            }
            _exit(1)
        }
    }

    /// Ends as any Unix tool whose reader has gone: by the signal, without a word.
    private static func dieOfBrokenPipe() -> Never {
        signal(SIGPIPE, SIG_DFL)
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGPIPE)
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
        raise(SIGPIPE)
        _exit(141)
    }
}
