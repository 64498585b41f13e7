import Engines
import MRProtocol
import Multiformats
import Synchronization

/// The slots of this node: threads that execute attempts, and the attempts at hand for them.
///
/// A slot that has ended an attempt takes the next one at once, without asking the coordinator. Attempts of different
/// masters, this node among them, take turns; a master that has as many slots as it may waits.
final class WorkerPool: Sendable {
    private struct State {
        /// Attempts that wait, by master; masters without any are not in it.
        var lanes: [PeerID?: Lane] = [:]
        /// Whose turn is next.
        var turns: [PeerID?] = []
        /// Attempts that run, by master; masters without any are not in it.
        var running: [PeerID?: Int] = [:]
        var idle: [Slot]
    }

    private struct Lane {
        var requests: [AttemptRequest] = []
        var head = 0

        func mayRun(beside running: Int) -> Bool { requests[head].slotLimit.map { running < $0 } ?? true }
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

    /// The next attempt for `slot`, which has ended `last`; `nil` makes the slot idle.
    ///
    /// A master that waits for its limit has attempts running, and the slot that ends one of them asks again.
    func next(for slot: Slot, after last: AttemptRequest?) -> AttemptRequest? {
        state.withLock { state in
            if let last { WorkerPool.end(last, in: &state) }
            let turn = state.turns.firstIndex { master in
                state.lanes[master]?.mayRun(beside: state.running[master] ?? 0) ?? false
            }
            guard let turn else {
                state.idle.append(slot)
                return nil
            }
            let master = state.turns.remove(at: turn)
            guard var lane = state.lanes.removeValue(forKey: master) else { return nil }
            let request = lane.requests[lane.head]
            state.running[master, default: 0] += 1
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

    private static func end(_ request: AttemptRequest, in state: inout State) {
        state.running[request.master, default: 0] -= 1
        if state.running[request.master] == 0 { state.running[request.master] = nil }
    }

    /// Entries that are taken before the queue is moved to its front.
    private static let compactionCount = 256
}

/// One thread, and the engines that were made on it.
///
/// `@unchecked Sendable`: `engines` is touched only by the attempt that runs on the thread.
final class Slot: @unchecked Sendable {
    let executor = ThreadExecutor()
    private typealias Known = (execution: JobExecution, functions: JobFunctions?, engine: any JobEngine)
    private var engines: [JobNumber: Known] = [:]

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
        let functions = execution.functions
        // Its functions are loaded anew when their limits change.
        if let known = engines[execution.number], known.functions === functions { return known.engine }
        let engine = try execution.makeEngine()
        engines = engines.filter { !$0.value.execution.isCancelled }
        if engines.count >= Slot.maxEngineCount { engines.removeAll() }
        engines[execution.number] = (execution, functions, engine)
        return engine
    }
}
