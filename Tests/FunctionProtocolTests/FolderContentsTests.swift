import FunctionProtocol
import Glibc
import Testing

@Suite("Contents of folders")
struct FolderContentsTests {
    /// A folder that a command may have written to, in one that it may not have.
    private func withFolder(_ body: (_ path: String) throws -> Void) throws {
        var template = Array("/tmp/folder-contents-XXXXXX".utf8CString)
        let around = String(cString: try #require(mkdtemp(&template)))
        let path = around + "/folder"
        #expect(mkdir(path, 0o700) == 0)
        defer { _ = system("chmod -R u+rwx '\(around)'; rm -rf '\(around)'") }
        try body(path)
    }

    private func touch(_ path: String) { close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600)) }

    @Test("names that are no text go as well")
    func names() throws {
        try withFolder { path in
            let name = Array((path + "/").utf8CString.dropLast()) + [-1, -2, 0]
            close(open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0o600))
            #expect(mkdir(Array(name.dropLast()) + [-3, 0], 0o700) == 0)
            #expect(Set(FolderContents.names(in: path)) == [[0xff, 0xfe], [0xff, 0xfe, 0xfd]])
            #expect(FolderContents.remove(in: path) == [])
            #expect(FolderContents.names(in: path) == [])
        }
    }

    @Test("folders that may not be entered, and folders in them, go as well")
    func modes() throws {
        try withFolder { path in
            #expect(mkdir(path + "/d", 0o700) == 0 && mkdir(path + "/d/e", 0o700) == 0)
            touch(path + "/d/e/f")
            #expect(chmod(path + "/d/e", 0) == 0 && chmod(path + "/d", 0) == 0 && chmod(path, 0o500) == 0)
            #expect(FolderContents.removeFolder(path))
            #expect(access(path, F_OK) == -1)
        }
    }

    @Test("no depth is too deep")
    func depth() throws {
        try withFolder { path in
            var folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
            for _ in 0..<3_000 {
                #expect(mkdirat(folder, "folder", 0o700) == 0)
                let inner = openat(folder, "folder", O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                close(folder)
                folder = inner
            }
            close(folder)
            #expect(FolderContents.remove(in: path) == [])
            #expect(FolderContents.names(in: path) == [])
        }
    }

    @Test("a link goes, and what it leads to stays")
    func links() throws {
        try withFolder { path in
            #expect(mkdir(path + "-other", 0o500) == 0)
            touch(path + "-file")
            #expect(symlink(path + "-other", path + "/a") == 0 && symlink(path + "-file", path + "/b") == 0)
            #expect(FolderContents.remove(in: path) == [])
            #expect(access(path + "-file", F_OK) == 0)
            var status = stat()
            #expect(stat(path + "-other", &status) == 0 && status.st_mode & 0o777 == 0o500)
            #expect(symlink(path + "-other", path + "-link") == 0)
            FolderContents.removeFolder(path + "-link")
            #expect(access(path + "-other", F_OK) == 0)
        }
    }

    @Test("names of its own for what it moves are taken when they are free")
    func takenNames() throws {
        try withFolder { path in
            touch(path + "/.removed-1")
            for name in [".removed-2", ".removed-2/x", "d", "d/e", "d/e/f"] {
                #expect(mkdir(path + "/" + name, 0o700) == 0)
            }
            touch(path + "/d/e/f/g")
            #expect(FolderContents.remove(in: path) == [])
            #expect(FolderContents.names(in: path) == [])
        }
    }

    @Test("what is to stay stays, and what is moved away is there")
    func exceptions() throws {
        try withFolder { path in
            for name in ["kept", "kept/x", "gone"] { #expect(mkdir(path + "/" + name, 0o700) == 0) }
            #expect(FolderContents.remove(in: path, except: [Array("kept".utf8)]) == [])
            #expect(FolderContents.names(in: path + "/kept") == [Array("x".utf8)])
            #expect(mkdir(path + "-other", 0o700) == 0)
            #expect(FolderContents.moveAway([Array("kept".utf8)], from: path, to: path + "-other"))
            #expect(FolderContents.names(in: path) == [])
            #expect(FolderContents.names(in: path + "-other").count == 1)
        }
    }
}
