import Engines
import MRProtocol
import Multiformats
import Synchronization

/// The slots of this node: threads that execute attempts, and the attempts at hand for them.
///
/// A slot that has ended an attempt takes the next one at once, without asking the coordinator. Attempts of different
/// masters, this node among them, take turns.
final class WorkerPool: Sendable {
    private struct State {
        /// Attempts that wait, by master; masters without any are not in it.
        var lanes: [PeerID?: Lane] = [:]
        /// Whose turn is next.
        var turns: [PeerID?] = []
        var idle: [Slot]
    }

    private struct Lane {
        var requests: [AttemptRequest] = []
        var head = 0
    }

    let slotCount: Int
    private let state: Mutex<State>

    init(slotCount: Int) {
        self.slotCount = slotCount
        state = Mutex(State(idle: (0..<slotCount).map { _ in Slot() }))
    }

    /// Queues an attempt.
    ///
    /// - Returns: a slot that has to be started for it; `nil` when all are busy.
    func add(_ request: AttemptRequest) -> Slot? {
        state.withLock { state in
            if state.lanes[request.master] == nil { state.turns.append(request.master) }
            state.lanes[request.master, default: Lane()].requests.append(request)
            return state.idle.popLast()
        }
    }

    /// Slots that execute something now.
    var busyCount: Int { slotCount - state.withLock { $0.idle.count } }

    /// The next attempt for `slot`; `nil` makes the slot idle.
    func next(for slot: Slot) -> AttemptRequest? {
        state.withLock { state in
            guard !state.turns.isEmpty else {
                state.idle.append(slot)
                return nil
            }
            let master = state.turns.removeFirst()
            guard var lane = state.lanes.removeValue(forKey: master) else { return nil }
            let request = lane.requests[lane.head]
            lane.head += 1
            if lane.head < lane.requests.count {
                if lane.head >= WorkerPool.compactionCount {
                    lane.requests.removeFirst(lane.head)
                    lane.head = 0
                }
                state.lanes[master] = lane
                state.turns.append(master)
            }
            return request
        }
    }

    /// Entries that are taken before the queue is moved to its front.
    private static let compactionCount = 256
}

/// One thread, and the engines that were made on it.
///
/// `@unchecked Sendable`: `engines` is touched only by the attempt that runs on the thread.
final class Slot: @unchecked Sendable {
    let executor = ThreadExecutor()
    private var engines: [JobNumber: any JobEngine] = [:]

    /// Engines that a slot keeps for jobs that take turns.
    private static let maxEngineCount = 8

    /// Executes an attempt; called on the slot's thread.
    func execute(_ request: AttemptRequest) -> Result<TaskOutput, TaskFault> {
        do throws(TaskFault) {
            return .success(try request.execute(try engine(for: request.execution)))
        } catch {
            return .failure(error)
        }
    }

    private func engine(for execution: JobExecution) throws(TaskFault) -> any JobEngine {
        if let engine = engines[execution.number] { return engine }
        let engine = try execution.engines.make(execution.spec)
        if engines.count >= Slot.maxEngineCount { engines.removeAll() }
        engines[execution.number] = engine
        return engine
    }
}
