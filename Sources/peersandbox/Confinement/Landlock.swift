import CLinux
import Glibc

/// What a thread and those that it starts may do with files, by the kernel's Landlock.
enum Landlock {
    /// Rights over files; each version of Landlock knows more of them.
    private enum Access {
        static let execute: UInt64 = 1 << 0
        static let readFile: UInt64 = 1 << 2
        static let readFolder: UInt64 = 1 << 3

        /// All that version `version` can take away.
        static func all(_ version: Int32) -> UInt64 {
            let count: UInt64 = version >= 5 ? 16 : version >= 3 ? 15 : version >= 2 ? 14 : 13
            return 1 << count - 1
        }
    }

    /// Takes away all rights over files except reading beneath `paths`; TCP; and, if `scoped`, signals and abstract
    /// sockets of processes outside.
    ///
    /// - Returns: `false` when the kernel has no Landlock, or it is off.
    static func restrict(reading paths: [String], scoped: Bool) -> Bool {
        restrict(scoped: scoped) { version in
            paths.map { ($0, Access.readFile | Access.readFolder) }
        }
    }

    /// Takes away writing except beneath `folders`.
    ///
    /// - Returns: as `restrict(reading:scoped:)`.
    static func restrict(writing folders: [String]) -> Bool {
        restrict(scoped: false, network: false) { version in
            [("/", Access.execute | Access.readFile | Access.readFolder)]
                + folders.map { ($0, Access.all(version)) }
        }
    }

    private static func restrict(
        scoped: Bool,
        network: Bool = true,
        _ allowances: (_ version: Int32) -> [(path: String, access: UInt64)]
    ) -> Bool {
        let version = landlock_version()
        guard version >= 1 else { return false }
        var rules = landlock_rules(
            files: Access.all(version),
            network: network && version >= 4 ? 0b11 : 0,
            scopes: scoped && version >= 6 ? 0b11 : 0
        )
        let knownFields = version >= 6 ? 3 : version >= 4 ? 2 : 1
        let ruleset = landlock_make(&rules, knownFields * MemoryLayout<UInt64>.size)
        guard ruleset >= 0 else { return false }
        defer { close(ruleset) }
        for (path, access) in allowances(version) { allow(path, access, in: ruleset) }
        return landlock_restrict(ruleset) == 0
    }

    /// Allows what lies beneath `path`; nothing when it is not there.
    private static func allow(_ path: String, _ access: UInt64, in ruleset: Int32) {
        let parent = open(path, open_path_flag | O_CLOEXEC)
        guard parent >= 0 else { return }
        defer { close(parent) }
        var status = stat()
        fstat(parent, &status)
        // Rights over folders cannot be given for a file.
        let isFolder = status.st_mode & S_IFMT == S_IFDIR
        landlock_allow(ruleset, parent, isFolder ? access : access & fileRights)
    }

    /// Execute, write, read, truncate, ioctl.
    private static let fileRights: UInt64 = 0b111 | 1 << 14 | 1 << 15
}
