import BlockStore
import MRProtocol
import Multiformats
import PeerCrypto
import Testing

@testable import PeerNode

/// Tests of a worker that is called as a master calls it.
protocol WorkerTests {}

extension WorkerTests {
    /// A node that works for others as its policy says, and a caller whom it names if `caller` says what for.
    func withWorker(
        _ policy: Policy,
        inPrivateNetwork isPrivate: Bool = false,
        caller: PolicyGrant? = nil,
        isWanted: @escaping @Sendable (CID, PeerID) async -> Bool = { _, _ in false },
        _ body: @Sendable @escaping (MapReducePeer, PolicyGate, TaskRunner, CID) async throws -> Void
    ) async throws {
        let (workerKey, callerKey) = (Ed25519.KeyPair(), Ed25519.KeyPair())
        var policy = policy
        policy.peers[PeerID(callerKey)] = caller
        let gate = PolicyGate(policy, inPrivateNetwork: isPrivate)
        let network = MemoryNetwork()
        let there = await network.makeHost(PeerID(workerKey))
        let here = await network.makeHost(PeerID(callerKey))
        let harness = try JobHarness()
        let text = try harness.add(Array("a b a\n".utf8))
        let exchange = Exchange(host: there, store: harness.store)
        var configuration = harness.configuration()
        configuration.workFolderPath = harness.home + "/work"
        let service = JobService(
            store: harness.store,
            configuration: configuration,
            engines: StandardEngines(),
            exchange: exchange,
            policy: gate
        )
        let runner = TaskRunner(
            store: harness.store,
            exchange: exchange,
            service: service,
            signer: ReceiptSigner(publicKey: PublicKey(workerKey.publicKey), sign: workerKey.sign),
            agent: "test/1",
            isWanted: isWanted
        )
        let calls = MapReduceService(host: there, store: harness.store, worker: runner)
        await calls.start()
        try await harness.withRunning(service) { _ in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await there.run() }
                group.addTask { await here.run() }
                group.addTask { await exchange.run() }
                defer { group.cancelAll() }
                try await body(MapReducePeer(there.localPeer, host: here), gate, runner, text)
            }
        }
    }

    func spec(_ text: CID, map: FunctionReference = .builtIn("wc")) -> JobSpec {
        JobSpec(
            map: map,
            combine: .builtIn("sum"),
            reduce: .builtIn("sum"),
            reduceCount: 1,
            recordFormat: .words,
            inputs: [JobInput(name: "text", root: text)]
        )
    }

    func task(_ spec: JobSpec, attempt: UInt64, engine: String) -> RemoteTask {
        let segment = MapSegment(
            fileIndex: 0,
            fileName: "text",
            fileOffset: 0,
            leaves: [InputLeaf(cid: spec.inputs[0].root, byteCount: 6)],
            lookahead: [],
            reachesEndOfFile: true
        )
        let head = TaskHead(job: spec.cid, spec: spec.encoded(), attempt: attempt, key: [1], engine: engine)
        return .map(MapTaskMessage(head: head, assignment: MapAssignment(segments: [segment])))
    }

    func hello(_ peer: MapReducePeer) async throws -> HelloMessage {
        try await peer.hello(HelloMessage(agent: "caller/1", engines: [], slots: 1, busySlots: 0))
    }

    func failure(_ peer: MapReducePeer, _ task: RemoteTask) async -> CallFailure? {
        do throws(CallError) { _ = try await peer.run(task) } catch {
            if case .failure(let failure) = error { return failure }
            Issue.record("\(error)")
        }
        return nil
    }
}
