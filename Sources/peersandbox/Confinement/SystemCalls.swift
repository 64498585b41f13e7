import CLinux
import CSeccomp
import Glibc

/// The system calls that running a function needs; all others answer `EPERM`.
///
/// `EPERM` and not death: engines ask for what they can do without, such as a thread's priority. Calls of another
/// architecture's table (32 bit, x32) kill the process.
enum SystemCalls {
    /// Allowed whatever their arguments.
    private static let harmless = [
        // The socket to the node, and descriptors that are open already.
        "read", "readv", "pread64", "write", "writev", "close", "poll", "ppoll", "eventfd2", "lseek",
        // Memory.
        "mmap", "munmap", "mprotect", "mremap", "madvise", "brk", "mincore", "membarrier",
        // Threads.
        "futex", "futex_waitv", "sched_yield", "sched_getaffinity", "sched_getparam", "sched_getscheduler",
        "sched_get_priority_max", "sched_get_priority_min", "set_robust_list", "set_tid_address", "rseq",
        "exit",
        "exit_group", "gettid", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid",
        // Signals of its own.
        "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "rt_sigtimedwait", "sigaltstack",
        "restart_syscall",
        // Clocks.
        "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
        // The machine.
        "getrandom", "getrusage", "sysinfo", "uname", "getcpu",
    ]

    /// Restricts all threads of the process, for good.
    ///
    /// - Returns: `false` when the kernel has no seccomp.
    static func restrict() -> Bool {
        guard let filter = seccomp_init(seccomp_answer(UInt16(EPERM))) else { return false }
        defer { seccomp_release(filter) }
        for name in harmless { add(filter, seccomp_allow(), name) }
        // Threads and no processes or namespaces. glibc falls back to clone, whose flags can be seen, from clone3.
        let flags = scmp_arg_cmp(
            arg: 0,
            op: SCMP_CMP_MASKED_EQ,
            datum_a: threadFlag | namespaceFlags,
            datum_b: threadFlag
        )
        add(filter, seccomp_allow(), "clone", [flags])
        add(filter, seccomp_answer(UInt16(ENOSYS)), "clone3")
        // An engine suspends its own threads.
        add(filter, seccomp_allow(), "tgkill", [equal(0, UInt64(getpid()))])
        // Reading limits; setting none.
        add(filter, seccomp_allow(), "prlimit64", [equal(0, 0), equal(2, 0)])
        for option in [PR_SET_NAME, PR_GET_NAME] {
            add(filter, seccomp_allow(), "prctl", [equal(0, UInt64(option))])
        }
        guard seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 else { return false }
        return seccomp_load(filter) == 0
    }

    /// CLONE_THREAD.
    private static let threadFlag: UInt64 = 0x0001_0000
    /// CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
    private static let namespaceFlags: UInt64 = 0x7e02_0080

    private static func equal(_ argument: UInt32, _ value: UInt64) -> scmp_arg_cmp {
        scmp_arg_cmp(arg: argument, op: SCMP_CMP_EQ, datum_a: value, datum_b: 0)
    }

    private static func add(
        _ filter: scmp_filter_ctx,
        _ action: UInt32,
        _ name: String,
        _ arguments: [scmp_arg_cmp] = []
    ) {
        let number = seccomp_syscall_resolve_name(name)
        // Not every architecture has every call.
        guard number >= 0 else { return }
        seccomp_rule_add_array(filter, action, number, UInt32(arguments.count), arguments)
    }
}
