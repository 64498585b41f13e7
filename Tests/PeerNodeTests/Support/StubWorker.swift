import MRProtocol
import Multiformats
import PeerCrypto
import PeerNode
import Synchronization

/// A worker whose tasks end as a test says.
final class StubWorker: WorkerDelegate {
    typealias Body =
        @Sendable (RemoteTask, PeerID, @Sendable (UInt64) -> Void) async -> Result<[UInt8], CallError>

    let cancelled = Mutex<[UInt64]>([])
    let ended = Mutex<[CID]>([])
    private let body: Body

    init(
        _ body: @escaping Body = { _, _, _ in
            .failure(.failure(CallFailure(.notAllowed, message: "no tasks here")))
        }
    ) {
        self.body = body
    }

    func hello(to peer: PeerID) -> HelloMessage {
        HelloMessage(agent: "stub/1", engines: ["builtin/1"], slots: 4, busySlots: 1)
    }

    func run(
        _ task: RemoteTask,
        from master: PeerID,
        progress: @escaping @Sendable (UInt64) -> Void
    ) async -> Result<TaskAnswer, CallError> {
        await body(task, master, progress).map { TaskAnswer(receipt: $0) }
    }

    func cancel(attempt: UInt64, from master: PeerID) -> Bool {
        cancelled.withLock { $0.append(attempt) }
        return true
    }

    func endJob(_ job: CID, from master: PeerID) -> Bool {
        ended.withLock { $0.append(job) }
        return true
    }

    func status(ofJob job: CID) -> JobStatusMessage? { nil }
}

/// Tasks and receipts for tests.
enum SampleTask {
    static let spec: [UInt8] = [0xa0]

    static func map(attempt: UInt64) -> RemoteTask {
        let leaf = InputLeaf(cid: CID.of([1, 2, 3], codec: .raw), byteCount: 3)
        let segment = MapSegment(
            fileIndex: 0,
            fileName: "text",
            fileOffset: 0,
            leaves: [leaf],
            lookahead: [],
            reachesEndOfFile: true
        )
        let head = TaskHead(
            job: CID.of(spec, codec: .dagCBOR),
            spec: spec,
            attempt: attempt,
            key: [7, 7],
            engine: "builtin/1"
        )
        return .map(MapTaskMessage(head: head, assignment: MapAssignment(segments: [segment])))
    }

    static func receipt(for task: RemoteTask, by worker: Ed25519.KeyPair, to master: PeerID) -> Receipt {
        var counters = TaskCounters()
        counters.inputBytes = 3
        let output = StoredFile(root: CID.of([9], codec: .raw), byteCount: 1, holders: [PeerID(worker)])
        return Receipt(
            kind: task.kind,
            head: task.head,
            worker: PeerID(worker),
            master: master,
            output: output,
            lookaheadCount: 0,
            counters: counters
        )
    }

    static func seal(_ receipt: Receipt, by worker: Ed25519.KeyPair) -> [UInt8] {
        receipt.sealed(publicKey: PublicKey(worker.publicKey), sign: worker.sign)
    }
}
