import Glibc

/// What lies in a folder that a program of unknown intent has written to.
///
/// Names are bytes, of any encoding. No symbolic link is followed.
package enum FolderContents {
    /// What a folder that is on its way out is called until it is gone, before a number.
    private static let removedPrefix = ".removed-"

    /// The names in a folder; none when it cannot be read.
    package static func names(in path: String) -> [[UInt8]] {
        let folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard folder >= 0 else { return [] }
        defer { close(folder) }
        return names(in: folder)
    }

    /// Removes all that is in a folder, whatever its depth and its modes.
    ///
    /// Nobody else may be changing it. Folders within are first moved to the top, so that at most three descriptors are
    /// open and no path grows long.
    ///
    /// - Parameters:
    ///   - path: the folder, which stays.
    ///   - kept: names in it that stay, with all that they hold.
    /// - Returns: names in it that could not be removed.
    @discardableResult
    package static func remove(in path: String, except kept: Set<[UInt8]> = []) -> [[UInt8]] {
        guard let top = openFolder(AT_FDCWD, Array(path.utf8)) else { return [] }
        defer { close(top) }
        var moved = 0
        var left: [[UInt8]] = []
        var waiting = names(in: top).filter { !kept.contains($0) }
        while let name = waiting.popLast() {
            if unlink(top, name) { continue }
            guard let folder = openFolder(top, name) else {
                left.append(name)
                continue
            }
            defer { close(folder) }
            for inner in names(in: folder) where !unlink(folder, inner) {
                if let outer = move(inner, from: folder, to: top, &moved) { waiting.append(outer) }
            }
            if !unlink(top, name) { left.append(name) }
        }
        return left
    }

    /// Removes a folder with all that is in it.
    ///
    /// - Returns: `false` when something is left of it.
    @discardableResult
    package static func removeFolder(_ path: String) -> Bool {
        remove(in: path)
        return rmdir(path) == 0 || errno == ENOENT
    }

    /// Moves what is in a folder into another of the same file system, under names of their own.
    ///
    /// - Returns: `false` when not all could be moved.
    package static func moveAway(_ names: [[UInt8]], from path: String, to other: String) -> Bool {
        guard let source = openFolder(AT_FDCWD, Array(path.utf8)) else { return false }
        defer { close(source) }
        guard let target = openFolder(AT_FDCWD, Array(other.utf8)) else { return false }
        defer { close(target) }
        var moved = 0
        return names.allSatisfy { move($0, from: source, to: target, &moved) != nil }
    }
}

// MARK: - Relative to descriptors

extension FolderContents {
    /// The name as calls of the system take it.
    private static func text(_ name: [UInt8]) -> [CChar] { name.map(CChar.init(bitPattern:)) + [0] }

    private static func names(in folder: Int32) -> [[UInt8]] {
        // Of its own, for it closes what it is given.
        let copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard copy >= 0 else { return [] }
        guard let stream = fdopendir(copy) else {
            close(copy)
            return []
        }
        defer { closedir(stream) }
        var names: [[UInt8]] = []
        while let entry = readdir(stream) {
            let name = withUnsafeBytes(of: &entry.pointee.d_name) { Array($0.prefix { $0 != 0 }) }
            if name != [0x2e], name != [0x2e, 0x2e] { names.append(name) }
        }
        return names
    }

    /// Removes a file, or a folder that is empty; also `true` when there is none.
    private static func unlink(_ folder: Int32, _ name: [UInt8]) -> Bool {
        let name = text(name)
        return unlinkat(folder, name, 0) == 0 || unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT
    }

    /// Opens a folder, and no link to one, with all rights for its owner.
    private static func openFolder(_ parent: Int32, _ name: [UInt8]) -> Int32? {
        let handle = openat(parent, text(name), pathFlag | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
        guard handle >= 0 else { return nil }
        defer { close(handle) }
        // fchmod does not take such a descriptor; its name in /proc is the folder and no other.
        var status = stat()
        if fstat(handle, &status) == 0, status.st_mode & 0o700 != 0o700 {
            chmod("/proc/self/fd/\(handle)", 0o700)
        }
        let folder = openat(handle, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        return folder >= 0 ? folder : nil
    }

    /// Moves a folder to the top under a name that is free; returns the name.
    private static func move(_ name: [UInt8], from folder: Int32, to top: Int32, _ moved: inout Int)
        -> [UInt8]?
    {
        // Moving a folder changes its `..`, for which it must be writable.
        if let inner = openFolder(folder, name) { close(inner) }
        while true {
            moved += 1
            let fresh = Array("\(removedPrefix)\(moved)".utf8)
            if renameat(folder, text(name), top, text(fresh)) == 0 { return fresh }
            guard [EEXIST, ENOTEMPTY, ENOTDIR, EISDIR].contains(errno) else { return nil }
        }
    }

    /// O_PATH, which glibc shows only under _GNU_SOURCE.
    private static let pathFlag: Int32 = 0o10000000
}
