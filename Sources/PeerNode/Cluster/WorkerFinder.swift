package import MRProtocol
package import Multiformats

/// Finds workers among the connected peers and offers them to the job service.
///
/// A peer is a worker from the answer to a `Hello` that names slots and this program's engine, until it disconnects
/// or a call to it fails.
package struct WorkerFinder: Sendable {
    private let host: any StreamHost
    private let service: JobService
    private let hello: @Sendable (PeerID) async -> HelloMessage

    /// A finder that greets with what `hello` says.
    package init(
        host: any StreamHost,
        service: JobService,
        hello: @escaping @Sendable (PeerID) async -> HelloMessage
    ) {
        self.host = host
        self.service = service
        self.hello = hello
    }

    /// Follows peers until the task is cancelled.
    package func run() async {
        await withDiscardingTaskGroup { group in
            group.addTask { await follow() }
            var round = 0
            while !Task.isCancelled {
                await greetAll(again: round.isMultiple(of: ClusterLimits.workerGreetRounds))
                round += 1
                // Cancelled: the loop ends.
                try? await Task.sleep(for: ClusterLimits.greetInterval)
            }
            group.cancelAll()
        }
    }

    private func follow() async {
        await withDiscardingTaskGroup { group in
            for await event in await host.peerEvents() {
                switch event {
                case .connected: break
                case .identified(let peer, let protocols, _):
                    if protocols.contains(MapReduceRequest.protocolID) { group.addTask { await greet(peer) } }
                case .disconnected(let peer): await service.workerLeft(peer, reason: "it disconnected")
                }
            }
        }
    }

    /// Greets peers that are connected and no workers (or workers `again`), and drops workers that are not connected, in case events were lost.
    private func greetAll(again: Bool) async {
        let connected = await host.connectedPeers()
        await service.dropWorkers(except: Set(connected.map(\.id)))
        var waiting = connected.filter { $0.protocols.contains(MapReduceRequest.protocolID) }.map(\.id)[...]
        while !waiting.isEmpty {
            let batch = waiting.prefix(ClusterLimits.maxGreetings)
            waiting = waiting.dropFirst(batch.count)
            await withDiscardingTaskGroup { group in
                for peer in batch { group.addTask { await greet(peer, again: again) } }
            }
        }
    }

    private func greet(_ peer: PeerID, again: Bool = false) async {
        if !again, await service.hasWorker(peer) { return }
        let caller = MapReducePeer(peer, host: host)
        // A peer that does not answer is greeted again later.
        guard let answer = try? await caller.hello(await hello(peer)) else { return }
        let known = service.engineNames
        guard answer.engines.contains(where: known.contains) else { return }
        guard answer.slots > 0 else { return await service.workerDeclined(peer) }
        await service.workerJoined(
            caller,
            slots: min(Int(answer.slots), JobLimits.maxSlots),
            engines: Set(answer.engines)
        )
    }
}
