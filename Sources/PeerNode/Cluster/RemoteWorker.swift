import MRProtocol
import Multiformats

/// A run file, and the peer that has it.
struct RunReference: Hashable, Sendable {
    var root: CID
    var byteCount: UInt64
    /// `nil`: the node that speaks.
    var holder: PeerID?
}

/// One attempt as a master sends it to a worker.
struct RemoteTask: Sendable {
    enum Work: Sendable {
        case map(MapAssignment)
        case reduce(partition: Int, [RunReference])
    }

    /// Tells the jobs of one master apart.
    var job: UInt64
    /// Tells the attempts of one master apart.
    var attempt: UInt64
    /// Canonical block of the job's specification.
    var spec: [UInt8]
    var work: Work
    /// Peers that are likely to have the inputs.
    var holders: [PeerID]
}

/// What an attempt on a worker made: a run file, or a part of the result.
struct RemoteOutput: Sendable {
    var root: CID
    /// File bytes.
    var byteCount: UInt64
    var counters: TaskCounters
    /// Leaves behind the assignment that a map read.
    var lookaheadCount = 0
    /// Input blocks that the worker had to fetch, and their bytes.
    var fetchedBlockCount = 0
    var fetchedByteCount: UInt64 = 0
}

/// Why a worker gave no output.
enum RemoteFailure: Error, Sendable {
    /// The attempt ran and failed.
    case task(TaskFault)
    /// The worker is gone, or does not keep to the protocol.
    case lost(String)
}

/// Another node that executes attempts for this one.
protocol RemoteWorker: Sendable {
    var peer: PeerID { get }
    /// Executes one attempt there; `progress` gets file bytes read since the last call.
    func execute(
        _ task: RemoteTask,
        progress: @escaping @Sendable (Int) -> Void
    ) async throws(RemoteFailure) -> RemoteOutput
    /// Which blocks are there; a worker that does not answer in time has none.
    func have(_ cids: [CID]) async -> [Bool]?
    /// Stops one attempt, or with `nil` ends the job: its runs may go.
    func cancel(job: UInt64, attempt: UInt64?) async
}
