import CLinux
import FunctionProtocol
import Glibc
package import MRProtocol

/// A folder in which one process keeps what its commands work on; removed when nobody uses it any more.
///
/// It is locked as long as the process lives, so that others can tell what a process that was killed has left.
package final class WorkRoom: Sendable {
    /// What names of such folders begin with where all of them belong to one node.
    package static let usualPrefix = "process-"

    package let path: String
    private let descriptor: Int32

    /// Makes a folder under `parent`, which is made when it is missing, and removes those of dead processes.
    ///
    /// - Parameters:
    ///   - parent: the folder around it.
    ///   - prefix: what the names of all such folders there begin with.
    /// - Throws: `TaskFault.store` when the disk refuses.
    package init(under parent: String, prefix: String = usualPrefix) throws(TaskFault) {
        guard mkdir(parent, 0o700) == 0 || errno == EEXIST else {
            throw .store("the folder \(parent) cannot be made: \(String(cString: strerror(errno)))")
        }
        WorkRoom.removeAbandoned(in: parent, prefix)
        while true {
            var template = Array((parent + "/" + prefix + "XXXXXX").utf8CString)
            guard mkdtemp(&template) != nil else {
                throw .store("no folder can be made in \(parent): \(String(cString: strerror(errno)))")
            }
            let path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
            if let descriptor = WorkRoom.lock(path, waits: true) {
                self.path = path
                self.descriptor = descriptor
                return
            }
            // Another process took it for a dead one's before it was locked.
        }
    }

    deinit {
        FolderContents.removeFolder(path)
        close(descriptor)
    }

    /// Removes what processes of this user left in `parent` that are dead.
    private static func removeAbandoned(in parent: String, _ prefix: String) {
        for name in FolderContents.names(in: parent) {
            let name = String(decoding: name, as: UTF8.self)
            guard name.hasPrefix(prefix), let descriptor = lock("\(parent)/\(name)", waits: false) else {
                continue
            }
            FolderContents.removeFolder("\(parent)/\(name)")
            close(descriptor)
        }
    }

    /// Locks a folder; `nil` when another process holds it, it is another user's, or it is not there any more.
    private static func lock(_ path: String, waits: Bool) -> Int32? {
        let descriptor = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard descriptor >= 0 else { return nil }
        var (held, named) = (stat(), stat())
        guard flock(descriptor, waits ? LOCK_EX : LOCK_EX | LOCK_NB) == 0, fstat(descriptor, &held) == 0,
            stat(path, &named) == 0, held.st_ino == named.st_ino, held.st_dev == named.st_dev,
            held.st_uid == geteuid()
        else {
            close(descriptor)
            return nil
        }
        return descriptor
    }
}
