import BlockStore
import Engines
import MRProtocol
import Multiformats
import Synchronization
import Testing

@testable import PeerNode

@Suite("Jobs over a real store")
struct JobServiceTests {
    private static let pipeline =
        "tr -s '[:space:]' '\\n' | grep . | sort | uniq -c | awk '{print $2 \"\\t\" $1}'"

    @Test(arguments: [(0, 1), (1_000, 1), (300_000, 4), (3_000_000, 7)])
    func wordCountEqualsCoreutils(byteCount: Int, reduces: Int) async throws {
        let harness = try JobHarness()
        let text = randomText(byteCount: byteCount, seed: 1)
        let status = try await harness.run(harness.wordCount(try harness.add(text), reduces: reduces))
        #expect(status.state == .succeeded, "\(status.failure?.message ?? "")")
        let lines = try harness.lines(of: try #require(status.result))
        #expect(lines == (try harness.shell(JobServiceTests.pipeline, text)))
        #expect(status.map.done == max(1, (byteCount + 262_143) / 262_144))
        #expect(status.reduce.done == reduces)
    }

    @Test func resultDoesNotDependOnSlotsMemoryOrRemembering() async throws {
        let harness = try JobHarness()
        let spec = harness.wordCount(try harness.add(randomText(byteCount: 5_000_000, seed: 2)))
        var results: Set<CID> = []
        for (slots, memory, remembers) in [
            (1, 64 << 20, false), (2, 64 << 20, false), (4, 1 << 20, false), (2, 64 << 20, true),
            (2, 64 << 20, true),
        ] {
            let configuration = harness.configuration(slots: slots, memory: memory)
            let status = try await harness.run(spec, configuration, remembers: remembers)
            results.insert(try #require(status.result))
        }
        #expect(results.count == 1)
    }

    @Test func sameJobAgainRunsNothing() async throws {
        let harness = try JobHarness()
        let spec = harness.wordCount(try harness.add(randomText(byteCount: 1_500_000, seed: 3)))
        let first = try await harness.run(spec)
        let second = try await harness.run(spec)
        #expect(first.map.executed == 6)
        #expect(second.map.executed == 0)
        #expect(second.reduce.executed == 0)
        #expect(second.result == first.result)
        #expect(second.counters == first.counters)
        let third = try await harness.run(spec, remembers: false)
        #expect(third.map.executed == 6)
    }

    @Test func appendMapsOnlyTheTail() async throws {
        let harness = try JobHarness()
        var text = randomText(byteCount: 40 * 262_144 + 1_000, seed: 4)
        let before = try await harness.run(harness.wordCount(try harness.add(text, name: "a"), reduces: 1))
        #expect(before.map.executed == 41)
        text += randomText(byteCount: 300_000, seed: 5)
        let spec = harness.wordCount(try harness.add(text, name: "b"), reduces: 1)
        let after = try await harness.run(spec)
        #expect(after.map.total == 42)
        #expect(after.map.executed <= 4, "\(after.map)")
        let fresh = try await harness.run(spec, remembers: false)
        #expect(after.result == fresh.result)
        #expect(after.counters.inputRecords == fresh.counters.inputRecords)
    }

    @Test func anotherArgumentIsAnotherKey() async throws {
        let harness = try JobHarness()
        let root = try harness.add(randomText(byteCount: 1_000_000, seed: 6))
        let first = try await harness.run(harness.wordCount(root, reduces: 2))
        let second = try await harness.run(harness.wordCount(root, reduces: 3))
        #expect(first.map.executed == 4)
        #expect(second.map.executed == 4)
    }

    @Test func missingBlockFailsWithItsNameAndPlace() async throws {
        let harness = try JobHarness()
        let root = try harness.add(randomText(byteCount: 1_000_000, seed: 7))
        var leaves = try harness.store.leaves(of: root)
        _ = try leaves.next()
        let lost = try #require(try leaves.next())
        _ = try harness.store.unpin("input")
        try harness.store.remove(lost.cid)
        let status = try await harness.run(harness.wordCount(root))
        #expect(status.state == .failed)
        #expect(status.result == nil)
        #expect(status.failure?.code == "blockUnavailable")
        #expect(status.failure?.message.contains("\(lost.cid)") == true)
        #expect(status.failure?.message.contains("262144") == true)
        // Failures are not remembered: with the block back the job succeeds.
        _ = try harness.add(randomText(byteCount: 1_000_000, seed: 7))
        #expect(try await harness.run(harness.wordCount(root)).state == .succeeded)
    }

    @Test func inputsStayWhileTheJobRunsAlthoughUnpinned() async throws {
        let harness = try JobHarness()
        let text = randomText(byteCount: 2_000_000, seed: 8)
        let root = try harness.add(text)
        let store = harness.store
        // Unpins and collects when the first attempt is about to start: the job has read only inner nodes until then.
        let engines = InterruptedEngines {
            _ = try? store.unpin("input")
            _ = try? store.collectGarbage()
        }
        let status = try await harness.run(harness.wordCount(root), engines: engines)
        #expect(status.state == .succeeded, "\(status.failure?.message ?? "")")
        #expect(engines.interruptionCount == 1)
        let lines = try harness.lines(of: try #require(status.result))
        #expect(lines == (try harness.shell(JobServiceTests.pipeline, text)))
        // The lease went with the job.
        #expect(try store.contains(root.multihash))
        try store.collectGarbage()
        #expect(try !store.contains(root.multihash))
    }

    @Test func unknownRootFails() async throws {
        let harness = try JobHarness()
        let root = CID.of([1, 2, 3], codec: .raw)
        let status = try await harness.run(harness.wordCount(root))
        #expect(status.state == .failed)
        #expect(status.failure?.code == "blockUnavailable")
    }

    @Test func wrongJobsAreRefused() async throws {
        let harness = try JobHarness()
        let root = try harness.add([65])
        let service = JobService(store: harness.store, configuration: harness.configuration())
        for change: (inout JobSpec) -> Void in [
            { $0.reduceCount = 0 }, { $0.reduceCount = 65_537 }, { $0.map = .builtIn("nothing") },
            { $0.inputs = [] },
        ] {
            var spec = harness.wordCount(root)
            change(&spec)
            let submission = JobSubmission(spec: spec)
            await #expect { try await service.submit(submission) } throws: { error in
                (error as? JobServiceError)?.code == .invalidJob
            }
        }
    }

    @Test func jobsAreListedAfterARestart() async throws {
        let harness = try JobHarness()
        let spec = harness.wordCount(try harness.add([65, 10]))
        let status = try await harness.run(spec)
        let service = JobService(store: harness.store, configuration: harness.configuration())
        #expect(try await service.jobs() == [status])
        #expect(try await service.status(of: status.id) == status)
        #expect(try await service.log(of: status.id).isEmpty == false)
        await #expect { _ = try await service.status(of: JobID("none")) } throws: { error in
            (error as? JobServiceError)?.code == .unknownJob
        }
    }

    @Test func stoppedDaemonResumesItsJobs() async throws {
        let harness = try JobHarness()
        let spec = harness.wordCount(try harness.add(randomText(byteCount: 2_000_000, seed: 8)))
        let expected = try await harness.run(spec, remembers: false)
        let first = JobService(store: harness.store, configuration: harness.configuration(resumes: true))
        // Accepted, and the process ends before anything ran.
        let id = try await first.submit(JobSubmission(spec: spec))
        await first.stop()
        let second = JobService(store: harness.store, configuration: harness.configuration(resumes: true))
        let status = try await harness.withRunning(second) { service in
            for await status in try await service.updates(of: id) where status.state.isFinal { return status }
            return try await service.status(of: id)
        }
        #expect(status.state == .succeeded)
        #expect(status.result == expected.result)
    }

    @Test("A job that a daemon left is cancelled for good by a process that runs no jobs")
    func cancelsWhatADaemonLeft() async throws {
        let harness = try JobHarness()
        let spec = harness.wordCount(try harness.add(randomText(byteCount: 1_000, seed: 8)))
        let daemon = JobService(store: harness.store, configuration: harness.configuration(resumes: true))
        let id = try await daemon.submit(JobSubmission(spec: spec))
        await daemon.stop()
        let command = JobService(store: harness.store, configuration: harness.configuration())
        try await command.cancel(id)
        #expect(try await command.status(of: id).state == .cancelled)
        #expect(try await command.log(of: id).last?.message == "cancelled")
        let error = await #expect(throws: JobServiceError.self) { try await command.cancel(id) }
        #expect(error?.code == .jobEnded)
        let next = JobService(store: harness.store, configuration: harness.configuration(resumes: true))
        let state = try await harness.withRunning(next) { try await $0.end(of: id).state }
        #expect(state == .cancelled)
    }

    @Test func manyJobsAtOnceDoNotMix() async throws {
        let harness = try JobHarness()
        let texts = (0..<8).map { randomText(byteCount: 400_000, seed: 100 + UInt64($0)) }
        let specs = try texts.enumerated().map {
            harness.wordCount(try harness.add($0.element, name: "\($0.offset)"))
        }
        let service = JobService(store: harness.store, configuration: harness.configuration())
        let statuses = try await harness.withRunning(service) { service in
            var ids: [JobID] = []
            for spec in specs { ids.append(try await service.submit(JobSubmission(spec: spec))) }
            var statuses: [JobStatus] = []
            for id in ids { statuses.append(try await service.end(of: id)) }
            return statuses
        }
        for (text, status) in zip(texts, statuses) {
            #expect(
                try harness.lines(of: try #require(status.result))
                    == harness.shell(JobServiceTests.pipeline, text)
            )
        }
    }

    @Test func cancelledJobLeavesNoResult() async throws {
        let harness = try JobHarness()
        let spec = harness.wordCount(try harness.add(randomText(byteCount: 4_000_000, seed: 9)))
        let service = JobService(store: harness.store, configuration: harness.configuration())
        let status = try await harness.withRunning(service) { service in
            let id = try await service.submit(JobSubmission(spec: spec))
            try await service.cancel(id)
            return try await service.status(of: id)
        }
        #expect(status.state == .cancelled)
        #expect(status.result == nil)
        #expect(try harness.store.pins().map(\.name).filter { $0.hasPrefix("result/") }.isEmpty)
        #expect(try harness.store.verify(progress: { _ in }).corrupt.isEmpty)
    }
}

/// The engines of this program, which do something else before the first attempt.
private final class InterruptedEngines: JobEngines {
    private let inner = StandardEngines()
    private let interruption: @Sendable () -> Void
    private let makeCount = Mutex(0)

    /// How often it was done.
    var interruptionCount: Int { makeCount.withLock { $0 > 1 ? 1 : 0 } }

    init(_ interruption: @escaping @Sendable () -> Void) { self.interruption = interruption }

    var version: String { inner.version }

    func usesPosition(_ spec: JobSpec) -> Bool { inner.usesPosition(spec) }

    func make(_ spec: JobSpec, functions: JobFunctions?) throws(TaskFault) -> any JobEngine {
        // The first one is made when the job is submitted, to check its arguments.
        makeCount.withLock { count in
            count += 1
            if count == 2 { interruption() }
        }
        return try inner.make(spec, functions: functions)
    }
}
