import Glibc
package import MRProtocol

/// A folder in which the commands of one helper run: empty but for the job's files, and removed in the end.
///
/// The files are links to one copy per job and must not be written to; they can be executed.
package final class WorkingFolder {
    package let path: String
    private let files: [String]
    private let source: String?

    /// Deepest folder that a command's leftovers are followed into.
    private static let maxDepth = 64

    /// Makes a folder under `parent`, with links to the files named in the folder `source`.
    ///
    /// - Throws: `TaskFault.store` when the disk refuses.
    package init(under parent: String, files: [String], from source: String?) throws(TaskFault) {
        var template = Array((parent + "/work-XXXXXX").utf8CString)
        guard mkdtemp(&template) != nil else {
            throw .store("no working folder can be made in \(parent): \(String(cString: strerror(errno)))")
        }
        path = String(decoding: template.dropLast().map(UInt8.init(bitPattern:)), as: UTF8.self)
        self.files = files
        self.source = source
        try linkFiles()
    }

    deinit { WorkingFolder.remove(path) }

    /// Removes what an attempt left behind, so that the next one does not see it.
    func empty() {
        WorkingFolder.removeContents(of: path, depth: 0)
        // A file that cannot be linked again is missed by the command, which says so.
        try? linkFiles()
    }

    private func linkFiles() throws(TaskFault) {
        guard let source else { return }
        for name in files where link("\(source)/\(name)", "\(path)/\(name)") != 0 && errno != EEXIST {
            throw .store("\(name) cannot be put into \(path): \(String(cString: strerror(errno)))")
        }
    }

    /// Removes a folder with all that is in it; never follows a link.
    package static func remove(_ path: String) {
        removeContents(of: path, depth: 0)
        rmdir(path)
    }

    private static func removeContents(of path: String, depth: Int) {
        guard depth < maxDepth, let folder = opendir(path) else { return }
        defer { closedir(folder) }
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name == "." || name == ".." { continue }
            let child = "\(path)/\(name)"
            if unlink(child) == 0 { continue }
            removeContents(of: child, depth: depth + 1)
            rmdir(child)
        }
    }
}
