import CLinux
import Glibc

/// The parent of the process that runs commands: ends all that is left when that process ends, or on `SIGTERM`.
///
/// The child is process 1 of its namespace where the system has such: then all others in it die with it, before it can be
/// reaped. Elsewhere orphans become the supervisor's children, which it kills until none is left. So when the
/// supervisor is gone, everything is.
enum Supervisor {
    /// Forks, and returns in the child only.
    static func supervise() {
        var signals = sigset_t()
        sigemptyset(&signals)
        sigaddset(&signals, SIGCHLD)
        sigaddset(&signals, SIGTERM)
        sigprocmask(SIG_BLOCK, &signals, nil)
        process_control(PR_SET_CHILD_SUBREAPER, 1)
        let child = fork_process()
        if child > 0 { stay(with: child, signals) }
        guard child == 0 else { _exit(1) }
        sigprocmask(SIG_UNBLOCK, &signals, nil)
        process_control(PR_SET_PDEATHSIG, UInt(SIGKILL))
    }

    private static func stay(with child: pid_t, _ signals: sigset_t) -> Never {
        drop_capabilities()
        var signals = signals
        while true {
            if let status = reap(child) { end(with: status) }
            if sigwaitinfo(&signals, nil) == SIGTERM { kill(child, SIGKILL) }
        }
    }

    /// Reaps what has ended; returns the child's status if it has.
    private static func reap(_ child: pid_t) -> Int32? {
        var childStatus: Int32?
        var status: Int32 = 0
        while case let ended = waitpid(-1, &status, WNOHANG), ended > 0 {
            if ended == child { childStatus = status }
        }
        return childStatus
    }

    /// Ends as the child did.
    private static func end(with status: Int32) -> Never {
        ProcessTree.own.killAll()
        let signal = status & 0x7f
        guard signal != 0 else { _exit(status >> 8) }
        Glibc.signal(signal, SIG_DFL)
        kill(getpid(), signal)
        _exit(1)
    }
}
