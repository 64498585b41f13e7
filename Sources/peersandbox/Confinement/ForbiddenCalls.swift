import CLinux
import CSeccomp
import Glibc

/// The system calls that no command needs and that would lead out of its confinement; they answer `EPERM`.
///
/// All others are allowed, for a command is any program. Calls of another architecture's table kill the process.
enum ForbiddenCalls {
    /// Forbidden whatever their arguments.
    private static let names = [
        // Namespaces and mounts.
        "unshare", "setns", "mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount",
        "fsopen", "fsconfig", "fsmount", "fspick", "mount_setattr", "open_by_handle_at",
        // Other processes.
        "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "pidfd_getfd", "kcmp",
        // Connections: there is no network, and Unix sockets lead to programs of the machine.
        "connect", "io_uring_setup", "io_uring_enter", "io_uring_register",
        // The kernel.
        "bpf", "perf_event_open", "userfaultfd", "add_key", "keyctl", "request_key", "kexec_load",
        "kexec_file_load", "init_module", "finit_module", "delete_module", "syslog", "reboot", "acct",
        "swapon",
        "swapoff", "quotactl", "quotactl_fd", "settimeofday", "clock_settime", "iopl", "ioperm",
        "fanotify_init",
    ]

    /// Without these there is no confinement: a library that does not know one of them is none to rely on.
    private static let indispensable: Set = [
        "unshare", "setns", "mount", "clone", "clone3", "connect", "socket", "io_uring_setup",
    ]

    /// CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET.
    private static let namespaceFlags: [UInt64] = [
        0x0002_0000, 0x0200_0000, 0x0400_0000, 0x0800_0000, 0x1000_0000, 0x2000_0000, 0x4000_0000,
    ]
    /// What of an argument the kernel reads as an `int`.
    private static let intMask: UInt64 = 0xffff_ffff
    /// The kind of a socket without its flags.
    private static let kindMask: UInt64 = 0xf
    /// AF_NETLINK; families of higher numbers, such as virtual machines' sockets, are of no use without a network.
    private static let lastFamily: UInt64 = 16

    /// Forbids them to all threads of the process and to all that it starts, for good.
    ///
    /// - Returns: `false` when the kernel has no seccomp, or the library does not know what has to be forbidden.
    static func forbid() -> Bool {
        guard let filter = seccomp_init(seccomp_allow()) else { return false }
        defer { seccomp_release(filter) }
        var isWhole = true
        for name in names { isWhole = add(filter, name) && isWhole }
        for flag in namespaceFlags { isWhole = add(filter, "clone", [masked(0, flag, flag)]) && isWhole }
        // Its flags cannot be seen; glibc falls back to clone.
        isWhole = add(filter, "clone3", answer: ENOSYS) && isWhole
        isWhole = add(filter, "socket", [masked(0, intMask, UInt64(AF_UNIX))]) && isWhole
        let higher = scmp_arg_cmp(arg: 0, op: SCMP_CMP_GT, datum_a: lastFamily, datum_b: 0)
        isWhole = add(filter, "socket", [higher]) && isWhole
        // A pair of these could send to any address of their kind. SOCK_RAW is another word for SOCK_DGRAM here.
        for kind in [SOCK_DGRAM, SOCK_RAW] {
            isWhole = add(filter, "socketpair", [masked(1, kindMask, UInt64(kind.rawValue))]) && isWhole
        }
        guard seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1) == 0 else { return false }
        return seccomp_load(filter) == 0 && isWhole
    }

    private static func masked(_ argument: UInt32, _ mask: UInt64, _ value: UInt64) -> scmp_arg_cmp {
        scmp_arg_cmp(arg: argument, op: SCMP_CMP_MASKED_EQ, datum_a: mask, datum_b: value)
    }

    /// Adds a rule.
    ///
    /// - Returns: `false` when it is missing in the filter and should not be.
    private static func add(
        _ filter: scmp_filter_ctx,
        _ name: String,
        _ arguments: [scmp_arg_cmp] = [],
        answer: Int32 = EPERM
    ) -> Bool {
        let number = seccomp_syscall_resolve_name(name)
        // Not every architecture has every call, and an older library does not know every name.
        guard number >= 0 else { return !indispensable.contains(name) }
        let code = seccomp_rule_add_array(
            filter,
            seccomp_answer(UInt16(answer)),
            number,
            UInt32(arguments.count),
            arguments
        )
        return code == 0
    }
}
