import MRProtocol
import Multiformats
import Synchronization
import Testing

@testable import PeerNode

@Suite("Jobs in which a worker has nothing to do", .timeLimit(.minutes(1)))
struct IdleJobTests: WorkerTests {
    private static let policy = Policy(others: PolicyGrant([.builtin]))

    @Test(
        "what was made is kept while the master wants the job, and released when it does not",
        arguments: [true, false]
    )
    func idle(isWanted: Bool) async throws {
        let asked = Mutex<[CID]>([])
        let ask = { @Sendable (job: CID, _: PeerID) in
            asked.withLock { $0.append(job) }
            return isWanted
        }
        try await withWorker(Self.policy, isWanted: ask) { peer, _, runner, text in
            let engine = try #require(try await hello(peer).engines.first)
            let spec = spec(text)
            _ = try await peer.run(task(spec, attempt: 1, engine: engine))
            await runner.releaseIdle(now: .now + ClusterLimits.idleJobLimit / 2)
            #expect(asked.withLock { $0 }.isEmpty)
            await runner.releaseIdle(now: .now + ClusterLimits.idleJobLimit * 2)
            #expect(asked.withLock { $0 } == [spec.cid])
            #expect(try await peer.endJob(spec.cid) == isWanted)
        }
    }
}
