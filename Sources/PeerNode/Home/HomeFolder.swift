internal import CLinux
internal import Glibc

/// The folder of one node: its blocks, jobs, identity, settings, socket and lock.
public struct HomeFolder: Hashable, Sendable {
    /// Absolute path.
    public let path: String

    /// Names a home; nothing is touched.
    ///
    /// - Parameter path: relative paths count from the working directory; `nil`: `$PEERNODE_HOME`, else `~/.peernode`.
    public init(path: String?) {
        let chosen = path ?? HomeFolder.environment("PEERNODE_HOME") ?? HomeFolder.userFolder + "/.peernode"
        self.path = HomeFolder.absolute(chosen)
    }

    /// Refuses an empty name, as an unset variable gives it: it would mean the working directory.
    package static func check(_ path: String?) throws(UsageError) {
        if path == "" { throw UsageError("--home is empty; it names the node's folder") }
    }

    /// The block store.
    public var blockDatabase: String { path + "/blocks.db" }
    /// Jobs and remembered outputs.
    public var jobDatabase: String { path + "/jobs.db" }
    /// Signed records of other nodes.
    public var peerDatabase: String { path + "/peers.db" }
    /// Where the daemon serves the control API.
    public var socket: String { path + "/api.sock" }
    /// The Ed25519 seed of the node's identity.
    public var identityKey: String { path + "/identity.key" }
    /// Settings of the daemon.
    public var configuration: String { path + "/config.toml" }
    /// Who may have this node run what.
    public var policy: String { path + "/policy.json" }
    /// Working folders of commands; empty while none runs.
    public var workFolder: String { path + "/work" }
    /// Held while a process has the home open.
    public var lock: String { path + "/lock" }

    /// Makes the folder, and those above it, with mode 0700.
    ///
    /// - Throws: `NodeError` with code `file`.
    public func create() throws(NodeError) {
        var made = ""
        for part in path.split(separator: "/") {
            made += "/" + part
            if mkdir(made, 0o700) == 0 || errno == EEXIST || errno == EISDIR { continue }
            if access(made, F_OK) == 0 { continue }
            throw NodeError(.file, "cannot make the home \(path): \(String(cString: strerror(errno)))")
        }
        var status = stat()
        guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFDIR else {
            throw NodeError(.file, "the home \(path) is not a folder; name another with --home")
        }
    }

    private static func environment(_ name: String) -> String? {
        guard let value = getenv(name), value.pointee != 0 else { return nil }
        return String(cString: value)
    }

    private static var userFolder: String {
        if let home = environment("HOME") { return home }
        guard let entry = getpwuid(getuid()), let folder = entry.pointee.pw_dir else { return "" }
        return String(cString: folder)
    }

    private static func absolute(_ path: String) -> String {
        var full = path
        if !path.hasPrefix("/"), let folder = getcwd(nil, 0) {
            full = String(cString: folder) + "/" + path
            free(folder)
        }
        while full.count > 1, full.hasSuffix("/") { full.removeLast() }
        return full
    }
}

/// A claim on a home, given up when the object goes away or the process ends.
///
/// The daemon claims a home for itself; commands that work embedded share it, SQLite keeping them apart. So neither
/// runs beside a daemon.
public final class HomeLock: Sendable {
    /// How a home is claimed.
    public enum Mode: Sendable {
        case shared
        case exclusive
    }

    private let descriptor: Int32

    private init(descriptor: Int32) { self.descriptor = descriptor }

    deinit { close(descriptor) }

    /// Claims a home without waiting.
    ///
    /// - Returns: `nil` when another process has a claim that excludes this one.
    /// - Throws: `NodeError` with code `file` when the lock file cannot be opened.
    public static func claim(_ home: HomeFolder, _ mode: Mode) throws(NodeError) -> HomeLock? {
        let descriptor = open(home.lock, O_RDWR | O_CREAT | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw NodeError(.file, "cannot open \(home.lock): \(String(cString: strerror(errno)))")
        }
        guard flock(descriptor, (mode == .shared ? LOCK_SH : LOCK_EX) | LOCK_NB) == 0 else {
            close(descriptor)
            return nil
        }
        return HomeLock(descriptor: descriptor)
    }

    /// Writes this process's id into the lock file, for the error that a second daemon gives.
    public func writeProcessID() {
        let text = "\(getpid())\n"
        ftruncate(descriptor, 0)
        _ = text.withCString { pwrite(descriptor, $0, strlen($0), 0) }
    }

    /// The process id that the holder wrote, if it did.
    public static func holder(of home: HomeFolder) -> Int? {
        let descriptor = open(home.lock, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        defer { close(descriptor) }
        var bytes = [UInt8](repeating: 0, count: 32)
        let count = read(descriptor, &bytes, bytes.count)
        return Int(String(decoding: bytes.prefix(max(count, 0)).prefix { $0 != 10 }, as: UTF8.self))
    }
}
