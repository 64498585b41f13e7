import BlockStore
import Engines
import MRProtocol
import Multiformats
import PeerCrypto
import Testing

@testable import PeerNode

/// What a worker may answer instead of the truth.
enum Lie: String, CaseIterable {
    /// Signed with a key that is not the worker's.
    case foreignSignature
    /// A receipt for another task.
    case anotherTask
    /// A run that is not a run file.
    case malformedRun
    /// A run file of another number of partitions.
    case wrongPartitions
    /// A run that it does not give out.
    case missingRun
    /// Counts and sizes that cannot be added up.
    case hugeCounts
}

@Suite("A worker that lies", .timeLimit(.minutes(1)))
struct LyingWorkerTests {
    private let key = Ed25519.KeyPair()

    private func receipt(_ lie: Lie, for task: RemoteTask, to master: PeerID, run: CID, byteCount: Int)
        -> [UInt8]
    {
        var head = task.head
        if lie == .anotherTask { head.key = [1] }
        var counters = TaskCounters()
        if lie == .hugeCounts { (counters.inputBytes, counters.shuffledBytes) = (.max, .max) }
        let byteCount = lie == .hugeCounts ? .max : UInt64(byteCount)
        var receipt = Receipt(
            kind: task.kind,
            head: head,
            worker: PeerID(key),
            master: master,
            output: StoredFile(root: run, byteCount: byteCount, holders: [PeerID(key)]),
            lookaheadCount: 0,
            counters: counters
        )
        if lie == .hugeCounts { receipt.fetchedByteCount = .max }
        let signer = lie == .foreignSignature ? Ed25519.KeyPair() : key
        return receipt.sealed(publicKey: PublicKey(key.publicKey), sign: signer.sign)
    }

    private func falseRun(_ lie: Lie) -> [UInt8] {
        lie == .wrongPartitions ? RunIndex(partitionCount: 9).encode() : noise(5_000, seed: 3)
    }

    @Test(
        "costs time: its attempts are made again elsewhere, and it is given no more",
        arguments: Lie.allCases,
        ["sum", nil]
    )
    func resultIsRight(_ lie: Lie, combine: String?) async throws {
        // Over the size below which a job stays at home.
        let words = (0..<5_000).flatMap { Array("w\($0) ".utf8) }
        let text = Array(repeatElement(words, count: 180).joined())
        let fast = fastClock(lie == .missingRun ? 20 : 1)
        try await withNodes(1, clock: fast) { network, nodes in
            let root = try nodes[0].addFile(text)
            let spec = JobSpec(
                map: .builtIn("wc"),
                combine: combine.map { .builtIn($0) },
                reduce: .builtIn("sum"),
                reduceCount: 4,
                recordFormat: .words,
                inputs: [JobInput(name: "text", root: root)]
            )
            let configuration = JobConfiguration(databasePath: nil, slots: 2, memoryByteCount: 64 << 20)
            let alone = JobService(store: nodes[0].store, configuration: configuration)
            let expected = try await alone.runAlone(spec)

            let liar = await network.makeHost(PeerID(key))
            let store = MemoryBlockStore()
            let bytes = falseRun(lie)
            let ingest = store.makeIngest()
            let builder = FileBuilder(ingest: ingest)
            try builder.write(bytes)
            let run = try builder.finish().cid
            try ingest.close()
            let given = lie == .missingRun ? CID.of([1, 2, 3], codec: .raw) : run
            let worker = StubWorker { task, master, _ in
                if lie == .hugeCounts, case .reduce = task {
                    // Nobody would see that a part is false.
                    return .failure(.failure(CallFailure(.busy, message: "no reduces here")))
                }
                return .success(receipt(lie, for: task, to: master, run: given, byteCount: bytes.count))
            }
            let calls = MapReduceService(host: liar, store: store, worker: worker)
            await calls.start()
            let exchange = Exchange(host: liar, store: store, clock: fast)
            let service = JobService(
                store: nodes[0].store,
                configuration: configuration,
                engines: StandardEngines(),
                exchange: nodes[0].exchange
            )
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await liar.run() }
                group.addTask { await exchange.run() }
                defer { group.cancelAll() }
                await liar.awaitHandlers(2)
                try await nodes[0].host.connect(to: liar.localPeer, addresses: [])
                await service.workerJoined(MapReducePeer(liar.localPeer, host: nodes[0].host), slots: 2)
                let status = try await service.runAlone(spec)
                #expect(status.state == .succeeded)
                #expect(status.result == expected.result)
                let share = try #require(status.workers.first { $0.worker == "\(liar.localPeer)" })
                #expect(share.attemptsFailed > 0 || status.failedAttemptCount > 0, "it was given work")
                let note = "\(liar.localPeer) gets no more of this job after 3 failures, the last: "
                #expect(share.isExcluded == status.notes.contains { $0.hasPrefix(note) })
                if lie == .foreignSignature { #expect(share.isExcluded, "\(status.notes)") }
                #expect(!status.workers.contains { $0.worker == "self" && $0.isExcluded })
                #expect(
                    status.counters.inputBytes == UInt64(text.count),
                    "what it said it had read is not counted"
                )
            }
        }
    }
}
