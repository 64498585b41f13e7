import BlockStore
import MRProtocol
import Multiformats
import Testing

@testable import PeerNode

@Suite("Jobs that wait for a block", .timeLimit(.minutes(1)))
struct JobWaitTests {
    private func spec(_ root: CID) -> JobSpec {
        JobSpec(
            map: .builtIn("wc"),
            combine: .builtIn("sum"),
            reduce: .builtIn("sum"),
            reduceCount: 1,
            recordFormat: .words,
            inputs: [JobInput(name: "text", root: root)]
        )
    }

    /// Which block of the input is not here.
    enum Missing: CaseIterable {
        case innerNode, leaf
    }

    @Test("say for which, until it comes", arguments: Missing.allCases)
    func wait(_ missing: Missing) async throws {
        // Twice as fast: told of after 1 s, given up after 7.5 s and more.
        try await withNodes(2, clock: fastClock(2)) { _, nodes in
            let text = randomText(byteCount: 600_000, seed: 3)
            let root = try nodes[0].addFile(text)
            var leaves = try nodes[0].store.leaves(of: root)
            let leaf = try #require(try leaves.next()?.cid)
            let lost = missing == .leaf ? leaf : root
            let block = try nodes[0].store.block(lost)
            _ = nodes[0].store.unpin("file")
            try nodes[0].store.remove(lost)
            let service = JobService(
                store: nodes[0].store,
                configuration: JobConfiguration(databasePath: nil, slots: 2, memoryByteCount: 64 << 20),
                engines: StandardEngines(),
                exchange: nodes[0].exchange
            )
            async let done: Void = service.run()
            let id = try await service.submit(
                JobSubmission(spec: spec(root), usesRememberedOutputs: false)
            )
            var wait: BlockWait?
            for await status in try await service.updates(of: id) {
                wait = status.wait
                if wait != nil { break }
            }
            #expect(wait?.cid == lost)
            #expect(wait?.missingCount == 1)
            #expect(wait?.peerCount == 1)
            #expect(try await service.jobs().first?.wait?.cid == lost)
            let ingest = nodes[1].store.makeIngest()
            _ = try ingest.put(block, codec: lost.codec)
            try ingest.close()
            let end = try await service.end(of: id)
            #expect(end.state == .succeeded, "\(end.failure?.message ?? "")")
            #expect(end.wait == nil)
            await service.stop()
            await done
        }
    }

    @Test("in words and as JSON")
    func texts() throws {
        let cid = CID.of([1], codec: .raw)
        let wait = BlockWait(cid: cid, missingCount: 3, peerCount: 0, seconds: 12)
        #expect(
            wait.description
                == "waiting 12 s for block \(cid) and 2 more from the network: no peer is connected"
        )
        var status = JobStatus(id: JobID("job"), name: "", spec: spec(cid), specCID: spec(cid).cid)
        #expect(try JobStatus(json: status.json) == status)
        status.wait = wait
        status.reduceInputByteCount = 10
        status.reducedByteCount = 4
        #expect(try JobStatus(json: status.json) == status)
    }
}
