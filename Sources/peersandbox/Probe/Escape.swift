import CLinux
import Glibc

/// What a process that runs foreign code must not be able to do, each tried by its system call.
///
/// Tries are harmless should they succeed: signals are number 0, files are opened and not changed.
struct Escape: Sendable {
    let name: String
    /// The call's result: below 0 is a refusal.
    let attempt: @Sendable () -> Int

    /// Why the kernel refused, or `nil` when it did not.
    func refusal() -> String? {
        let result = attempt()
        let number = errno
        return result < 0 ? String(cString: strerror(number)) : nil
    }

    static let all = files + network + processes + privileges + memory + descriptors
}

private func call(_ name: String, _ number: Int32, _ arguments: Int...) -> Escape {
    let six = arguments + Array(repeating: 0, count: 6 - arguments.count)
    return Escape(name: name) {
        system_call(Int(number), six[0], six[1], six[2], six[3], six[4], six[5])
    }
}

/// A call whose first or second argument is a path.
private func path(_ name: String, _ path: String, _ body: @escaping @Sendable (UnsafePointer<CChar>) -> Int)
    -> Escape
{
    Escape(name: name) { path.withCString(body) }
}

private func address(_ pointer: UnsafePointer<CChar>) -> Int { Int(bitPattern: pointer) }
private let here = Int(AT_FDCWD)

extension Escape {
    private static let files = [
        path("read /etc/passwd", "/etc/passwd") { open($0) },
        path("read this folder", ".") { open($0, O_DIRECTORY) },
        path("read /", "/") { open($0, O_DIRECTORY) },
        path("read /proc/1/status", "/proc/1/status") { open($0) },
        path("read /proc/self/maps", "/proc/self/maps") { open($0) },
        path("write /proc/self/mem", "/proc/self/mem") { open($0, O_RDWR) },
        path("read the node's memory", "/proc/\(getppid())/mem") { open($0) },
        path("read the node's environment", "/proc/\(getppid())/environ") { open($0) },
        path("read /dev/urandom", "/dev/urandom") { open($0) },
        path("create a file", "/tmp/peersandbox-escape") { open($0, O_CREAT | O_WRONLY) },
        path("open by openat2", "/etc/passwd") { system_call(437, here, address($0), 0, 0, 0, 0) },
        path("see a file's status", "/etc/passwd") {
            system_call(Int(SYS_newfstatat), here, address($0), address($0), 0, 0, 0)
        },
        path("make a folder", "/tmp/peersandbox-escape") {
            system_call(Int(SYS_mkdirat), here, address($0), 0o700, 0, 0, 0)
        },
        path("remove a file", "/tmp/peersandbox-none") {
            system_call(Int(SYS_unlinkat), here, address($0), 0, 0, 0, 0)
        },
        path("change a mode", "/tmp") { system_call(Int(SYS_fchmodat), here, address($0), 0o1777, 0, 0, 0) },
        path("change folder", "/") { system_call(Int(SYS_chdir), address($0), 0, 0, 0, 0, 0) },
        path("change root", "/") { system_call(Int(SYS_chroot), address($0), 0, 0, 0, 0, 0) },
        path("mount", "/proc") { system_call(Int(SYS_mount), address($0), address($0), 0, 0x1000, 0, 0) },
        path("watch a file", "/etc") { _ in system_call(Int(SYS_inotify_init1), 0, 0, 0, 0, 0, 0) },
        path("make a memory file", "a") { system_call(Int(SYS_memfd_create), address($0), 0, 0, 0, 0, 0) },
    ]

    private static let network = [
        call("make a TCP socket", Int32(SYS_socket), 2, 1),
        call("make a UDP socket", Int32(SYS_socket), 2, 2),
        call("make a Unix socket", Int32(SYS_socket), 1, 1),
        call("make a netlink socket", Int32(SYS_socket), 16, 3),
        call("connect the node's socket elsewhere", Int32(SYS_connect), 3),
        call("listen on the node's socket", Int32(SYS_listen), 3, 1),
        call("pass descriptors to the node", Int32(SYS_sendmsg), 3),
        call("take descriptors from the node", Int32(SYS_recvmsg), 3),
        call("use io_uring", 425, 1),
    ]

    private static let processes = [
        Escape(name: "fork") { child(system_call(Int(SYS_clone), 17, 0, 0, 0, 0, 0)) },
        Escape(name: "start by clone3") { child(system_call(435, 0, 0, 0, 0, 0, 0)) },
        Escape(name: "run a program") {
            "/bin/true".withCString { path in
                var arguments: [Int] = [address(path), 0]
                return arguments.withUnsafeMutableBytes {
                    system_call(Int(SYS_execve), address(path), Int(bitPattern: $0.baseAddress), 0, 0, 0, 0)
                }
            }
        },
        path("run a program by execveat", "/bin/true") {
            system_call(Int(SYS_execveat), here, address($0), 0, 0, 0, 0)
        },
        call("signal the node", Int32(SYS_kill), Int(getppid()), 0),
        call("signal all", Int32(SYS_kill), -1, 0),
        call("signal process 1", Int32(SYS_kill), 1, 0),
        call("signal a thread of the node", Int32(SYS_tgkill), Int(getppid()), Int(getppid()), 0),
        call("signal by tkill", Int32(SYS_tkill), Int(getppid()), 0),
        call("queue a signal", Int32(SYS_rt_sigqueueinfo), Int(getppid()), 0),
        call("open the node's process", 434, Int(getppid())),
        call("be traced", Int32(SYS_ptrace), 0),
        call("trace the node", Int32(SYS_ptrace), 16, Int(getppid())),
        call("read the node's memory by call", Int32(SYS_process_vm_readv), Int(getppid())),
        call("write the node's memory by call", Int32(SYS_process_vm_writev), Int(getppid())),
        call("compare with the node", Int32(SYS_kcmp), Int(getppid()), Int(getppid()), 0, 0, 0),
        call("limit the node", Int32(SYS_prlimit64), Int(getppid()), 7),
        call("schedule the node", Int32(SYS_setpriority), 0, Int(getppid()), 19),
    ]

    private static let privileges = [
        call("become root", Int32(SYS_setuid), 0),
        call("become root's group", Int32(SYS_setgid), 0),
        call("take a namespace", Int32(SYS_unshare), 0x1000_0000),
        call("enter a namespace", Int32(SYS_setns), 0),
        call("take capabilities", Int32(SYS_capset), 0),
        call("be dumpable", Int32(SYS_prctl), 4, 1),
        call("replace the filter", Int32(SYS_prctl), 22, 0),
        call("set seccomp", Int32(SYS_seccomp), 1),
        call("raise a limit", Int32(SYS_setrlimit), 7),
        call("change the host's name", Int32(SYS_sethostname)),
        call("set the clock", Int32(SYS_clock_settime)),
        call("load a module", Int32(SYS_init_module)),
        call("load a program into the kernel", Int32(SYS_bpf)),
        call("count events", Int32(SYS_perf_event_open)),
        call("use the key ring", Int32(SYS_keyctl), 0, -3),
        call("read the kernel's log", Int32(SYS_syslog), 10),
        call("change personality", Int32(SYS_personality), 0x0040000),
        call("restart the machine", Int32(SYS_reboot)),
        call("handle page faults", Int32(SYS_userfaultfd)),
        call("pin to a processor", Int32(SYS_sched_setaffinity)),
    ]

    private static let memory = [
        call("take 16 GiB of addresses", Int32(SYS_mmap), 0, 16 << 30, 3, 0x22, -1, 0),
        call("lock memory", Int32(SYS_mlock), 0, 4096),
        call("make shared memory", Int32(SYS_shmget), 0, 4096, 0o1600),
        call("make a message queue", Int32(SYS_msgget), 0, 0o1600),
        call("make a semaphore", Int32(SYS_semget), 0, 1, 0o1600),
        Escape(name: "start 1,000 threads", attempt: { startThreads() }),
    ]

    private static let descriptors = [
        call("copy the node's socket", Int32(SYS_dup), 3),
        call("own the node's socket", Int32(SYS_fcntl), 3, 8, Int(getppid())),
        call("control the node's socket", Int32(SYS_ioctl), 3, 0x541b),
        Escape(name: "use another descriptor", attempt: { readOtherDescriptors() }),
    ]

    private static func open(_ path: UnsafePointer<CChar>, _ flags: Int32 = O_RDONLY) -> Int {
        system_call(Int(SYS_openat), here, address(path), Int(flags), 0o600, 0, 0)
    }

    /// A child that could be started ends at once.
    private static func child(_ result: Int) -> Int {
        if result == 0 { _exit(0) }
        return result
    }

    /// Descriptors that were open in the node are not here.
    private static func readOtherDescriptors() -> Int {
        for number in Int32(4)..<1024 where read(number, nil, 0) != -1 || errno != EBADF {
            return Int(number)
        }
        errno = EBADF
        return -1
    }

    /// Threads that wait for ever, until no more can be had; they end with the process.
    private static func startThreads() -> Int {
        for _ in 0..<1000 {
            var thread = pthread_t()
            let number = pthread_create(
                &thread,
                nil,
                { _ in
                    while true { pause() }
                },
                nil
            )
            guard number == 0 else {
                errno = number
                return -1
            }
        }
        return 0
    }
}
