import BlockStore
import MRProtocol
import Multiformats
import PeerCrypto
import PeerNode
import Synchronization
import Testing

@Suite("Calls over /mapreduce/1", .timeLimit(.minutes(1)))
struct MapReduceServiceTests {
    private let workerKey = Ed25519.KeyPair()
    private let masterKey = Ed25519.KeyPair()
    private let store = MemoryBlockStore()

    /// Runs `body` with a caller of a node that answers through `worker`.
    private func withWorker(
        _ worker: StubWorker = StubWorker(),
        gossip: (any GossipDelegate)? = nil,
        requestTimeout: Duration = CallLimits.requestTimeout,
        onMalformed: @escaping @Sendable (PeerID, String) -> Void = { _, _ in },
        _ body: (MapReducePeer, MapReduceService, MemoryHost) async throws -> Void
    ) async throws {
        let network = MemoryNetwork()
        let there = await network.makeHost(PeerID(workerKey))
        let here = await network.makeHost(PeerID(masterKey))
        let service = MapReduceService(
            host: there,
            store: store,
            worker: worker,
            gossip: gossip,
            requestTimeout: requestTimeout,
            onMalformed: onMalformed
        )
        await service.start()
        try await withThrowingTaskGroup(of: Void.self) { group in
            group.addTask { await there.run() }
            group.addTask { await here.run() }
            defer { group.cancelAll() }
            try await body(MapReducePeer(there.localPeer, host: here), service, here)
        }
    }

    @Test("hello tells both sides who the other is")
    func hello() async throws {
        let gossip = GossipRecorder()
        try await withWorker(gossip: gossip) { peer, _, here in
            let own = HelloMessage(agent: "caller/1", engines: [], slots: 9, busySlots: 0)
            let answer = try await peer.hello(own)
            #expect(answer.slots == 4)
            #expect(answer.engines == ["builtin/1"])
            #expect(gossip.hellos.withLock { $0[here.localPeer]?.slots } == 9)
        }
    }

    @Test("have answers from the store, also for more blocks than one call takes")
    func have() async throws {
        let held = try [1, 2, 3].map { try store.makeIngest().put([UInt8($0)], codec: .raw) }
        let missing = (0..<17_000).map { CID.of(withUnsafeBytes(of: $0) { Array($0) }, codec: .raw) }
        let asked = [held[0]] + missing[..<16_500] + [held[1]] + missing[16_500...] + [held[2]]
        try await withWorker { peer, service, _ in
            let flags = try await peer.have(asked)
            #expect(flags.count == asked.count)
            #expect(flags.indices.filter { flags[$0] } == [0, 16_501, 17_002])
            #expect(await service.figures.served == 2)
        }
    }

    @Test("a task's receipt comes back checked, after its progress")
    func task() async throws {
        let worker = StubWorker { [workerKey] task, master, progress in
            progress(2)
            return .success(
                SampleTask.seal(SampleTask.receipt(for: task, by: workerKey, to: master), by: workerKey)
            )
        }
        try await withWorker(worker) { peer, _, here in
            let task = SampleTask.map(attempt: 5)
            let (receipt, sealed, _) = try await peer.run(task)
            #expect(receipt == SampleTask.receipt(for: task, by: workerKey, to: here.localPeer))
            #expect(try Receipt(sealed: sealed, verify: SignedEnvelope.ed25519Verifier) == receipt)
        }
    }

    @Test("a long task says how far it is")
    func progress() async throws {
        let (gate, open) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let worker = StubWorker { [workerKey] task, master, progress in
            progress(123)
            for await _ in gate { break }
            return .success(
                SampleTask.seal(SampleTask.receipt(for: task, by: workerKey, to: master), by: workerKey)
            )
        }
        try await withWorker(worker) { peer, _, _ in
            let heard = Mutex<[UInt64]>([])
            _ = try await peer.run(SampleTask.map(attempt: 1)) { count in
                heard.withLock { $0.append(count) }
                open.yield()
            }
            #expect(heard.withLock { $0.first } == 123)
        }
    }

    @Test(
        "a task's fault arrives as it was",
        arguments: [
            TaskFault.cancelled, .argument(name: "pattern", reason: "no regular expression"),
            .recordTooLong(file: "text", offset: 77, limit: 1000),
            .blockUnavailable(CID.of([1], codec: .raw), file: "text", offset: 3, reason: "nobody has it"),
        ]
    )
    func fault(fault: TaskFault) async throws {
        let worker = StubWorker { _, _, _ in .failure(.failure(CallFailure(fault))) }
        try await withWorker(worker) { peer, _, _ in
            let error = await #expect(throws: CallError.self) {
                try await peer.run(SampleTask.map(attempt: 1))
            }
            guard case .failure(let failure) = error else {
                Issue.record("\(String(describing: error))")
                return
            }
            #expect(failure.taskFault == fault)
        }
    }

    @Test(
        "a receipt that is not the peer's, or not for this task, is a violation",
        arguments: ReceiptFlaw.allCases
    )
    func badReceipt(flaw: ReceiptFlaw) async throws {
        let worker = StubWorker { [workerKey] task, master, _ in
            .success(flaw.seal(task, by: workerKey, to: master))
        }
        try await withWorker(worker) { peer, _, _ in
            let error = await #expect(throws: CallError.self) {
                try await peer.run(SampleTask.map(attempt: 1))
            }
            guard case .violation = error else {
                Issue.record("\(String(describing: error))")
                return
            }
        }
    }

    enum ReceiptFlaw: CaseIterable {
        case otherSigner, otherAttempt, otherMaster, changedByte, noEnvelope

        func seal(_ task: RemoteTask, by worker: Ed25519.KeyPair, to master: PeerID) -> [UInt8] {
            switch self {
            case .otherSigner:
                let other = Ed25519.KeyPair()
                return SampleTask.seal(SampleTask.receipt(for: task, by: other, to: master), by: other)
            case .otherAttempt:
                return SampleTask.seal(
                    SampleTask.receipt(for: SampleTask.map(attempt: 99), by: worker, to: master),
                    by: worker
                )
            case .otherMaster:
                return SampleTask.seal(
                    SampleTask.receipt(for: task, by: worker, to: .numbered(3)),
                    by: worker
                )
            case .changedByte:
                var sealed = SampleTask.seal(
                    SampleTask.receipt(for: task, by: worker, to: master),
                    by: worker
                )
                sealed[sealed.count - 70] ^= 1
                return sealed
            case .noEnvelope: return [1, 2, 3]
            }
        }
    }

    @Test(
        "requests that cannot be served are answered with a typed failure",
        arguments: [
            ([0x9a, 0x06, 0x00], CallFailure.Code.unknownCall),  // field 99, empty
            ([0x0a, 0x7f], .malformed),  // hello longer than the message
            ([0x0a, 0x02, 0x08, 0x00], .unsupportedVersion),  // hello of version 0
            ([0x32, 0x00], .unspecified),  // cancel without an attempt: attempt 0, no failure
        ]
    )
    func badRequest(request: [UInt8], code: CallFailure.Code) async throws {
        let told = Mutex<[(PeerID, String)]>([])
        try await withWorker(onMalformed: { peer, reason in told.withLock { $0.append((peer, reason)) } }) {
            peer,
            _,
            here in
            let stream = try await here.openStream(to: peer.peer, protocolIDs: [MapReduceRequest.protocolID])
            let messages = MessageStream(stream, maxByteCount: MapReduceResponse.maxByteCount)
            try await messages.send(request)
            let answer = try MapReduceResponse(bytes: try #require(try await messages.next()))
            switch answer {
            case .failure(let failure): #expect(failure.code == code)
            default: #expect(answer == .cancelled(wasRunning: true))
            }
            let first = told.withLock { $0.first }
            #expect(first?.0 == (code == .malformed ? here.localPeer : nil))
            #expect(first.map { $0.1 == "the request cannot be read (it is no protobuf message)" } != false)
        }
    }

    @Test(
        "a request that stops, or ends, before it is whole is given up in time and counted",
        arguments: [[], [0x05], [0x05, 0x0a]] as [[UInt8]],
        [false, true]
    )
    func partialRequest(said: [UInt8], ends: Bool) async throws {
        guard !(said.isEmpty && ends) else { return }  // nothing was asked: no call
        try await withWorker(requestTimeout: .milliseconds(50)) { peer, service, here in
            let stream = try await here.openStream(to: peer.peer, protocolIDs: [MapReduceRequest.protocolID])
            try await stream.write(said)
            if ends { try await stream.closeWrite() }
            await #expect(throws: (any Error).self) { while try await stream.read(atMost: 100) != nil {} }
            while await service.figures.broken == 0 { await Task.yield() }
            #expect(await service.figures.broken == 1)
        }
    }

    @Test("a request over its limit is refused before it is read")
    func tooLarge() async throws {
        try await withWorker { peer, _, here in
            let stream = try await here.openStream(to: peer.peer, protocolIDs: [MapReduceRequest.protocolID])
            try await stream.write([0x81, 0x80, 0x80, 0x02])  // 4 MiB and one byte
            let messages = MessageStream(stream, maxByteCount: MapReduceResponse.maxByteCount)
            let answer = try MapReduceResponse(bytes: try #require(try await messages.next()))
            guard case .failure(let failure) = answer else {
                Issue.record("\(answer)")
                return
            }
            #expect(failure.code == .tooLarge)
        }
    }

    @Test("a peer that does not answer is given up after the timeout")
    func silence() async throws {
        let network = MemoryNetwork()
        let here = await network.makeHost(1)
        let there = await network.makeHost(2)
        await there.serve(MapReduceRequest.protocolID) { _, stream in
            while try await stream.read(atMost: 100) != nil {}
            _ = try await MemoryStream.pair().0.read(atMost: 1)
        }
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await there.run() }
            let limit = Duration.milliseconds(30)
            let error = await #expect(throws: CallError.self) {
                try await MapReducePeer(there.localPeer, host: here).gossip(GossipMessage(), timeout: limit)
            }
            #expect(error == .timeout(limit))
            group.cancelAll()
        }
    }

    @Test("when the master gives up, the attempt over there is cancelled")
    func masterGone() async throws {
        let (started, start) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
        let (ended, end) = AsyncStream.makeStream(of: Bool.self, bufferingPolicy: .bufferingNewest(1))
        let worker = StubWorker { _, _, _ in
            start.yield()
            let forever = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
            for await _ in forever.stream {}
            end.yield(Task.isCancelled)
            return .failure(.cancelled)
        }
        try await withWorker(worker) { peer, _, _ in
            let running = Task { try await peer.run(SampleTask.map(attempt: 1)).sealed }
            for await _ in started { break }
            running.cancel()
            for await wasCancelled in ended {
                #expect(wasCancelled)
                break
            }
            let error = await #expect(throws: CallError.self) { try await running.value }
            #expect(error == .cancelled)
        }
    }

    @Test("calls over the limit of one peer are turned away as busy")
    func busy() async throws {
        let (waiting, wait) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingOldest(1000))
        let worker = StubWorker { _, _, _ in
            wait.yield()
            let forever = AsyncStream<Void>.makeStream(bufferingPolicy: .bufferingNewest(1))
            for await _ in forever.stream {}
            return .failure(.cancelled)
        }
        try await withWorker(worker) { peer, service, _ in
            await withTaskGroup(of: Void.self) { group in
                for attempt in 0..<CallLimits.maxCallsPerPeer {
                    group.addTask { _ = try? await peer.run(SampleTask.map(attempt: UInt64(attempt))) }
                }
                var count = 0
                for await _ in waiting {
                    count += 1
                    if count == CallLimits.maxCallsPerPeer { break }
                }
                let own = HelloMessage(agent: "caller/1", engines: [], slots: 1, busySlots: 0)
                let error = await #expect(throws: CallError.self) { try await peer.hello(own) }
                #expect(error?.code == .busy)
                #expect(await service.figures.busy == 1)
                group.cancelAll()
            }
        }
    }
}

extension CallError {
    /// The code of a failure that the other side stated.
    var code: CallFailure.Code? {
        if case .failure(let failure) = self { failure.code } else { nil }
    }
}

/// Notes what gossip would learn.
private final class GossipRecorder: GossipDelegate {
    let hellos = Mutex<[PeerID: HelloMessage]>([:])

    func answer(_ gossip: GossipMessage, from peer: PeerID) -> GossipMessage { GossipMessage() }
    func learned(_ hello: HelloMessage, from peer: PeerID) { hellos.withLock { $0[peer] = hello } }
}
