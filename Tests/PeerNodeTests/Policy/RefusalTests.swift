import BlockStore
import MRProtocol
import Multiformats
import PeerCrypto
import Testing

@testable import PeerNode

@Suite("Refused jobs", .timeLimit(.minutes(1)))
struct RefusalTests: WorkerTests {
    @Test("a stranger is offered no slots, and a task of theirs is answered with why")
    func stranger() async throws {
        try await withWorker(Policy()) { peer, gate, _, text in
            let engine = try await hello(peer)
            #expect(engine.slots == 0)
            let refused = await failure(peer, task(spec(text), attempt: 1, engine: engine.engines[0]))
            #expect(refused == CallFailure(.notAllowed, message: "strangers may run no jobs here"))
            // Before it is known whether the engine is right, or there is room.
            let strange = await failure(peer, task(spec(text), attempt: 2, engine: "none/0"))
            #expect(strange?.code == .notAllowed)
            #expect(gate.refusalCount == 2)
        }
    }

    @Test("a peer of the private network may run built-ins on all slots, and no commands")
    func samePrivateNetwork() async throws {
        try await withWorker(Policy(), inPrivateNetwork: true) { peer, _, _, text in
            let answer = try await hello(peer)
            #expect(answer.slots == 2)
            let (receipt, _, _) = try await peer.run(task(spec(text), attempt: 1, engine: answer.engines[0]))
            #expect(receipt.counters.inputRecords == 3)
            let command = spec(text, map: .command("cat"))
            let refused = await failure(peer, task(command, attempt: 2, engine: answer.engines[0]))
            #expect(refused?.code == .notAllowed)
            #expect(refused?.message == "peers of the private network may not run commands here")
        }
    }

    @Test("a change of the policy holds for the next attempt, and ends the job that it forbids")
    func change() async throws {
        let everybody = Policy(others: PolicyGrant([.builtin], slots: 1))
        try await withWorker(everybody) { peer, gate, runner, text in
            let answer = try await hello(peer)
            #expect(answer.slots == 1)
            _ = try await peer.run(task(spec(text), attempt: 1, engine: answer.engines[0]))
            try gate.set(.nothing, for: .others)
            await runner.policyChanged()
            let refused = await failure(peer, task(spec(text), attempt: 2, engine: answer.engines[0]))
            #expect(refused?.code == .notAllowed)
            #expect(try await !peer.endJob(spec(text).cid))
            try gate.set(PolicyGrant([.builtin]), for: .others)
            _ = try await peer.run(task(spec(text), attempt: 3, engine: answer.engines[0]))
        }
    }

    @Test(
        "a lower limit holds for the next attempt of a job that runs",
        .enabled(if: RunnableFunctions.commands)
    )
    func lowerLimit() async throws {
        try await withWorker(Policy(allowsUnconfined: true), caller: .everything) {
            peer,
            gate,
            runner,
            text in
            let engine = try #require(try await hello(peer).engines.first { $0.hasPrefix("commands") })
            let caller = try #require(try gate.policy().peers.keys.first)
            let job = spec(text, map: .command("seq 1000 | sed 's/.*/word\\t1/'"))
            #expect(await failure(peer, task(job, attempt: 1, engine: engine)) == nil)
            let limits = PolicyLimits([.output: 100])
            try gate.set(PolicyGrant([.builtin, .command], limits: limits), for: .peer(caller))
            await runner.policyChanged()
            let refused = await failure(peer, task(job, attempt: 2, engine: engine))
            #expect(refused?.message.contains("its limit on output, 100 bytes") == true, "\(refused as Any)")
        }
    }

    @Test("a node's own user is bound by its policy too")
    func ownUser() async throws {
        let harness = try JobHarness()
        let text = try harness.add(Array("a b a\n".utf8))
        let gate = PolicyGate(Policy(own: PolicyGrant([.javascript])), inPrivateNetwork: false)
        let service = JobService(
            store: harness.store,
            configuration: harness.configuration(),
            engines: StandardEngines(),
            policy: gate
        )
        let error = await #expect(throws: JobServiceError.self) {
            try await service.submit(JobSubmission(spec: spec(text)))
        }
        #expect(error?.code == .notAllowed)
        #expect(error?.message.contains("may not run built-in functions here") == true)
    }

    @Test("a master whose workers refuse does the job itself, and names them")
    func masterGoesOn() async throws {
        let harness = try JobHarness()
        let root = try harness.add(randomText(byteCount: 6 << 20, seed: 5))
        let expected = try await harness.run(harness.wordCount(root), remembers: false).result
        let network = MemoryNetwork()
        let here = await network.makeHost(1)
        let there = await network.makeHost(2)
        let refusing = StubWorker { _, _, _ in
            .failure(.failure(CallFailure(.notAllowed, message: "strangers\u{1b}may run\nno jobs here")))
        }
        let calls = MapReduceService(host: there, store: MemoryBlockStore(), worker: refusing)
        await calls.start()
        let exchange = Exchange(host: here, store: harness.store)
        let service = JobService(
            store: harness.store,
            configuration: harness.configuration(),
            engines: StandardEngines(),
            exchange: exchange
        )
        let status = try await harness.withRunning(service) { service in
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask { await there.run() }
                group.addTask { await here.run() }
                group.addTask { await exchange.run() }
                defer { group.cancelAll() }
                await service.workerJoined(MapReducePeer(there.localPeer, host: here), slots: 4)
                let spec = harness.wordCount(root)
                let id = try await service.submit(JobSubmission(spec: spec, usesRememberedOutputs: false))
                return try await service.end(of: id)
            }
        }
        #expect(status.state == .succeeded)
        #expect(status.result == expected)
        #expect(status.failedAttemptCount == 0)
        let note = "\(there.localPeer) does not run this job: strangers may run no jobs here"
        #expect(status.notes.filter { $0 == note }.count == 1)
    }
}
