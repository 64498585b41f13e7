import Engines
import FunctionProtocol
import Glibc
import MRProtocol
import Testing

@Suite("Folders of commands, by process")
struct WorkRoomTests {
    @Test("what a dead process left is removed by the next, and what a living one uses is not")
    func abandoned() throws {
        let folder = try TemporaryFolder()
        let dead = folder.path + "/" + WorkRoom.usualPrefix + "dead"
        #expect(mkdir(dead, 0o700) == 0 && mkdir(dead + "/work-1", 0o700) == 0)
        let first = try WorkRoom(under: folder.path)
        #expect(access(dead, F_OK) == -1)
        let second = try WorkRoom(under: folder.path)
        #expect(access(first.path, F_OK) == 0 && first.path != second.path)
    }

    @Test("it goes with who uses it")
    func given() throws {
        let folder = try TemporaryFolder()
        do {
            let room = try WorkRoom(under: folder.path + "/work")
            #expect(mkdir(room.path + "/work-1", 0) == 0)
        }
        #expect(FolderContents.names(in: folder.path + "/work") == [])
    }
}

@Suite("A sandbox that is not whole", .enabled(if: Available.commands))
struct SandboxTermsTests {
    @Test("a function is refused by what its own process lacks")
    func refusal() throws {
        let command = FunctionReference.command("cat")
        let spec = JobSpec(
            map: command,
            combine: nil,
            reduce: .builtIn("count"),
            reduceCount: 1,
            recordFormat: .lines,
            inputs: []
        )
        let folder = try TemporaryFolder()
        let functions = JobFunctions(
            spec,
            functions: [LoadedFunction(command: "cat")],
            settings: FunctionSettings(spec),
            terms: SandboxTerms(isForeign: true) { engine, _ in engine == .command ? "it lacks a wall" : nil
            },
            room: try WorkRoom(under: folder.path)
        )
        defer { functions.close() }
        #expect {
            try functions.check()
        } throws: { error in
            guard case TaskFault.userFunction(let failure) = error else { return false }
            return failure.kind == .sandbox && failure.message == "it lacks a wall"
        }
    }
}
