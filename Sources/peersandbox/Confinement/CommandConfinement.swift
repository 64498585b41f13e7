import CLinux
import Glibc

/// What a process that runs commands takes from itself.
///
/// A command is a program of its own: it may read files and start processes. It has no network, sees no process but its
/// own, gains no rights by exec, and dies with the node. It runs as the node's user; a root's command has no
/// capabilities and is `nobody` to itself.
enum CommandConfinement {
    /// Most processes that a bomb can start between two looks at them.
    private static let maxProcessCount = 4096

    /// Confines the process, and goes on in a child; the parent supervises.
    ///
    /// - Precondition: the process has one thread.
    /// - Returns: parts that the system lacks.
    static func enter() -> [String] {
        close_descriptors(UInt32(Channel.descriptor) + 1)
        let missingNamespaces = Namespaces.enter([.user, .network, .ipc, .hostName, .mount, .process])
        var missing = missingNamespaces.names
        process_control(PR_SET_NO_NEW_PRIVS, 1)
        limit_resource(resource_core, 0)
        if !missingNamespaces.contains(.user) { ResourceLimit.limitThreads(UInt(maxProcessCount)) }
        Supervisor.supervise()
        if getpid() == 1 {
            if mountOwnProcesses() { limitProcessNumbers() } else { missing.append("own /proc") }
        }
        drop_capabilities()
        // Orphans of a command are the runner's to end, as they are anyway for process 1.
        process_control(PR_SET_CHILD_SUBREAPER, 1)
        process_control(PR_SET_DUMPABLE, 0)
        return missing
    }

    /// Shows in /proc the processes of the new namespace only.
    private static func mountOwnProcesses() -> Bool {
        guard mount(nil, "/", nil, UInt(MS_REC | MS_PRIVATE), nil) == 0 else { return false }
        let flags = MS_NOSUID | MS_NODEV | MS_NOEXEC
        return mount("proc", "/proc", "proc", UInt(flags), nil) == 0
    }

    /// Limits numbers, for root's processes are not counted; before Linux 6.14 the limit is the whole system's.
    private static func limitProcessNumbers() {
        guard Kernel.isAtLeast(6, 14) else { return }
        let file = open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        let text = "\(maxProcessCount)"
        write(file, text, text.utf8.count)
        close(file)
    }
}
