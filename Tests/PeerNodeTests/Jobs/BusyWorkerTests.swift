import BlockStore
import Engines
import MRProtocol
import Multiformats
import Synchronization
import Testing

@testable import PeerNode

@Suite("Workers without room", .timeLimit(.minutes(1)))
struct BusyWorkerTests {
    /// A job that is over the size below which it stays at home.
    private func spec(_ node: TestNode) throws -> (spec: JobSpec, byteCount: Int) {
        let words = (0..<5_000).flatMap { Array("w\($0) ".utf8) }
        let text = Array(repeatElement(words, count: 180).joined())
        let spec = JobSpec(
            map: .builtIn("wc"),
            combine: .builtIn("sum"),
            reduce: .builtIn("sum"),
            reduceCount: 4,
            recordFormat: .words,
            inputs: [JobInput(name: "text", root: try node.addFile(text))]
        )
        return (spec, text.count)
    }

    private func serve(_ nodes: some Sequence<TestNode>, _ body: @escaping StubWorker.Body) async {
        for node in nodes {
            await MapReduceService(host: node.host, store: node.store, worker: StubWorker(body)).start()
        }
    }

    private func service(_ node: TestNode) -> JobService {
        JobService(
            store: node.store,
            configuration: JobConfiguration(databasePath: nil, slots: 1, memoryByteCount: 64 << 20),
            engines: StandardEngines(),
            exchange: node.exchange
        )
    }

    @Test(
        "fail nothing, however many they are: the job goes on without them",
        arguments: [CallFailure.Code.busy, .cancelled]
    )
    func busyWorkers(code: CallFailure.Code) async throws {
        try await withNodes(5) { _, nodes in
            let (spec, byteCount) = try spec(nodes[0])
            let asked = Mutex(0)
            await serve(nodes[1...]) { _, _, _ in
                asked.withLock { $0 += 1 }
                return .failure(.failure(CallFailure(code, message: "no room here")))
            }
            let service = service(nodes[0])
            for node in nodes[1...] {
                await service.workerJoined(MapReducePeer(node.id, host: nodes[0].host), slots: 2)
            }
            let status = try await service.runAlone(spec)
            #expect(status.state == .succeeded, "\(String(describing: status.failure))")
            #expect(status.counters.inputBytes == UInt64(byteCount))
            #expect(asked.withLock { $0 } >= 4, "each was asked")
            #expect(status.failedAttemptCount == 0)
            #expect(status.workers.allSatisfy { $0.attemptsFailed == 0 && !$0.isExcluded })
        }
    }
}
