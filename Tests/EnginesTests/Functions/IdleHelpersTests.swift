import FunctionProtocol
import Glibc
import MRProtocol
import Multiformats
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

    @Test(
        "Functions that others have taken the place of serve the attempts that have begun, and keep no helper"
    )
    func retired() throws {
        let job = try job()
        defer { job.close() }
        let helper = try job.borrow(command)
        job.retire()
        let another = try job.borrow(command)
        #expect(helper.isUsable && another.isUsable)
        for helper in [helper, another] { job.giveBack(helper) }
        #expect(!helper.isUsable && !another.isUsable)
        #expect(idle.count == 0)
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

@Suite("Helper processes that have checked a function", .enabled(if: Available.javaScript))
struct CheckedHelpersTests {
    private static let script = Array("function map(key, value, emit) { emit(value); }".utf8)

    private let idle = IdleHelpers()
    private let function = LoadedFunction(
        file: .file(CID.of(script, codec: .raw)),
        bytes: script
    )

    /// A job that maps with the function.
    private func job(isForeign: Bool = false, limits: TaskLimits = TaskLimits()) -> JobFunctions {
        var spec = JobSpec(
            map: function.reference,
            combine: nil,
            reduce: .builtIn("identity"),
            reduceCount: 1,
            recordFormat: .lines,
            inputs: []
        )
        spec.limits = limits
        return JobFunctions(
            spec,
            functions: [function],
            settings: FunctionSettings(spec),
            terms: SandboxTerms(isForeign: isForeign),
            idle: idle
        )
    }

    private func check() throws -> FunctionHelper {
        _ = try JobFunctions.readiness(of: function, idle: idle)
        let helper = try #require(
            idle.takeChecked(function.reference, memoryByteLimit: FunctionLimits().memoryByteCount)
        )
        idle.keepChecked(helper)
        return helper
    }

    @Test(
        "The process goes to the next job of the own user that names the function, and belongs to that job then"
    )
    func handedOver() throws {
        let checked = try check()
        let (first, second) = (job(), job())
        defer { [first, second].forEach { $0.close() } }
        try first.check()
        #expect(try first.borrow(function.reference) === checked)
        first.giveBack(checked)
        #expect(try second.borrow(function.reference) !== checked)
        first.close()
        #expect(!checked.isUsable)
    }

    @Test("One that has died is made good by another")
    func died() throws {
        let checked = try check()
        #expect(kill(checked.identifier, SIGKILL) == 0)
        let job = job()
        defer { job.close() }
        let helper = try job.borrow(function.reference)
        #expect(helper !== checked && helper.isUsable)
        #expect(idle.count == 0)
    }

    @Test("Few of them are kept, and the helpers of jobs stay")
    func few() throws {
        let job = job()
        defer { job.close() }
        let working = try job.borrow(function.reference)
        job.giveBack(working)
        for _ in 0..<IdleHelpers.maxCheckedCount + 2 { _ = try check() }
        #expect(idle.count == IdleHelpers.maxCheckedCount + 1)
        #expect(working.isUsable)
        idle.endChecked()
        #expect(idle.count == 1 && working.isUsable)
    }

    @Test("It goes to no other node's job, and to none with another limit on memory")
    func notHandedOver() throws {
        let checked = try check()
        var limits = TaskLimits()
        limits.memoryByteCount = 64 << 20
        for other in [job(isForeign: true), job(limits: limits)] {
            #expect(try other.borrow(function.reference) !== checked)
            other.close()
        }
        #expect(idle.count == 1 && checked.isUsable)
    }

    @Test("One that no job wants ends after a while")
    func unwanted() throws {
        let checked = try check()
        idle.endUnwanted(now: .now)
        #expect(checked.isUsable && idle.count == 1)
        idle.endUnwanted(now: .now + IdleHelpers.checkedPatience)
        #expect(!checked.isUsable && idle.count == 0)
    }

    @Test(
        "A process that was started ahead is the one that gets the function, if it is of its kind and has its memory"
    )
    func startedAhead() throws {
        let limit = FunctionLimits().memoryByteCount
        idle.spares.start(.webAssembly, memoryByteLimit: limit)
        idle.spares.start(.javaScript, memoryByteLimit: limit / 2)
        idle.spares.start(.javaScript, memoryByteLimit: limit)
        idle.spares.start(.javaScript, memoryByteLimit: limit)
        #expect(idle.spares.count == SpareProcesses.maxCount)
        let job = job(isForeign: true)
        defer { job.close() }
        let helper = try job.borrow(function.reference)
        #expect(helper.isUsable && idle.spares.count == SpareProcesses.maxCount - 1)
        #expect(idle.spares.take(.javaScript, memoryByteLimit: limit) === nil)
        idle.endUnwanted()
        #expect(idle.spares.count == SpareProcesses.maxCount - 1)
        idle.endUnwanted(now: .now + IdleHelpers.checkedPatience)
        #expect(idle.spares.count == 0)
    }
}
