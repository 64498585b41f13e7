package import MRProtocol
package import Multiformats

/// A task that another node asks this one to run.
package enum RemoteTask: Equatable, Sendable {
    case map(MapTaskMessage)
    case reduce(ReduceTaskMessage)
    case merge(MergeTaskMessage)

    /// What the task says of itself.
    package var head: TaskHead {
        switch self {
        case .map(let task): task.head
        case .reduce(let task): task.head
        case .merge(let task): task.head
        }
    }

    /// The kind that its receipt has to state.
    package var kind: Receipt.Kind {
        switch self {
        case .map: .map
        case .reduce: .reduce
        case .merge: .merge
        }
    }
}

/// What came of a task that another node gave.
package struct TaskAnswer: Sendable {
    package var receipt: [UInt8]
    package var report: TaskReport

    /// A sealed receipt, and what user functions said.
    package init(receipt: [UInt8], report: TaskReport = TaskReport()) {
        self.receipt = receipt
        self.report = report
    }
}

/// What answers the calls of other nodes about work: the job service.
package protocol WorkerDelegate: Sendable {
    /// Who this node is, and what `peer` may have it run now.
    func hello(to peer: PeerID) async -> HelloMessage

    /// Runs a task to its end.
    ///
    /// The task of the call is cancelled when the master goes away; then the attempt should end soon.
    ///
    /// - Parameters:
    ///   - task: checked to be well-formed, and no more than that.
    ///   - master: who asks.
    ///   - progress: to be called with the input bytes read so far, as often as convenient.
    /// - Returns: the sealed receipt and what user functions said, or why there is none.
    func run(
        _ task: RemoteTask,
        from master: PeerID,
        progress: @escaping @Sendable (_ byteCount: UInt64) -> Void
    ) async -> Result<TaskAnswer, CallError>

    /// Ends an attempt of that master; `false` when it was not running.
    func cancel(attempt: UInt64, from master: PeerID) async -> Bool

    /// A job of that master is over; `false` when nothing was kept for it.
    func endJob(_ job: CID, from master: PeerID) async -> Bool

    /// How far a job is that this node is the master of; `nil` when it is not.
    func status(ofJob job: CID) async -> JobStatusMessage?
}

/// What answers gossip: the membership.
package protocol GossipDelegate: Sendable {
    /// Takes in what a peer tells, does what it asks, and says what it should know.
    func answer(_ gossip: GossipMessage, from peer: PeerID) async -> GossipMessage
    /// A peer said who it is.
    func learned(_ hello: HelloMessage, from peer: PeerID) async
}
