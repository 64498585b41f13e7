import CLinux
import Glibc

/// What a process that runs commands takes from itself.
///
/// A command is a program of its own: it may read files and start processes. It has no network, sees no process but its
/// own, nothing of the node's home, gains no rights by exec, and dies with the node. It runs as the node's user; a
/// root's command has no capabilities and is `nobody` to itself.
struct CommandConfinement {
    /// Most processes that a bomb can start between two looks at them.
    private static let maxProcessCount = 4096

    /// Parts that the system lacks.
    private(set) var missing: [String]
    /// Folders that are the command's own.
    let folders: CommandFolders

    /// Confines the process, and goes on in a child; the parent supervises.
    ///
    /// - Precondition: the process has one thread.
    /// - Parameters:
    ///   - folder: where the command works.
    ///   - hidden: a folder of which the command sees nothing else, the node's home; empty: none.
    ///   - isForeign: the command is another node's, and sees no temporary files of this machine.
    init(around folder: String, hiding hidden: String, isForeign: Bool) {
        close_descriptors(UInt32(Channel.descriptor) + 1)
        let missingNamespaces = Namespaces.enter([.user, .network, .ipc, .hostName, .mount, .process])
        missing = missingNamespaces.names
        process_control(PR_SET_NO_NEW_PRIVS, 1)
        limit_resource(resource_core, 0)
        if !missingNamespaces.contains(.user) {
            ResourceLimit.limitThreads(UInt(CommandConfinement.maxProcessCount))
        }
        Supervisor.supervise()
        // Without a mount namespace of its own the machine's would be changed.
        let ownsMounts = !missingNamespaces.contains(.mount) && CommandConfinement.keepMountsToItself()
        if getpid() == 1, ownsMounts, CommandConfinement.mountOwnProcesses() {
            CommandConfinement.limitProcessNumbers()
        } else if getpid() == 1 {
            missing.append("own /proc")
        }
        folders =
            ownsMounts
            ? CommandFolders(around: folder, hiding: hidden, isForeign: isForeign) : CommandFolders()
        if !folders.isWhole { missing.append("own folders") }
        drop_capabilities()
        // Orphans of a command are the runner's to end, as they are anyway for process 1.
        process_control(PR_SET_CHILD_SUBREAPER, 1)
        process_control(PR_SET_DUMPABLE, 0)
    }

    /// Takes the rest once nothing needs it any more: writing elsewhere than `folder` and what is for all to write, from
    /// this thread and what it starts, and system calls that lead outside, from every thread.
    mutating func lock(writing folder: String) {
        if !Landlock.restrict(writing: CommandFolders.writable + [folder]) { missing.append("landlock") }
        if !ForbiddenCalls.forbid() { missing.append("seccomp") }
    }

    private static func keepMountsToItself() -> Bool {
        mount(nil, "/", nil, UInt(MS_REC | MS_PRIVATE), nil) == 0
    }

    /// Shows in /proc the processes of the new namespace only.
    private static func mountOwnProcesses() -> Bool {
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
