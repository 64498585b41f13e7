import BlockStore
import MRProtocol
import Multiformats
import Testing

@testable import PeerNode

@Suite("Worker pool") struct WorkerPoolTests {
    private let harness: JobHarness
    private let execution: JobExecution
    private let first = PeerID.numbered(1)
    private let second = PeerID.numbered(2)

    init() throws {
        harness = try JobHarness()
        execution = JobExecution(
            number: JobNumber(1),
            spec: harness.wordCount(CID.of([1], codec: .raw)),
            engines: StandardEngines(),
            store: harness.store,
            ingest: try harness.store.makeIngest(),
            configuration: harness.configuration()
        )
    }

    /// An attempt of a master; `nil`: of this node.
    private func request(_ number: UInt64, of master: PeerID?, slots: Int? = nil) -> AttemptRequest {
        let attempt = Attempt(
            id: AttemptID(number),
            job: JobNumber(1),
            item: WorkItem(stage: 0, index: 0),
            worker: WorkerID(0),
            number: 1,
            isLocal: true
        )
        return AttemptRequest(
            attempt: attempt,
            execution: execution,
            work: .merge([]),
            stop: StopFlag(),
            master: master,
            slotLimit: slots
        )
    }

    private func number(_ request: AttemptRequest?) -> UInt64? { request?.attempt.id.number }

    @Test("masters take turns")
    func turns() throws {
        let pool = WorkerPool(slotCount: 1)
        let slot = try #require(pool.add(request(1, of: first)))
        for number: UInt64 in 2...3 { #expect(pool.add(request(number, of: first)) == nil) }
        #expect(pool.add(request(4, of: second)) == nil)
        var last: AttemptRequest?
        var order: [UInt64?] = []
        for _ in 0..<5 {
            last = pool.next(for: slot, after: last)
            order.append(number(last))
        }
        #expect(order == [1, 4, 2, 3, nil])
        #expect(pool.busyCount == 0)
    }

    @Test("a master that has as many slots as it may leaves the others to whoever else waits, or idle")
    func slotLimit() throws {
        let pool = WorkerPool(slotCount: 3)
        let slots = try (1...2).map { number in
            try #require(pool.add(request(UInt64(number), of: first, slots: 1)))
        }
        let running = pool.next(for: slots[0], after: nil)
        #expect(number(running) == 1)
        #expect(pool.next(for: slots[1], after: nil) == nil)
        #expect(pool.busyCount == 1)
        let other = try #require(pool.add(request(3, of: nil)))
        let own = pool.next(for: other, after: nil)
        #expect(number(own) == 3)
        #expect(pool.next(for: other, after: own) == nil)
        #expect(number(pool.next(for: slots[0], after: running)) == 2)
    }
}
