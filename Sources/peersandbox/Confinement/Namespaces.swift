import CLinux
import Glibc

/// Parts of the system that a process can have for itself.
struct Namespaces: OptionSet {
    let rawValue: Int32

    static let user = Namespaces(rawValue: namespace_user)
    static let network = Namespaces(rawValue: namespace_network)
    static let ipc = Namespaces(rawValue: namespace_ipc)
    static let hostName = Namespaces(rawValue: namespace_host_name)
    static let mount = Namespaces(rawValue: namespace_mount)
    /// For the next child; the process itself stays where it is.
    static let process = Namespaces(rawValue: namespace_process)

    private static let allNames: [(part: Namespaces, name: String)] = [
        (.user, "user namespace"), (.network, "network namespace"), (.ipc, "IPC namespace"),
        (.hostName, "host name namespace"), (.mount, "mount namespace"),
        (.process, "process number namespace"),
    ]

    /// What users read of these.
    var names: [String] { Namespaces.allNames.filter { contains($0.part) }.map(\.name) }

    /// Enters new namespaces; root outside is `nobody` inside, another user is itself.
    ///
    /// - Precondition: the process has one thread.
    /// - Returns: those that the system does not give.
    static func enter(_ parts: Namespaces) -> Namespaces {
        let user = geteuid()
        let group = getegid()
        var missing: Namespaces = []
        if unshare(parts.rawValue) != 0 {
            // The user namespace comes first: it gives the right to the others.
            for (part, _) in allNames where parts.contains(part) && unshare(part.rawValue) != 0 {
                missing.insert(part)
            }
        }
        if parts.subtracting(missing).contains(.user) { mapIdentity(user, group) }
        return missing
    }

    private static func mapIdentity(_ user: UInt32, _ group: UInt32) {
        write("deny", to: "/proc/self/setgroups")
        write("\(user == 0 ? Identity.nobody : user) \(user) 1", to: "/proc/self/uid_map")
        write("\(group == 0 ? Identity.nobody : group) \(group) 1", to: "/proc/self/gid_map")
    }

    private static func write(_ text: String, to path: String) {
        let file = open(path, O_WRONLY | O_CLOEXEC)
        guard file >= 0 else { return }
        Glibc.write(file, text, text.utf8.count)
        close(file)
    }
}
