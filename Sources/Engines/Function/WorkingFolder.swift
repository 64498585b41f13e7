import FunctionProtocol
import Glibc
import MRProtocol

/// A folder in which the commands of one helper run: empty but for the job's files, and removed in the end.
///
/// The files are links to one copy per job and must not be written to; they can be executed.
final class WorkingFolder {
    let path: String
    private let room: WorkRoom
    private let files: [String]
    private let source: String?

    /// Makes a folder in `room`, with links to the files named in the folder `source`.
    ///
    /// - Throws: `TaskFault.store` when the disk refuses.
    init(in room: WorkRoom, files: [String], from source: String?) throws(TaskFault) {
        var template = Array((room.path + "/work-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw .store("no working folder can be made in \(room.path): \(String(cString: strerror(errno)))")
        }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        self.room = room
        self.files = files
        self.source = source
        try linkFiles()
    }

    deinit { FolderContents.removeFolder(path) }

    /// Removes what an attempt left behind, so that the next one does not see it.
    ///
    /// - Returns: what the attempt's log should say; `nil`: nothing.
    /// - Throws: `TaskFault.store` when something would be left to see.
    func empty() throws(TaskFault) -> String? {
        let left = FolderContents.remove(in: path)
        // A file that cannot be linked again is missed by the command, which says so.
        defer { try? linkFiles() }
        guard !left.isEmpty else { return nil }
        guard FolderContents.moveAway(left, from: path, to: room.path) else {
            throw .store("what a command left in \(path) can be neither removed nor moved")
        }
        return
            "\(left.count) files of an earlier attempt could not be removed and were moved to \(room.path)\n"
    }

    private func linkFiles() throws(TaskFault) {
        guard let source else { return }
        for name in files where link("\(source)/\(name)", "\(path)/\(name)") != 0 && errno != EEXIST {
            throw .store("\(name) cannot be put into \(path): \(String(cString: strerror(errno)))")
        }
    }
}
