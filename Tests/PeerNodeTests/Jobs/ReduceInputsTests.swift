import BlockStore
import Engines
import MRProtocol
import Multiformats
import Testing

@testable import PeerNode

@Suite("What reduces read")
struct ReduceInputsTests {
    private let store = MemoryBlockStore()
    private let here = PeerID.numbered(1)
    private let other = PeerID.numbered(2)
    private let reduce = WorkItem(stage: 1, index: 0)

    /// A job of three map items and one reduce, without outputs.
    private func job() -> ActiveJob {
        let spec = JobSpec(
            map: .builtIn("wc"),
            combine: nil,
            reduce: .builtIn("sum"),
            reduceCount: 1,
            recordFormat: .words,
            inputs: [JobInput(name: "text", root: cid(0))]
        )
        let job = ActiveJob(
            number: JobNumber(1),
            submission: JobSubmission(spec: spec),
            status: JobStatus(id: JobID("job"), name: "", spec: spec, specCID: spec.cid),
            now: .zero
        )
        job.makeStages([3, 1])
        return job
    }

    private func give(_ outputs: [TaskOutput?], to job: ActiveJob) {
        for (index, output) in outputs.enumerated() { job.set(output, of: WorkItem(stage: 0, index: index)) }
    }

    private func cid(_ number: UInt8) -> CID { .of([number], codec: .raw) }

    private func output(_ run: any RunBytes) -> TaskOutput {
        TaskOutput(file: .run(run), counters: TaskCounters())
    }

    private func stored(_ number: UInt8) -> TaskOutput {
        output(StoredRun(root: cid(number), byteCount: UInt64(number), store: store))
    }

    private func kept(_ number: UInt8) throws -> (output: TaskOutput, run: RunReference) {
        let reference = RunReference(root: cid(number), byteCount: 1, holder: other)
        let exchange = Exchange(host: MemoryHost(peer: here, network: MemoryNetwork()), store: store)
        let run = RemoteRun(
            reference,
            store: store,
            exchange: exchange,
            ingest: store.makeIngest(),
            isKept: true
        )
        return (output(run), reference)
    }

    private func inMemory() -> MemoryRun {
        MemoryRun(pieces: [[1]], byteCount: 1, memory: RunMemory(limit: 1 << 20))
    }

    @Test("is nothing while an output is missing, and all of it once that is made again")
    func missingOutput() {
        let job = job()
        give([stored(1), nil, stored(3)], to: job)
        #expect(job.runs(for: reduce) == nil)
        #expect(job.files(for: reduce, here: here) == nil)
        job.set(stored(2), of: WorkItem(stage: 0, index: 1))
        #expect(job.runs(for: reduce)?.map(\.fileRoot) == [cid(1), cid(2), cid(3)])
        #expect(job.files(for: reduce, here: here)?.map(\.holders) == [[here], [here], [here]])
        #expect(job.status.reduceInputByteCount == 6)
    }

    @Test("is nothing that another node can fetch while a run is in memory alone")
    func runInMemory() {
        let job = job()
        let run = inMemory()
        give([stored(1), output(run), stored(3)], to: job)
        #expect(job.runs(for: reduce)?.count == 3)
        #expect(job.files(for: reduce, here: here) == nil)

        let file = StoredRun(root: cid(2), byteCount: 1, store: store)
        job.replace(inMemory(), of: WorkItem(stage: 0, index: 1), by: file)
        #expect(job.files(for: reduce, here: here) == nil, "the output is another by now")
        job.replace(run, of: WorkItem(stage: 0, index: 1), by: file)
        #expect(job.files(for: reduce, here: here)?.map(\.root) == [cid(1), cid(2), cid(3)])
    }

    @Test("holds a merged run where the first of its items stands")
    func mergedRun() throws {
        let job = job()
        let (first, third) = (try kept(1), try kept(3))
        give([first.output, stored(2), third.output], to: job)
        let merged = StoredRun(root: cid(9), byteCount: 4, store: store)
        #expect(
            job.addMergedRun(
                merged,
                of: [KeptRun(index: 0, run: first.run), KeptRun(index: 2, run: third.run)]
            )
        )
        #expect(job.runs(for: reduce)?.map(\.fileRoot) == [cid(9), cid(2)])
        #expect(job.lostInputs(of: reduce, .malformedMapOutput(runIndex: 0, reason: "")) == [0, 2])
    }

    @Test("does not take a run that was merged of outputs which are others by now")
    func staleMerge() throws {
        let job = job()
        let (first, third) = (try kept(1), try kept(3))
        let asked = [KeptRun(index: 0, run: first.run), KeptRun(index: 2, run: third.run)]
        give([first.output, stored(2), stored(4)], to: job)
        let merged = StoredRun(root: cid(9), byteCount: 4, store: store)
        #expect(!job.addMergedRun(merged, of: asked))
        #expect(job.runs(for: reduce)?.map(\.fileRoot) == [cid(1), cid(2), cid(4)])
    }

    @Test("blames who made it and who says so, but nobody for what is here")
    func doubt() throws {
        let job = job()
        let (first, third) = (try kept(1), try kept(3))
        give([first.output, stored(2), third.output], to: job)
        let (maker, reader) = (WorkerID(1), WorkerID(2))
        for index in 0..<3 { job.makers[WorkItem(stage: 0, index: index)] = maker }
        let attempt = Attempt(
            id: AttemptID(1),
            job: job.number,
            item: reduce,
            worker: reader,
            number: 1,
            isLocal: false
        )
        let gone = TaskFault.mapOutputUnavailable(cid(1), reason: "")
        #expect(job.doubtfulWorkers(gone, of: attempt, lost: [0]) == [maker, reader])
        #expect(job.doubtfulWorkers(gone, of: attempt, lost: [1]) == [reader], "it is in this node's store")
        #expect(job.doubtfulWorkers(gone, of: attempt, lost: []) == [])
        let bad = TaskFault.malformedMapOutput(runIndex: 1, reason: "")
        #expect(job.doubtfulWorkers(bad, of: attempt, lost: [1]) == [maker, reader], "it made what is here")

        let merged = StoredRun(root: cid(9), byteCount: 4, store: store)
        let asked = [KeptRun(index: 0, run: first.run), KeptRun(index: 2, run: third.run)]
        #expect(job.addMergedRun(merged, of: asked))
        #expect(job.doubtfulWorkers(gone, of: attempt, lost: [0, 2]) == [reader], "the merged run is here")
    }

    @Test("falls apart with one of the outputs that a merged run was made of")
    func lostOutput() throws {
        let job = job()
        let (first, third) = (try kept(1), try kept(3))
        give([first.output, stored(2), third.output], to: job)
        job.merging = .done
        job.sharing = .done
        let merged = StoredRun(root: cid(9), byteCount: 4, store: store)
        #expect(
            job.addMergedRun(
                merged,
                of: [KeptRun(index: 0, run: first.run), KeptRun(index: 2, run: third.run)]
            )
        )
        job.set(nil, of: WorkItem(stage: 0, index: 2))
        job.dropReduceInputs(madeOf: 2)
        #expect(job.runs(for: reduce) == nil)
        #expect(job.merging == .none)
        #expect(job.sharing == .none)
        job.set(stored(3), of: WorkItem(stage: 0, index: 2))
        #expect(job.runs(for: reduce)?.map(\.fileRoot) == [cid(1), cid(2), cid(3)])
    }
}
