package import BlockStore
import MRProtocol
package import Multiformats
import Synchronization

/// Answers the calls of other nodes over `/mapreduce/1`: one stream a call.
///
/// `have` is answered from the store; tasks, cancels and job status by the worker delegate; gossip by the membership.
/// A call that is not known, not well-formed or too much is answered with a typed failure.
package actor MapReduceService {
    private nonisolated let host: any StreamHost
    private nonisolated let reader: StoreReader
    private nonisolated let worker: any WorkerDelegate
    private nonisolated let gossip: (any GossipDelegate)?
    private let budget: MessageBudget
    private let requestTimeout: Duration
    private nonisolated let onMalformed: @Sendable (PeerID, _ reason: String) -> Void
    private var callCounts: [PeerID: Int] = [:]
    private var callCount = 0
    /// Figures for `status`.
    package private(set) var figures = Figures()

    /// Counts of calls.
    package struct Figures: Equatable, Sendable {
        package var served: UInt64 = 0
        /// Turned away because too many were running.
        package var busy: UInt64 = 0
        /// Requests that were no requests.
        package var malformed: UInt64 = 0
        package var unknown: UInt64 = 0
        /// Streams that ended or stalled before the request was whole, or before the answer was taken.
        package var broken: UInt64 = 0
    }

    /// A service that answers nothing until `start()`.
    ///
    /// - Parameters:
    ///   - host: whose streams are served.
    ///   - store: what `have` is answered from.
    ///   - worker: what runs tasks.
    ///   - gossip: the membership; `nil` answers gossip with nothing.
    ///   - budget: memory for requests that are not whole.
    ///   - requestTimeout: how long a request may take to arrive.
    ///   - onMalformed: called with who sent what is no request, for the log; must not block.
    package init(
        host: any StreamHost,
        store: any BlockStore,
        worker: any WorkerDelegate,
        gossip: (any GossipDelegate)? = nil,
        budget: MessageBudget = MessageBudget(byteCount: CallLimits.maxPartialByteCount),
        requestTimeout: Duration = CallLimits.requestTimeout,
        onMalformed: @escaping @Sendable (PeerID, _ reason: String) -> Void = { _, _ in }
    ) {
        self.host = host
        self.onMalformed = onMalformed
        self.worker = worker
        self.gossip = gossip
        self.budget = budget
        self.requestTimeout = requestTimeout
        reader = StoreReader(store)
    }

    /// Lets the host hand over the streams of the protocol; they run in its tasks.
    package func start() async {
        await host.serve(MapReduceRequest.protocolID) { [self] peer, stream in try await serve(peer, stream) }
    }

    private func serve(_ peer: PeerID, _ stream: any PeerStream) async throws {
        let messages = MessageStream(
            stream,
            maxByteCount: MapReduceRequest.maxByteCount,
            budget: budget
        )
        guard begin(peer) else {
            figures.busy += 1
            return try await send(
                .failure(CallFailure(.busy, message: "too many calls at a time")),
                on: messages
            )
        }
        defer { end(peer) }
        do {
            guard let request = try await readRequest(messages, from: peer) else { return }
            figures.served += 1
            try await answer(request, from: peer, on: messages)
        } catch {
            figures.broken += 1
            throw error
        }
    }

    private func begin(_ peer: PeerID) -> Bool {
        guard callCount < CallLimits.maxCalls, callCounts[peer, default: 0] < CallLimits.maxCallsPerPeer
        else {
            return false
        }
        callCount += 1
        callCounts[peer, default: 0] += 1
        return true
    }

    private func end(_ peer: PeerID) {
        callCount -= 1
        callCounts[peer, default: 0] -= 1
        if callCounts[peer] == 0 { callCounts[peer] = nil }
    }

    /// The request; `nil` when it was none and the caller has been told.
    private func readRequest(_ messages: MessageStream, from peer: PeerID) async throws -> MapReduceRequest? {
        let failure: CallFailure
        do {
            let bytes = try await withTimeout(requestTimeout) {
                await messages.reset()
            } _: {
                try await messages.next()
            }
            guard let bytes else { return nil }
            return try MapReduceRequest(bytes: bytes)
        } catch let fault as DelimitedFault {
            failure = CallFailure(.tooLarge, message: "the request is over its limit (\(fault))")
        } catch MessageStreamFault.noRoom {
            figures.busy += 1
            let busy = CallFailure(.busy, message: "too many long requests at a time")
            try await send(.failure(busy), on: messages)
            return nil
        } catch let fault as MessageFault {
            failure = CallFailure(.malformed, message: "the request cannot be read (\(fault))")
        }
        figures.malformed += 1
        onMalformed(peer, failure.message)
        try await send(.failure(failure), on: messages)
        return nil
    }

    private func answer(_ request: MapReduceRequest, from peer: PeerID, on messages: MessageStream)
        async throws
    {
        switch request {
        case .hello(let hello):
            guard hello.version > 0 else {
                let failure = CallFailure(
                    .unsupportedVersion,
                    message: "version 0 is not a version of the protocol"
                )
                return try await send(.failure(failure), on: messages)
            }
            await gossip?.learned(hello, from: peer)
            try await send(.hello(await worker.hello(to: peer)), on: messages)
        case .gossip(let message):
            let answer = await gossip?.answer(message, from: peer) ?? GossipMessage()
            try await send(.gossip(answer), on: messages)
        case .have(let cids):
            let held = await reader.byteCounts(of: cids).map { $0.byteCount != nil }
            try await send(.have(bitmap: MapReduceResponse.bitmap(held)), on: messages)
        case .map(let task): try await run(.map(task), from: peer, on: messages)
        case .reduce(let task): try await run(.reduce(task), from: peer, on: messages)
        case .merge(let task): try await run(.merge(task), from: peer, on: messages)
        case .cancel(let attempt):
            let wasRunning = await worker.cancel(attempt: attempt, from: peer)
            try await send(.cancelled(wasRunning: wasRunning), on: messages)
        case .endJob(let job):
            let wasKept = await worker.endJob(job, from: peer)
            try await send(.cancelled(wasRunning: wasKept), on: messages)
        case .jobStatus(let job):
            let status = await worker.status(ofJob: job)
            let unknown = CallFailure(.unknownJob, message: "this node is not the master of job \(job)")
            try await send(status.map(MapReduceResponse.jobStatus) ?? .failure(unknown), on: messages)
        case .unknown:
            figures.unknown += 1
            let failure = CallFailure(.unknownCall, message: "this version does not know the call")
            try await send(.failure(failure), on: messages)
        }
    }

    /// Runs a task and says every second how far it is; a caller that is gone takes the task with it.
    private nonisolated func run(_ task: RemoteTask, from peer: PeerID, on messages: MessageStream)
        async throws
    {
        let progress = Progress()
        try await withThrowingTaskGroup(of: Result<TaskAnswer, CallError>?.self) { group in
            group.addTask { [worker] in
                await worker.run(task, from: peer) { count in progress.set(count) }
            }
            group.addTask {
                while true {
                    do { try await Task.sleep(for: CallLimits.progressInterval) } catch { return nil }
                    try await self.send(.progress(byteCount: progress.byteCount), on: messages)
                }
            }
            defer { group.cancelAll() }
            guard let outcome = try await group.next() ?? nil else { throw CancellationError() }
            switch outcome {
            case .success(let answer):
                try await send(.result(receipt: answer.receipt, report: answer.report), on: messages)
            case .failure(.failure(let failure)): try await send(.failure(failure), on: messages)
            case .failure(let error):
                try await send(.failure(CallFailure(.internal, message: error.description)), on: messages)
            }
        }
    }

    private nonisolated func send(_ response: MapReduceResponse, on messages: MessageStream) async throws {
        let bytes = response.bytes
        try await withTimeout(CallLimits.writeTimeout) {
            await messages.reset()
        } _: {
            try await messages.send(bytes)
        }
    }
}

/// How far a task is, told by the thread that runs it.
private final class Progress: Sendable {
    private let count = Mutex<UInt64>(0)

    var byteCount: UInt64 { count.withLock { $0 } }

    func set(_ byteCount: UInt64) { count.withLock { $0 = byteCount } }
}
