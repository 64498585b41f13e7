import FunctionProtocol
import MRProtocol
import PeerTestKit
import Testing

@testable import Engines

@Suite("Helper processes that nobody uses", .enabled(if: Available.commands))
struct IdleHelpersTests {
    private let folder: TemporaryFolder
    private let idle = IdleHelpers(maxCount: 2)
    private let command = FunctionReference.command("cat")

    init() throws { folder = try TemporaryFolder() }

    /// The functions of another job, with the same command.
    private func job() throws -> JobFunctions {
        let spec = JobSpec(
            map: command,
            combine: nil,
            reduce: .builtIn("identity"),
            reduceCount: 1,
            recordFormat: .lines,
            inputs: []
        )
        return JobFunctions(
            spec,
            functions: [LoadedFunction(command: "cat")],
            settings: FunctionSettings(spec),
            room: try WorkRoom(under: folder.path),
            idle: idle
        )
    }

    @Test(
        "Beyond the limit the one unused for longest ends, whosever it is, and a later attempt gets a new one"
    )
    func limit() throws {
        let (first, second) = (try job(), try job())
        defer { [first, second].forEach { $0.close() } }
        let helpers = try (0..<3).map { _ in try first.borrow(command) }
        for helper in helpers { first.giveBack(helper) }
        #expect(idle.count == 2)
        #expect(helpers.map(\.isUsable) == [false, true, true])
        second.giveBack(try second.borrow(command))
        #expect(idle.count == 2)
        #expect(helpers.map(\.isUsable) == [false, false, true])
        #expect(try first.borrow(command) === helpers[2])
        let new = try first.borrow(command)
        #expect(new.isUsable)
        #expect(!helpers.contains { $0 === new })
    }

    @Test("A helper goes back to its own job only, and ends with it")
    func owners() throws {
        let (first, second) = (try job(), try job())
        defer { second.close() }
        let mine = try first.borrow(command)
        first.giveBack(mine)
        let other = try second.borrow(command)
        #expect(other !== mine)
        second.giveBack(other)
        first.close()
        #expect(!mine.isUsable)
        #expect(other.isUsable)
        #expect(idle.count == 1)
        #expect(throws: TaskFault.cancelled) { _ = try first.borrow(command) }
    }

    @Test("A helper that comes back after its job has closed ends")
    func lateReturn() throws {
        let job = try job()
        let helper = try job.borrow(command)
        job.close()
        job.giveBack(helper)
        #expect(!helper.isUsable)
        #expect(idle.count == 0)
    }
}
