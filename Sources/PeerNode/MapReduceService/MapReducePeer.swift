package import MRProtocol
package import Multiformats

/// Calls another node over `/mapreduce/1`: one method a call, one stream each.
package struct MapReducePeer: Sendable {
    /// Who is called.
    package let peer: PeerID
    private let host: any StreamHost

    /// A caller of `peer`; nothing is opened yet.
    package init(_ peer: PeerID, host: any StreamHost) {
        self.peer = peer
        self.host = host
    }

    /// Says who this node is; learns who the other one is.
    package func hello(_ message: HelloMessage) async throws(CallError) -> HelloMessage {
        let answer = try await call(.hello(message))
        guard case .hello(let hello) = answer else { throw Self.unexpected(answer) }
        return hello
    }

    /// Exchanges what both know of the cluster.
    ///
    /// - Parameters:
    ///   - message: what this node tells and asks.
    ///   - timeout: how long the answer may take.
    /// - Returns: what the other one tells.
    /// - Throws: `CallError`.
    package func gossip(
        _ message: GossipMessage,
        timeout: Duration = CallLimits.answerTimeout
    ) async throws(CallError) -> GossipMessage {
        let answer = try await call(.gossip(message), timeout: timeout)
        guard case .gossip(let gossip) = answer else { throw Self.unexpected(answer) }
        return gossip
    }

    /// Which of these blocks the peer stores, in their order; any number of them.
    package func have(_ cids: [CID]) async throws(CallError) -> [Bool] {
        var held: [Bool] = []
        held.reserveCapacity(cids.count)
        for start in stride(from: 0, to: cids.count, by: MapReduceRequest.maxHaveCount) {
            let part = Array(cids[start..<min(start + MapReduceRequest.maxHaveCount, cids.count)])
            let answer = try await call(.have(part))
            guard case .have(let bitmap) = answer else { throw Self.unexpected(answer) }
            held += MapReduceResponse.flags(of: bitmap, count: part.count)
        }
        return held
    }

    /// Lets the peer run a task, and waits for its end.
    ///
    /// Cancelling the caller's task, like a lost connection, ends the attempt over there, too.
    ///
    /// - Parameters:
    ///   - task: what to run.
    ///   - progress: called with the input bytes read so far, about once a second.
    /// - Returns: the receipt, checked to be the peer's, for this very task; it as it was sealed; and what user functions said.
    /// - Throws: `CallError`; `.failure` when the peer says why the task failed.
    package func run(
        _ task: RemoteTask,
        progress: @escaping @Sendable (_ byteCount: UInt64) -> Void = { _ in }
    ) async throws(CallError) -> (receipt: Receipt, sealed: [UInt8], report: TaskReport) {
        let messages = try await open()
        do {
            try await send(task.request, on: messages)
            while true {
                switch try await answer(on: messages, within: CallLimits.silenceTimeout) {
                case .progress(let count): progress(count)
                case .unknown: break
                case .result(let sealed, let report):
                    let receipt = try check(sealed, of: task)
                    await messages.reset()
                    return (receipt, sealed, report)
                case .failure(let failure): throw CallError.failure(failure)
                case let other: throw Self.unexpected(other)
                }
            }
        } catch {
            await messages.reset()
            throw .wrap(error)
        }
    }

    /// Ends an attempt that this node gave the peer; `false` when it was not running.
    package func cancel(attempt: UInt64) async throws(CallError) -> Bool {
        let answer = try await call(.cancel(attempt: attempt))
        guard case .cancelled(let wasRunning) = answer else { throw Self.unexpected(answer) }
        return wasRunning
    }

    /// Lets the peer drop what it keeps for a job of this node; `false` when it kept nothing.
    package func endJob(_ job: CID) async throws(CallError) -> Bool {
        let answer = try await call(.endJob(job))
        guard case .cancelled(let wasKept) = answer else { throw Self.unexpected(answer) }
        return wasKept
    }

    /// How far a job is that the peer is the master of.
    package func status(ofJob job: CID) async throws(CallError) -> JobStatusMessage {
        let answer = try await call(.jobStatus(job))
        guard case .jobStatus(let status) = answer else { throw Self.unexpected(answer) }
        return status
    }

    // MARK: One call

    private func call(
        _ request: MapReduceRequest,
        timeout: Duration = CallLimits.answerTimeout
    ) async throws(CallError) -> MapReduceResponse {
        let messages = try await open(within: timeout)
        let response: MapReduceResponse
        do {
            try await send(request, on: messages)
            var heard = try await answer(on: messages, within: timeout)
            // Answers of later versions are passed over.
            while heard == .unknown { heard = try await answer(on: messages, within: timeout) }
            response = heard
        } catch {
            await messages.reset()
            throw .wrap(error)
        }
        await messages.reset()
        if case .failure(let failure) = response { throw .failure(failure) }
        return response
    }

    private func open(within timeout: Duration = CallLimits.answerTimeout) async throws(CallError)
        -> MessageStream
    {
        do {
            let stream = try await withTimeout(timeout) { [host, peer] in
                try await host.openStream(to: peer, protocolIDs: [MapReduceRequest.protocolID])
            }
            return MessageStream(stream, maxByteCount: MapReduceResponse.maxByteCount)
        } catch {
            throw .wrap(error)
        }
    }

    private func send(_ request: MapReduceRequest, on messages: MessageStream) async throws {
        let bytes = request.bytes
        try await withTimeout(CallLimits.writeTimeout) {
            await messages.reset()
        } _: {
            try await messages.send(bytes)
            try await messages.closeWrite()
        }
    }

    private func answer(on messages: MessageStream, within limit: Duration) async throws -> MapReduceResponse
    {
        let bytes = try await withTimeout(limit) {
            await messages.reset()
        } _: {
            try await messages.next()
        }
        guard let bytes else { throw CallError.unreachable("peer \(peer) ended the call without an answer") }
        return try MapReduceResponse(bytes: bytes)
    }

    private func check(_ sealed: [UInt8], of task: RemoteTask) throws(CallError) -> Receipt {
        let receipt: Receipt
        do throws(SealedMessageFault) {
            receipt = try Receipt(sealed: sealed, verify: SignedEnvelope.ed25519Verifier)
        } catch {
            throw .violation("its receipt is not valid (\(error))")
        }
        let head = task.head
        let isRight =
            receipt.worker == peer && receipt.master == host.localPeer && receipt.kind == task.kind
            && receipt.job == head.job && receipt.key == head.key && receipt.attempt == head.attempt
            && receipt.engine == head.engine
        guard isRight else { throw .violation("its receipt is for something else") }
        return receipt
    }

    private static func unexpected(_ response: MapReduceResponse) -> CallError {
        if case .failure(let failure) = response { return .failure(failure) }
        return .violation("an answer to another call")
    }
}

extension RemoteTask {
    var request: MapReduceRequest {
        switch self {
        case .map(let task): .map(task)
        case .reduce(let task): .reduce(task)
        case .merge(let task): .merge(task)
        }
    }
}
