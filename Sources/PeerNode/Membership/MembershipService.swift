package import MRProtocol
package import Multiformats
package import PeerCrypto

/// Keeps this node in its cluster: drives the membership machine over `/mapreduce/1`, dials the bootstrap addresses for
/// as long as they are not connected, and keeps what is known in `peers.db`.
///
/// `run()` owns every task.
package actor MembershipService: GossipDelegate {
    /// What the service is made with.
    package struct Configuration: Sendable {
        /// The node's key, which signs its records.
        package var identity: Ed25519.KeyPair
        /// Addresses of peers to begin with.
        package var bootstrap: [Multiaddr]
        /// Path of `peers.db`; `nil`: nothing is kept.
        package var tablePath: String?
        package var settings: MembershipSettings
        /// How often connected members are asked for their slots, and those that are not alive here are greeted anew.
        package var helloInterval = MembershipService.helloInterval

        /// A configuration with the usual times.
        package init(
            identity: Ed25519.KeyPair,
            bootstrap: [Multiaddr] = [],
            tablePath: String? = nil,
            settings: MembershipSettings = MembershipSettings()
        ) {
            self.identity = identity
            self.bootstrap = bootstrap
            self.tablePath = tablePath
            self.settings = settings
        }
    }

    /// How often changed members are written to disk.
    package static let saveInterval: Duration = .seconds(2)
    /// How often this node looks whether its own addresses changed.
    package static let addressInterval: Duration = .seconds(15)
    /// How often connected members are asked for their slots, and those that are not alive here are greeted anew.
    package static let helloInterval: Duration = .seconds(10)
    /// Longest wait of the clock, so that a nearer deadline is not missed by more.
    package static let clockTick: Duration = .milliseconds(100)
    /// How long a gossip call may take; the machine gives it up before.
    package static let callTimeout: Duration = .seconds(4)
    /// Tasks that wait to be started.
    package static let maxQueuedWorkCount = 1024

    private nonisolated let host: any StreamHost
    private nonisolated let identity: Ed25519.KeyPair
    private nonisolated let ownHello: @Sendable (PeerID) async -> HelloMessage
    private nonisolated let ownAddresses: @Sendable () async -> [Multiaddr]
    private nonisolated let onEvent: @Sendable (MembershipEvent) -> Void
    private nonisolated let helloInterval: Duration
    private nonisolated let origin = ContinuousClock.now
    private nonisolated let table: PeerTable?
    private nonisolated let work: AsyncStream<Work>
    private nonisolated let workContinuation: AsyncStream<Work>.Continuation

    private var machine: Membership
    private var random = SystemRandomNumberGenerator()
    private var bootstrap: BootstrapSchedule
    private var addresses: [Multiaddr] = []
    private var hellos: [PeerID: HelloMessage] = [:]
    /// Connected members that were told what we know; identify may come again and again.
    private var greeted: Set<PeerID> = []
    private var lastAlive: [PeerID: Int64] = [:]
    private var unsaved: Set<PeerID> = []
    private var forgotten: Set<PeerID> = []
    private var tableFailure = ""
    private var lastCallNumber: UInt64 = 0
    /// Answers that the machine gave before, or after, the calls asked for them.
    private var answers: [UInt64: GossipMessage] = [:]
    private var awaited: [UInt64: CheckedContinuation<GossipMessage, Never>] = [:]
    private var isStopped = false

    private enum Work: Sendable {
        case call(UInt64, PeerID, [Multiaddr], GossipMessage)
        case bootstrap(Multiaddr)
        case hello(PeerID)
    }

    /// A service that does nothing until `run()`.
    ///
    /// - Parameters:
    ///   - configuration: identity, bootstrap, times.
    ///   - host: the node's connections.
    ///   - addresses: where others may dial this node, without `/p2p/…`.
    ///   - hello: who this node is and what it can run now for a peer.
    ///   - onEvent: called for what belongs into the log; must not block.
    package init(
        _ configuration: Configuration,
        host: any StreamHost,
        addresses: @escaping @Sendable () async -> [Multiaddr],
        hello: @escaping @Sendable (PeerID) async -> HelloMessage,
        onEvent: @escaping @Sendable (MembershipEvent) -> Void = { _ in }
    ) {
        self.host = host
        self.onEvent = onEvent
        identity = configuration.identity
        ownHello = hello
        ownAddresses = addresses
        helloInterval = configuration.helloInterval
        table = configuration.tablePath.map(PeerTable.init)
        bootstrap = BootstrapSchedule(configuration.bootstrap, except: host.localPeer)
        let unixOrigin = UnixTime.nanoseconds
        machine = Membership(
            record: SignedPeerRecord(sequence: unixOrigin, addresses: [], keyPair: configuration.identity),
            settings: configuration.settings,
            unixOrigin: unixOrigin,
            now: .zero,
            verify: SignedEnvelope.ed25519Verifier
        )
        (work, workContinuation) = AsyncStream.makeStream(
            bufferingPolicy: .bufferingOldest(Self.maxQueuedWorkCount)
        )
    }

    /// Takes part in the cluster until `stop()` is called or the task is cancelled.
    package func run() async {
        await refreshAddresses()
        await loadTable()
        await withDiscardingTaskGroup { group in
            group.addTask { await self.keepTime() }
            group.addTask { await self.followPeers() }
            group.addTask { await self.refresh() }
            for await item in work { group.addTask { await self.perform(item) } }
            group.cancelAll()
        }
        isStopped = true
        workContinuation.finish()
        for waiting in awaited.values { waiting.resume(returning: GossipMessage()) }
        awaited = [:]
        await save()
    }

    /// Lets `run()` return, after a last save.
    package nonisolated func stop() { workContinuation.finish() }

    // MARK: What users see

    /// Members and connected peers, by id.
    package func peers() async -> [PeerSummary] {
        let connected = Dictionary(await host.connectedPeers().map { ($0.id, $0) }) { first, _ in first }
        let members = Dictionary(machine.members.map { ($0.peer, $0) }) { first, _ in first }
        return Set(connected.keys).union(members.keys).sorted().map { peer in
            summary(peer, connected[peer], members[peer])
        }
    }

    private func summary(_ peer: PeerID, _ connected: ConnectedPeer?, _ member: Member?) -> PeerSummary {
        let hello = hellos[peer]
        let agent = connected.map(\.agent) ?? ""
        return PeerSummary(
            peer: peer,
            isConnected: connected != nil,
            state: member?.state,
            address: connected.map { address(of: $0, member) } ?? member?.record.addresses.first,
            roundTripTime: connected?.roundTripTime,
            agent: agent.isEmpty ? hello?.agent ?? "" : agent,
            protocols: connected?.protocols ?? [],
            slots: hello.map { Int($0.slots) },
            busySlots: hello.map { Int($0.busySlots) },
            engines: hello?.engines ?? []
        )
    }

    /// Where a connected peer can be reached: who dialed this node did it from a port that nobody can dial, but its signed
    /// record says where it listens.
    private func address(of connected: ConnectedPeer, _ member: Member?) -> Multiaddr {
        guard connected.isInbound, let addresses = member?.record.addresses else { return connected.address }
        let host = connected.address.tcpEndpoint?.host
        return addresses.first { $0.tcpEndpoint?.host == host } ?? addresses.first ?? connected.address
    }

    /// Figures for `status`.
    package func status() -> MembershipStatus {
        MembershipStatus(
            livingCount: machine.livingCount,
            knownCount: machine.members.count,
            counters: machine.counters,
            bootstrap: bootstrap.targets,
            tableFailure: tableFailure
        )
    }

    /// Connects to whoever answers at an address, and trades knowledge with it.
    ///
    /// - Returns: the peer that answered.
    /// - Throws: `HostError`.
    package func connect(to address: Multiaddr) async throws -> PeerID {
        let peer = try await host.connect(to: address)
        apply(machine.greet(peer, now: now, random: &random))
        return peer
    }

    /// Closes the connections to a peer; gossip may open one again.
    package func disconnect(_ peer: PeerID) async { await host.disconnect(peer) }

    // MARK: Gossip from others

    package func answer(_ gossip: GossipMessage, from peer: PeerID) async -> GossipMessage {
        guard !isStopped else { return GossipMessage() }
        lastCallNumber += 1
        let number = lastCallNumber
        let forgedCount = machine.counters.forged
        apply(machine.received(gossip, from: peer, id: number, now: now, random: &random))
        noteForged(since: forgedCount, from: peer)
        if let answer = answers.removeValue(forKey: number) { return answer }
        // The machine answers every call within the time of a probe, also when it comes to nothing.
        return await withCheckedContinuation { awaited[number] = $0 }
    }

    package func learned(_ hello: HelloMessage, from peer: PeerID) {
        guard hellos[peer] != nil || hellos.count < MembershipSettings.maxMemberCount else { return }
        hellos[peer] = hello
    }

    // MARK: The machine

    private nonisolated var now: Duration { ContinuousClock.now - origin }

    private func apply(_ actions: [Membership.Action]) {
        for action in actions {
            switch action {
            case .call(let number, let peer, let addresses, let message):
                if case .enqueued = workContinuation.yield(.call(number, peer, addresses, message)) {
                    continue
                }
                apply(machine.failed(number, now: now, random: &random))
            case .answer(let number, let message):
                if let waiting = awaited.removeValue(forKey: number) {
                    waiting.resume(returning: message)
                } else {
                    answers[number] = message
                }
            case .renewRecord(let sequence): renewRecord(atLeast: sequence)
            case .changed(let peer, let state): changed(peer, state)
            case .forgotten(let peer): forget(peer)
            }
        }
    }

    private func noteForged(since count: UInt64, from peer: PeerID) {
        let forged = machine.counters.forged - count
        if forged > 0 { onEvent(.forgedRecords(peer, count: forged)) }
    }

    private func renewRecord(atLeast sequence: UInt64) {
        let record = SignedPeerRecord(
            sequence: max(sequence, UnixTime.nanoseconds),
            addresses: Array(addresses.prefix(PeerRecord.maxAddressCount)),
            keyPair: identity
        )
        machine.renewed(record)
    }

    private func changed(_ peer: PeerID, _ state: MemberState) {
        unsaved.insert(peer)
        forgotten.remove(peer)
        if state == .alive { lastAlive[peer] = Int64(UnixTime.nanoseconds / 1_000_000_000) }
        onEvent(.changed(peer, state))
    }

    private func forget(_ peer: PeerID) {
        unsaved.remove(peer)
        forgotten.insert(peer)
        lastAlive[peer] = nil
        hellos[peer] = nil
    }

    private func perform(_ item: Work) async {
        switch item {
        case .call(let number, let peer, let addresses, let message):
            do {
                try await host.connect(to: peer, addresses: addresses)
                let answer = try await MapReducePeer(peer, host: host).gossip(
                    message,
                    timeout: Self.callTimeout
                )
                let forgedCount = machine.counters.forged
                apply(machine.answered(number, answer, now: now, random: &random))
                noteForged(since: forgedCount, from: peer)
            } catch {
                apply(machine.failed(number, now: now, random: &random))
            }
        case .bootstrap(let address): await dial(address)
        case .hello(let peer):
            // A peer that does not answer is asked again later.
            if let hello = try? await MapReducePeer(peer, host: host).hello(await ownHello(peer)) {
                learned(hello, from: peer)
            }
        }
    }

    private func dial(_ address: Multiaddr) async {
        do {
            let peer = try await host.connect(to: address)
            bootstrap.succeeded(address, peer: peer)
            apply(machine.greet(peer, now: now, random: &random))
        } catch {
            bootstrap.failed(
                address,
                reason: "\(error)",
                now: now,
                jitter: .random(in: 0...1, using: &random)
            )
            onEvent(.bootstrapFailed(address, reason: "\(error)"))
        }
    }

    // MARK: Peers and time

    private func followPeers() async {
        let events = await host.peerEvents()
        for peer in await host.connectedPeers() {
            bootstrap.connected(peer.id)
            if peer.protocols.contains(MapReduceRequest.protocolID) { met(peer.id, record: nil) }
        }
        for await event in events {
            switch event {
            case .connected(let peer): bootstrap.connected(peer)
            case .identified(let peer, let protocols, let record):
                // Plain libp2p peers are welcome to exchange blocks, and are no members of the cluster.
                if protocols.contains(MapReduceRequest.protocolID) { met(peer, record: record) }
            case .disconnected(let peer): left(peer)
            }
        }
    }

    private func met(_ peer: PeerID, record: [UInt8]?) {
        if let record { apply(machine.learn([record], now: now)) }
        guard greeted.insert(peer).inserted else { return }
        apply(machine.greet(peer, now: now, random: &random))
        workContinuation.yield(.hello(peer))
    }

    private func left(_ peer: PeerID) {
        greeted.remove(peer)
        if machine.member(peer) == nil { hellos[peer] = nil }
        bootstrap.disconnected(peer, now: now)
    }

    private func keepTime() async {
        while !Task.isCancelled {
            let time = now
            if machine.nextDeadline <= time { apply(machine.deadlineReached(now: time, random: &random)) }
            for address in bootstrap.takeDue(now: time) {
                if case .enqueued = workContinuation.yield(.bootstrap(address)) { continue }
                bootstrap.failed(address, reason: "this node is busy", now: time, jitter: 1)
            }
            let next = min(machine.nextDeadline, bootstrap.nextDeadline ?? .seconds(Int64.max))
            let wait = min(max(next - now, .milliseconds(1)), Self.clockTick)
            // Cancelled: the loop ends.
            try? await Task.sleep(for: wait)
        }
    }

    /// Saves, and looks at what changes slowly.
    private func refresh() async {
        var nextAddresses = now + Self.addressInterval
        var nextHellos = now + helloInterval
        while !Task.isCancelled {
            // Cancelled: the loop ends.
            try? await Task.sleep(for: min(Self.saveInterval, helloInterval))
            await save()
            if now >= nextAddresses {
                nextAddresses = now + Self.addressInterval
                await refreshAddresses()
            }
            if now >= nextHellos {
                nextHellos = now + helloInterval
                for peer in await host.connectedPeers()
                where peer.protocols.contains(MapReduceRequest.protocolID) {
                    workContinuation.yield(.hello(peer.id))
                    greetAgain(peer.id)
                }
            }
        }
    }

    /// A connection outlives a greeting that was lost, and a member that was declared dead behind it.
    private func greetAgain(_ peer: PeerID) {
        guard machine.member(peer)?.state != .alive else { return }
        apply(machine.greet(peer, now: now, random: &random))
    }

    private func refreshAddresses() async {
        let current = await ownAddresses()
        guard current != addresses else { return }
        addresses = current
        renewRecord(atLeast: 0)
    }

    // MARK: The table on disk

    private func loadTable() async {
        guard let table else { return }
        do {
            let rows = try await table.rows()
            for row in rows { lastAlive[row.peer] = row.lastAlive }
            apply(machine.learn(rows.map(\.envelope), now: now))
        } catch {
            tableFailed(error)
        }
    }

    private func save() async {
        guard let table, !unsaved.isEmpty || !forgotten.isEmpty else { return }
        let rows = unsaved.compactMap { peer in
            machine.member(peer).map { member in
                PeerTable.Row(peer: peer, envelope: member.envelope, lastAlive: lastAlive[peer] ?? 0)
            }
        }
        let gone = Array(forgotten)
        unsaved = []
        forgotten = []
        do {
            try await table.save(rows)
            try await table.remove(gone)
            tableFailure = ""
        } catch {
            tableFailed(error)
        }
    }

    /// The cluster works without its table; `status` says that it is not kept.
    private func tableFailed(_ error: any Error) {
        let reason = "\(error)"
        if reason != tableFailure { onEvent(.tableFailed(reason)) }
        tableFailure = reason
    }
}
