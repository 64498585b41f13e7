import CLinux
import Glibc

/// The user and group that the process runs as.
enum Identity {
    /// User and group without rights: `nobody` by its usual number.
    static let nobody: UInt32 = 65534

    /// Becomes `nobody` if the process is root's; an ordinary user stays itself.
    static func giveUpRoot() {
        guard geteuid() == 0 else { return }
        setgroups(0, nil)
        _ = setresgid(nobody, nobody, nobody)
        _ = setresuid(nobody, nobody, nobody)
        // The change made the files of /proc/self root's, where the maps of a user namespace are written.
        process_control(PR_SET_DUMPABLE, 1)
    }
}
