internal import BlockStore
internal import LibP2P
internal import MRProtocol
internal import Multiformats
internal import Synchronization

// MARK: - The node

extension LocalNode {
    /// As `NodeService` says.
    public func identity() async throws -> NodeIdentity {
        let home = home
        let key = try await threads.run { try IdentityFile.load(home) }
        let peer = try IdentityFile.peerID(of: key)
        let addresses = await network?.host.listenAddresses.map { $0.with(peer: peer).description }
        return NodeIdentity(
            peerID: peer.description,
            addresses: addresses ?? [],
            agent: Version.agent,
            protocols: await network?.host.protocolNames ?? []
        )
    }

    /// As `NodeService` says.
    public func status() async throws -> NodeStatus {
        var status = NodeStatus(
            identity: try await identity(),
            isDaemon: options.isDaemon,
            startedAt: startedAt,
            repository: try await repositoryStatistics(),
            slotCount: options.slots,
            peers: [],
            activeJobs: try await jobs().filter { !$0.state.isFinal }
        )
        status.sandbox = gate.sandbox
        // A wrong file shows in `policy show`, and in the refusals.
        status.allowsUnconfined = (try? gate.policy().allowsUnconfined) ?? false
        guard let network else { return status }
        status.peers = try await peers()
        status.counters = await network.counters()
        status.counters["policy"] = ["refusedJobs": gate.refusalCount]
        status.bootstrap = await network.membership.status().bootstrap.map(BootstrapInfo.init)
        status.waits = await network.exchange.status().waits.map { wait in
            "block \(wait.cid) and \(wait.missingCount - 1) others, for \(wait.waited.components.seconds) s, "
                + "from \(wait.peerCount) peers"
        }
        return status
    }

    // MARK: Peers

    /// As `NodeService` says.
    public func peers() async throws -> [PeerInfo] {
        guard let network else { throw LocalNode.notConnected }
        return await network.membership.peers().map(PeerInfo.init)
    }

    /// As `NodeService` says.
    public func connect(_ address: String) async throws -> String {
        let network = try connected()
        do {
            return try await network.membership.connect(to: try NodeNetwork.address(address)).description
        } catch let error as HostError {
            throw NodeError(.unreachable, error.message)
        }
    }

    /// As `NodeService` says.
    public func disconnect(_ peer: String) async throws {
        let network = try connected()
        let id = try NodeNetwork.peer(peer)
        guard await network.host.connectedPeers().contains(where: { $0.id == id }) else {
            throw NodeError(.notFound, "peer \(peer) is not connected; `peerctl peers` lists those that are")
        }
        await network.membership.disconnect(id)
    }

    /// As `NodeService` says.
    public func ping(_ peer: String) async throws -> Double {
        let network = try connected()
        do throws(HostError) {
            let peer = try LocalNode.peer(peer)
            guard peer != network.host.localPeer else {
                throw HostError(.noAddress, "\(peer) is this node itself, which has no connection to ping")
            }
            return try await network.host.ping(peer) / .milliseconds(1)
        } catch {
            throw NodeError(.unreachable, error.message)
        }
    }

    /// As `NodeService` says.
    public func echo(_ peer: String, byteCount: UInt64, halfCloses: Bool) async throws -> UInt64 {
        let network = try connected()
        let peer = try NodeNetwork.peer(peer)
        do {
            guard byteCount <= EchoCall.maxByteCount else {
                throw NodeError(
                    .invalidArgument,
                    "\(byteCount) bytes are over \(EchoCall.maxByteCount)"
                )
            }
            let stream = try await network.host.openStream(to: peer, protocolIDs: [EchoCall.protocolID])
            return try await EchoCall(stream: stream, byteCount: byteCount, halfCloses: halfCloses).run()
        } catch let error as HostError {
            throw NodeError(.unreachable, error.message)
        }
    }

    private func connected() throws(NodeError) -> NodeNetwork {
        guard let network else { throw LocalNode.notConnected }
        return network
    }

    private static func peer(_ text: String) throws(HostError) -> PeerID {
        guard let peer = PeerID(text) else {
            throw HostError(.noAddress, "«\(text)» is not a peer id such as 12D3KooW…")
        }
        return peer
    }

    private static let notConnected = NodeError(
        .notConnected,
        "this command works by itself, without a network; start peernode on this home first"
    )
}

extension NodeNetwork {
    /// What was refused, dropped or failed, by part and reason.
    func counters() async -> [String: [String: UInt64]] {
        var counters = await host.status.counters
        let blocks = await exchange.status()
        counters["exchange"] = [
            "blocksReceived": blocks.receivedBlockCount, "bytesReceived": blocks.receivedByteCount,
            "blocksSent": blocks.sentBlockCount, "bytesSent": blocks.sentByteCount,
            "blocksUnwanted": blocks.unwantedBlockCount, "badMessages": blocks.badMessageCount,
            "streamsRefused": blocks.refusedStreamCount, "peersDistrusted": blocks.distrustedPeerCount,
            "wantsDropped": blocks.droppedWantCount,
            "messagesHeldBack": blocks.heldBackMessageCount,
        ]
        let served = await calls.figures
        counters["calls"] = [
            "served": served.served, "busy": served.busy, "malformed": served.malformed,
            "unknown": served.unknown, "broken": served.broken,
        ]
        let records = await membership.status().counters
        counters["peerRecords"] = [
            "accepted": records.accepted, "stale": records.stale, "forged": records.forged,
            "oversized": records.oversized, "future": records.future, "full": records.full,
            "refuted": records.refuted,
        ]
        return counters
    }
}

extension PeerInfo {
    init(_ peer: PeerSummary) {
        self.init(
            peerID: peer.peer.description,
            address: peer.address?.description ?? "",
            state: peer.isConnected ? "connected" : peer.state.map { "\($0)" } ?? "unknown",
            roundTripMilliseconds: peer.roundTripTime.map { $0 / .milliseconds(1) },
            agent: peer.agent,
            slotCount: peer.slots
        )
        protocols = peer.protocols
        busySlotCount = peer.busySlots
    }
}

extension BootstrapInfo {
    init(_ target: BootstrapSchedule.Target) {
        self.init(
            address: target.address.description,
            isConnected: target.isConnected,
            failureCount: target.failureCount,
            lastFailure: target.lastFailure
        )
    }
}
