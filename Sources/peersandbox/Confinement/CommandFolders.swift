import CLinux
import FunctionProtocol
import Glibc

/// The file system that a command sees: the machine's, without the node's home, with few devices, and with folders for
/// temporary files that are the command's own.
///
/// What is in those folders is memory; it goes away with the process.
struct CommandFolders {
    /// What one folder for temporary files holds, in bytes; it counts towards the limit on memory.
    private static let maxTemporaryByteCount = 256 << 20
    /// Files in one folder for temporary files.
    private static let maxTemporaryFileCount = 16_384
    /// Files in a folder that holds nothing but names, such as `/dev`.
    private static let maxNameCount = 256

    /// The machine's folders for temporary files.
    private static let temporary = ["/tmp", "/var/tmp"]
    /// Those that are there, each once: one may be a link to the other.
    private static var temporaryFolders: [String] {
        var folders: [String] = []
        for path in temporary.map(resolved) where access(path, F_OK) == 0 && !folders.contains(path) {
            folders.append(path)
        }
        return folders
    }

    /// Shared memory by name.
    private static let sharedMemory = "/dev/shm"
    /// Devices that do no harm.
    private static let devices = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"]
    /// Names that shells and their like expect.
    private static let links = [
        ("/proc/self/fd", "/dev/fd"), ("/proc/self/fd/0", "/dev/stdin"), ("/proc/self/fd/1", "/dev/stdout"),
        ("/proc/self/fd/2", "/dev/stderr"),
    ]

    /// What a command may write to beside its working folder.
    static let writable = temporary + [sharedMemory] + devices

    /// Folders that this process alone sees, with the names that were in them before any command ran.
    private var own: [(path: String, names: Set<[UInt8]>)] = []
    /// All could be arranged.
    private(set) var isWhole = true

    /// The file system as it is.
    init() { isWhole = false }

    /// Arranges the file system of this process, which must be in a mount namespace of its own and have its rights.
    ///
    /// - Parameters:
    ///   - folder: where the command works; it stays where it is, whatever lies around it.
    ///   - hidden: a folder of which nothing else is to be seen; empty: none.
    ///   - isForeign: the machine's temporary files are not to be seen either.
    init(around folder: String, hiding hidden: String, isForeign: Bool) {
        let working = open(folder, open_path_flag | O_DIRECTORY | O_CLOEXEC)
        defer { close(working) }
        let hidden = CommandFolders.resolved(hidden)
        do throws(Failure) {
            var made = [CommandFolders.sharedMemory]
            try CommandFolders.mountDevices()
            for path in isForeign ? CommandFolders.temporaryFolders : [] {
                try CommandFolders.mountTemporary(path)
                made.append(path)
            }
            if !hidden.isEmpty { try CommandFolders.mountNames(hidden) }
            try CommandFolders.show(working, at: folder)
            if !hidden.isEmpty { try CommandFolders.freeze(hidden) }
            own = made.map { ($0, Set(FolderContents.names(in: $0))) }
        } catch {
            isWhole = false
        }
    }

    /// Bytes in the folders that are the command's own.
    var usedByteCount: UInt64 {
        own.reduce(0) { sum, folder in
            var status = statvfs()
            guard statvfs(folder.path, &status) == 0 else { return sum }
            return sum + UInt64(status.f_blocks - status.f_bfree) * UInt64(status.f_frsize)
        }
    }

    /// Removes what an attempt left behind in the folders of its own.
    func empty() {
        for folder in own { FolderContents.remove(in: folder.path, except: folder.names) }
    }
}

// MARK: - Mounting

extension CommandFolders {
    /// A part could not be mounted.
    private struct Failure: Error {}

    private static func attach(
        _ source: String,
        at path: String,
        type: String? = nil,
        _ flags: Int,
        options: String? = nil
    ) throws(Failure) {
        guard mount(source, path, type, UInt(flags), options) == 0 else { throw Failure() }
    }

    private static func mountTemporary(_ path: String) throws(Failure) {
        let options = "mode=1777,size=\(maxTemporaryByteCount),nr_inodes=\(maxTemporaryFileCount)"
        try attach("tmpfs", at: path, type: "tmpfs", Int(MS_NOSUID | MS_NODEV), options: options)
    }

    /// An empty folder in the place of `path`.
    private static func mountNames(_ path: String) throws(Failure) {
        makeFolders(path)
        let options = "mode=0755,size=\(1 << 20),nr_inodes=\(maxNameCount)"
        try attach("tmpfs", at: path, type: "tmpfs", Int(MS_NOSUID | MS_NODEV), options: options)
    }

    private static func freeze(_ path: String) throws(Failure) {
        try attach("none", at: path, Int(MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV))
    }

    /// The folder behind a descriptor, at `path`.
    private static func show(_ descriptor: Int32, at path: String) throws(Failure) {
        makeFolders(path)
        try attach("/proc/self/fd/\(descriptor)", at: path, Int(MS_BIND | MS_REC))
    }

    private static func mountDevices() throws(Failure) {
        let found = devices.map { ($0, open($0, open_path_flag | O_CLOEXEC)) }.filter { $0.1 >= 0 }
        defer { for (_, descriptor) in found { close(descriptor) } }
        try mountNames("/dev")
        for (path, descriptor) in found {
            close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o666))
            try attach("/proc/self/fd/\(descriptor)", at: path, Int(MS_BIND))
        }
        for (target, path) in links { symlink(target, path) }
        mkdir(sharedMemory, 0o755)
        try mountTemporary(sharedMemory)
        try freeze("/dev")
    }

    /// Makes what is missing of a path; what is there stays.
    private static func makeFolders(_ path: String) {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/" + part
            mkdir(made, 0o755)
        }
    }

    /// The path without symbolic links, as far as it can be had.
    private static func resolved(_ path: String) -> String {
        guard !path.isEmpty, let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }
}
