import BlockStore
import Engines
import MRProtocol
import Multiformats
import PeerCrypto
import Synchronization
import Testing

@testable import PeerNode

@Suite("Progress of jobs", .timeLimit(.minutes(1)))
struct JobProgressTests {
    private static let spec = JobSpec(
        map: .builtIn("wc"),
        combine: .builtIn("sum"),
        reduce: .builtIn("sum"),
        reduceCount: 4,
        recordFormat: .words,
        inputs: []
    )

    /// A running job whose maps are done.
    private func status(done: Int = 0, remembered: Int = 0, read: UInt64 = 0, of total: UInt64 = 1_000)
        -> JobStatus
    {
        var status = JobStatus(id: JobID("job"), name: "", spec: Self.spec, specCID: Self.spec.cid)
        (status.state, status.phase) = (.running, .reduce)
        (status.map.total, status.map.done) = (8, 8)
        (status.reduce.total, status.reduce.done, status.reduce.remembered) = (4, done, remembered)
        (status.reduceInputByteCount, status.reducedByteCount) = (total, read)
        status.timings = [PhaseTiming(phase: .map, seconds: 100), PhaseTiming(phase: .reduce, seconds: 6)]
        return status
    }

    @Test("Reduces count by the bytes that they read")
    func fraction() {
        #expect(status().fractionDone == 0.8)
        #expect(status(read: 250).fractionDone == 0.8 + 0.2 * 0.25)
        // A partition may have most of the bytes.
        #expect(status(done: 3, read: 100).fractionDone == 0.8 + 0.2 * 0.1)
        #expect(status(done: 2, remembered: 2, read: 250).fractionDone == 0.8 + 0.2 * 0.75)
        #expect(status(done: 2, remembered: 1, read: .max).fractionDone == 1)
        #expect(status(done: 4, read: 900).fractionDone == 1)
        // Nothing is known of the runs before the first reduce starts.
        #expect(status(done: 1, remembered: 1, of: 0).fractionDone == 0.8 + 0.2 * 0.25)
    }

    @Test("The time left goes by the pace of the reduces")
    func secondsLeft() {
        func left(_ status: JobStatus) -> Double? { JobService.secondsLeft(status, bytesRead: 0) }
        #expect(left(status()) == nil)
        #expect(left(status(read: 250)) == 18)
        #expect(left(status(done: 1, read: 750)) == 2)
        // What was remembered says nothing of the pace.
        #expect(left(status(done: 2, remembered: 2)) == nil)
        #expect(left(status(done: 2, remembered: 2, read: 250)) == 6)
        var short = status(read: 250)
        short.timings[1].seconds = JobService.minPaceSeconds
        #expect(left(short) == nil)
    }

    @Test("Of several attempts at a partition the furthest counts, and sums do not overflow")
    func furthest() {
        #expect(JobService.furthest([]) == 0)
        #expect(JobService.furthest([(0, 5), (1, 7), (0, 9), (0, 1)]) == 16)
        #expect(JobService.furthest([(0, .max), (1, .max)]) == .max)
    }

    /// Follows a job until `condition` holds.
    private func follow(
        _ id: JobID,
        _ service: JobService,
        until condition: (JobStatus) -> Bool
    ) async throws -> [JobStatus] {
        var seen: [JobStatus] = []
        for await status in try await service.updates(of: id) {
            seen.append(status)
            if condition(status) { return seen }
        }
        Issue.record("the job ended: \(seen.last?.failure?.message ?? "")")
        return seen
    }

    @Test("Fraction and time left move within a reduce, and what a failed attempt read no longer counts")
    func local() async throws {
        let harness = try JobHarness()
        let spec = harness.wordCount(try harness.add(randomText(byteCount: 300_000, seed: 1)), reduces: 1)
        let latch = ThreadLatch()
        let engines = StagedEngines { (_, attempt, tell) throws(TaskFault) in
            tell(attempt == 1 ? 5_000 : 1_000)
            if attempt == 1 { throw .store("the first attempt fails") }
            try? latch.wait()
        }
        let service = JobService(
            store: harness.store,
            configuration: harness.configuration(),
            engines: engines
        )
        try await harness.withRunning(service) { service in
            defer { latch.complete(nil) }
            let id = try await service.submit(JobSubmission(spec: spec, usesRememberedOutputs: false))
            let seen = try await follow(id, service) {
                $0.failedAttemptCount == 1 && $0.reducedByteCount > 0 && $0.secondsLeft != nil
            }
            let status = try #require(seen.last)
            #expect(status.reducedByteCount == 1_000)
            #expect(status.reduceInputByteCount > 5_000)
            #expect(status.reduce.done == 0)
            #expect(status.fractionDone == 0.8 + 0.2 * 1_000 / Double(status.reduceInputByteCount))
            #expect(status.mappedByteCount == 300_000)
            latch.complete(nil)
            let end = try await service.end(of: id)
            #expect(end.state == .succeeded)
            #expect(end.reducedByteCount == end.counters.shuffledBytes)
            #expect(end.reducedByteCount <= end.reduceInputByteCount)
        }
    }

    @Test("The fraction does not go back when a reduce ends")
    func finishedReduce() async throws {
        let harness = try JobHarness()
        let spec = harness.wordCount(try harness.add(randomText(byteCount: 300_000, seed: 2)), reduces: 2)
        let latches = [ThreadLatch(), ThreadLatch()]
        let engines = StagedEngines { (partition, _, tell) throws(TaskFault) in
            tell(1_000 + partition)
            try? latches[partition].wait()
        }
        let service = JobService(
            store: harness.store,
            configuration: harness.configuration(),
            engines: engines
        )
        try await harness.withRunning(service) { service in
            defer { for latch in latches { latch.complete(nil) } }
            let id = try await service.submit(JobSubmission(spec: spec, usesRememberedOutputs: false))
            var seen = try await follow(id, service) { $0.reducedByteCount == 2_001 }
            latches[0].complete(nil)
            seen += try await follow(id, service) { $0.reduce.done == 1 }
            let status = try #require(seen.last)
            #expect(status.counters.shuffledBytes > 1_000)
            #expect(status.reducedByteCount == status.counters.shuffledBytes + 1_001)
            latches[1].complete(nil)
            seen += try await follow(id, service) { $0.state.isFinal }
            let fractions = seen.map(\.fractionDone)
            #expect(fractions == fractions.sorted())
            #expect(fractions.last == 1)
        }
    }

    @Test("No more counts as read than there is, whatever counters say")
    func bounded() async throws {
        let harness = try JobHarness()
        let spec = harness.wordCount(try harness.add([65, 10]), reduces: 1)
        let status = try await harness.run(spec, engines: HollowEngines(runByteCount: 1_000) { _ in })
        #expect(status.counters.shuffledBytes == HollowEngines.partitionByteCount)
        #expect(status.reduceInputByteCount == 1_000)
        #expect(status.reducedByteCount == 1_000)
    }

    @Test("A reduce on another node counts as it says, each of its attempts for itself")
    func remote() async throws {
        let key = Ed25519.KeyPair()
        let latch = ThreadLatch()
        let configuration = JobConfiguration(databasePath: nil, slots: 2, memoryByteCount: 64 << 20)
        try await withNodes(1) { network, nodes in
            let master = JobService(
                store: nodes[0].store,
                configuration: configuration,
                engines: HollowEngines(runByteCount: 1_000) { _ in try? latch.wait() },
                exchange: nodes[0].exchange
            )
            let there = await network.makeHost(PeerID(key))
            let store = MemoryBlockStore()
            let exchange = Exchange(host: there, store: store)
            let worker = JobService(
                store: store,
                configuration: configuration,
                // Runs that stay where they are, so that others may reduce.
                engines: HollowEngines(runByteCount: Int(ClusterLimits.smallShuffleByteCount) + 1) { tell in
                    tell(700)
                    tell(300)
                    try? latch.wait()
                },
                exchange: exchange,
                policy: PolicyGate(Policy(others: PolicyGrant([.builtin])), inPrivateNetwork: false)
            )
            let runner = TaskRunner(
                store: store,
                exchange: exchange,
                service: worker,
                signer: ReceiptSigner(publicKey: PublicKey(key.publicKey), sign: key.sign),
                agent: "test/1",
                isWanted: { _, _ in true }
            )
            let calls = MapReduceService(host: there, store: store, worker: runner)
            await calls.start()
            // Over the size below which a job stays at home, in few leaves.
            var spec = Self.spec
            spec.reduceCount = 8
            spec.combine = nil
            let root = try nodes[0].addFile(noise(6 << 20, seed: 1), chunkByteCount: 1 << 20)
            spec.inputs = [JobInput(name: "noise", root: root)]
            let submission = JobSubmission(spec: spec, usesRememberedOutputs: false)
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await there.run() }
                group.addTask { await exchange.run() }
                group.addTask { await master.run() }
                group.addTask { await worker.run() }
                defer {
                    latch.complete(nil)
                    group.cancelAll()
                }
                await there.awaitHandlers(2)
                try await nodes[0].host.connect(to: there.localPeer, addresses: [])
                await master.workerJoined(MapReducePeer(there.localPeer, host: nodes[0].host), slots: 2)
                let id = try await master.submit(submission)
                let seen = try await follow(id, master) {
                    $0.reducedByteCount >= 2_000 && $0.secondsLeft != nil
                }
                let status = try #require(seen.last)
                // One on each slot over there; those here tell nothing.
                #expect(status.reducedByteCount == 2_000)
                #expect(status.reduce.done == 0)
                #expect(status.fractionDone > 0.8 && status.fractionDone < 0.81)
                latch.complete(nil)
                let end = try await master.end(of: id)
                #expect(end.state == .succeeded, "\(end.failure?.message ?? "")")
                #expect(end.reducedByteCount == 8 * HollowEngines.partitionByteCount)
            }
        }
    }
}

/// Engines that read nothing: a run is zeros, and a reduce does what a test says.
private final class HollowEngines: JobEngines {
    static let partitionByteCount: UInt64 = 4_000

    fileprivate let runByteCount: Int
    fileprivate let reduce: @Sendable (_ tell: (Int) -> Void) -> Void

    init(runByteCount: Int, reduce: @escaping @Sendable ((Int) -> Void) -> Void) {
        self.runByteCount = runByteCount
        self.reduce = reduce
    }

    var version: String { "hollow" }

    func usesPosition(_ spec: JobSpec) -> Bool { false }

    func make(_ spec: JobSpec, functions: JobFunctions?) throws(TaskFault) -> any JobEngine { Engine(self) }

    private final class Engine: JobEngine {
        private let engines: HollowEngines

        init(_ engines: HollowEngines) { self.engines = engines }

        func executeMap(
            _ assignment: MapAssignment,
            leaves: any LeafReader,
            output: any FileSink,
            spills: any SpillSpace,
            limits: AttemptLimits
        ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters) {
            try write([UInt8](repeating: 0, count: engines.runByteCount), to: output)
            return (try output.finish(), TaskCounters())
        }

        func executeReduce(
            partition: Int,
            runs: [any RunBytes],
            output: any FileSink,
            spills: any SpillSpace,
            limits: AttemptLimits
        ) throws(TaskFault) -> TaskCounters {
            engines.reduce(limits.progress)
            try write([UInt8(partition)], to: output)
            var counters = TaskCounters()
            counters.shuffledBytes = HollowEngines.partitionByteCount
            return counters
        }

        func executeMerge(
            runs: [any RunBytes],
            output: any FileSink,
            spills: any SpillSpace,
            limits: AttemptLimits
        ) throws(TaskFault) -> (run: any RunBytes, counters: TaskCounters) {
            throw .store("no merges here")
        }

        private func write(_ bytes: [UInt8], to output: any FileSink) throws(TaskFault) {
            let outcome = bytes.withUnsafeBytes { buffer -> Result<Void, TaskFault> in
                do throws(TaskFault) { return .success(try output.write(buffer)) } catch {
                    return .failure(error)
                }
            }
            try outcome.get()
        }
    }
}
