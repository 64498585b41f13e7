import Multiformats
import PeerNode

/// Hosts that reach each other through memory.
actor MemoryNetwork {
    struct Unreachable: Error {}

    private var hosts: [PeerID: MemoryHost] = [:]

    /// A new host, whose id follows from `number`.
    func makeHost(_ number: UInt8) -> MemoryHost {
        makeHost(.numbered(number))
    }

    /// A new host under an id.
    func makeHost(_ peer: PeerID) -> MemoryHost {
        let host = MemoryHost(peer: peer, network: self)
        hosts[peer] = host
        return host
    }

    func host(_ peer: PeerID) -> MemoryHost? { hosts[peer] }

    /// The host at the other end, when both are on the network.
    func route(from own: PeerID, to peer: PeerID) -> MemoryHost? { hosts[own] == nil ? nil : hosts[peer] }

    /// Takes a host off the network, as when its machine stops.
    func remove(_ peer: PeerID) async {
        guard let host = hosts.removeValue(forKey: peer) else { return }
        for other in await host.connectedPeers() { await host.disconnect(other.id) }
    }
}

extension PeerID {
    /// The peer of a key that is `number` thirty-two times.
    static func numbered(_ number: UInt8) -> PeerID {
        key([UInt8](repeating: number, count: 32))
    }

    /// The peer of an Ed25519 key.
    static func key(_ key: [UInt8]) -> PeerID {
        guard let peer = try? PeerID(bytes: [0, 36, 8, 1, 18, 32] + key) else {
            preconditionFailure("a peer id of an Ed25519 key is 38 bytes")
        }
        return peer
    }
}

/// A host in memory. `run()` owns the tasks of inbound streams.
actor MemoryHost: StreamHost {
    typealias Handler = @Sendable (PeerID, any PeerStream) async throws -> Void

    nonisolated let localPeer: PeerID
    private let network: MemoryNetwork
    private var handlers: [String: Handler] = [:]
    private var handlerWaiters: [(Int, CheckedContinuation<Void, Never>)] = []
    private var connected: Set<PeerID> = []
    private var streams: [PeerID: [MemoryStream]] = [:]
    private var watchers: [AsyncStream<PeerEvent>.Continuation] = []
    private let inbound: AsyncStream<(PeerID, MemoryStream, Handler)>
    private let accept: AsyncStream<(PeerID, MemoryStream, Handler)>.Continuation

    init(peer: PeerID, network: MemoryNetwork) {
        localPeer = peer
        self.network = network
        (inbound, accept) = AsyncStream.makeStream(bufferingPolicy: .bufferingOldest(1024))
    }

    func run() async {
        await withDiscardingTaskGroup { group in
            for await (peer, stream, handler) in inbound {
                group.addTask {
                    do {
                        try await handler(peer, stream)
                        try await stream.closeWrite()
                    } catch {
                        await stream.reset()
                    }
                }
            }
            group.cancelAll()
        }
    }

    var protocols: [String] { handlers.keys.sorted() }

    func connectedPeers() async -> [ConnectedPeer] {
        var peers: [ConnectedPeer] = []
        for peer in connected.sorted() {
            let protocols = await network.host(peer)?.protocols ?? []
            peers.append(
                ConnectedPeer(id: peer, address: .memory(peer), isInbound: false, protocols: protocols)
            )
        }
        return peers
    }

    func peerEvents() -> AsyncStream<PeerEvent> {
        let (events, watcher) = AsyncStream.makeStream(
            of: PeerEvent.self,
            bufferingPolicy: .bufferingNewest(256)
        )
        watchers.append(watcher)
        return events
    }

    func serve(_ protocolID: String, _ handler: @escaping Handler) {
        handlers[protocolID] = handler
        for (count, waiter) in handlerWaiters where handlers.count >= count { waiter.resume() }
        handlerWaiters.removeAll { handlers.count >= $0.0 }
    }

    /// Waits until so many protocols are served, so that peers learn them when they connect.
    func awaitHandlers(_ count: Int) async {
        guard handlers.count < count else { return }
        await withCheckedContinuation { handlerWaiters.append((count, $0)) }
    }

    func openStream(to peer: PeerID, protocolIDs: [String]) async throws -> any PeerStream {
        if !connected.contains(peer) { try await connect(to: peer, addresses: []) }
        guard let other = await network.route(from: localPeer, to: peer) else {
            throw MemoryNetwork.Unreachable()
        }
        let (ours, theirs) = MemoryStream.pair()
        guard await other.accept(theirs, from: localPeer, protocolIDs: protocolIDs) else {
            throw MemoryNetwork.Unreachable()
        }
        streams[peer, default: []].append(ours)
        return ours
    }

    private func accept(_ stream: MemoryStream, from peer: PeerID, protocolIDs: [String]) -> Bool {
        guard let handler = protocolIDs.lazy.compactMap({ self.handlers[$0] }).first else { return false }
        streams[peer, default: []].append(stream)
        accept.yield((peer, stream, handler))
        return true
    }

    func connect(to peer: PeerID, addresses: [Multiaddr]) async throws {
        guard !connected.contains(peer) else { return }
        guard let other = await network.route(from: localPeer, to: peer) else {
            throw MemoryNetwork.Unreachable()
        }
        appeared(peer, protocols: await other.protocols)
        await other.appeared(localPeer, protocols: protocols)
        // Either may have been taken off meanwhile.
        if await network.route(from: localPeer, to: peer) == nil {
            await vanished(peer)
            await other.vanished(localPeer)
            throw MemoryNetwork.Unreachable()
        }
    }

    func connect(to address: Multiaddr) async throws -> PeerID {
        guard let peer = address.peer else { throw MemoryNetwork.Unreachable() }
        try await connect(to: peer, addresses: [])
        return peer
    }

    func appeared(_ peer: PeerID, protocols: [String]) {
        guard connected.insert(peer).inserted else { return }
        tell(.connected(peer))
        tell(.identified(peer, protocols: protocols, signedRecord: nil))
    }

    func disconnect(_ peer: PeerID) async {
        await vanished(peer)
        await network.host(peer)?.vanished(localPeer)
    }

    func vanished(_ peer: PeerID) async {
        guard connected.remove(peer) != nil else { return }
        for stream in streams.removeValue(forKey: peer) ?? [] { await stream.reset() }
        tell(.disconnected(peer))
    }

    private func tell(_ event: PeerEvent) {
        for watcher in watchers { watcher.yield(event) }
    }

    func stop() { accept.finish() }
}

extension Multiaddr {
    /// Some address; memory needs none.
    static func memory(_ peer: PeerID) -> Multiaddr {
        guard let address = Multiaddr("/ip4/127.0.0.1/tcp/4001") else {
            preconditionFailure("a well-known address")
        }
        return address
    }
}
