import CLinux
import FunctionProtocol
import Glibc

/// What a process that runs foreign code takes from itself, in two steps.
///
/// At the start, with one thread: privileged identity, namespaces, resources, capabilities, and all of the file system but
/// what an engine reads while it starts. Then, before a byte of the function is read (`lock`): the rest of the file
/// system, and every system call that running a function does not need. What this kernel lacks is told to the node,
/// which decides whether to go on.
struct Confinement {
    /// What an engine reads while it starts: random bytes, and what the machine has.
    private static let readable = [
        "/dev/urandom", "/dev/random", "/proc", "/sys/devices/system", "/sys/fs/cgroup",
    ]

    /// Parts that this kernel lacks.
    private(set) var missing: [String] = []

    /// Confines the process up to what starting an engine needs, which may reserve `addressByteCount` bytes.
    ///
    /// - Precondition: the process has one thread.
    init(addressByteCount: UInt) {
        close_descriptors(UInt32(Channel.descriptor) + 1)
        Identity.giveUpRoot()
        let missingNamespaces = Namespaces.enter([.user, .network, .ipc, .hostName])
        missing += missingNamespaces.names
        ResourceLimit.confine(
            addressByteCount: addressByteCount,
            hasOwnUsers: !missingNamespaces.contains(.user)
        )
        process_control(PR_SET_NO_NEW_PRIVS, 1)
        drop_capabilities()
        if !Landlock.restrict(reading: Confinement.readable, scoped: true) { missing.append("landlock") }
    }

    /// Takes the rest, from every thread.
    mutating func lock() {
        process_control(PR_SET_DUMPABLE, 0)
        _ = Landlock.restrict(reading: [], scoped: false)
        if !SystemCalls.restrict() { missing.append("seccomp") }
    }
}
