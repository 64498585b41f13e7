import LibP2P
package import Multiformats
import PeerCrypto

/// This node among its peers: listens, dials, keeps the connections, and serves protocols on their streams.
///
/// `run()` owns every task: the listeners, and each connection with its streams' handlers. What a connection needs of
/// its host, and the other way round, is in the table of protocols and the counters that they share.
@NetworkActor
package final class Host {
    package nonisolated let localPeer: PeerID
    let configuration: HostConfiguration
    let publicKey: PublicKey
    let protocols = ProtocolTable()
    let counters: NetworkCounters
    private let upgrade: ConnectionUpgrade
    private let tasks = TaskNursery()
    private let resolver = NameResolver()
    private var listeners: [ListeningSocket] = []
    private var connections: [PeerID: [Connection]] = [:]
    private var connectionCount = 0
    private var inboundCounts: [RemoteNetwork: Int] = [:]
    private var handshakes = HandshakeTable()
    private var handshakeSockets: [Int: Socket] = [:]
    private var dialCount = 0
    private var backoff = DialBackoff()
    private var book = AddressBook()
    private var observers: [Int: AsyncStream<PeerEvent>.Continuation] = [:]
    private var lastObserver = 0
    private var isStopping = false

    /// A host that does nothing yet.
    package nonisolated init(_ configuration: HostConfiguration) {
        self.configuration = configuration
        counters = NetworkCounters(onFault: configuration.onFault)
        do {
            publicKey = try PublicKey(ed25519: configuration.identity.publicKey.bytes)
        } catch {
            preconditionFailure("an Ed25519 key is a public key: \(error)")
        }
        localPeer = PeerID(publicKey)
        upgrade = ConnectionUpgrade(
            identity: configuration.identity,
            swarmKey: configuration.swarmKey,
            timeout: configuration.limits.upgradeTimeout
        )
    }

    // MARK: Life

    /// Binds the listeners, so that errors show before anything runs.
    ///
    /// - Returns: the addresses that others may dial, with this node's id.
    /// - Throws: `HostError` with `.cannotListen`.
    package func listen() throws(HostError) -> [Multiaddr] {
        do throws(HostError) {
            for address in configuration.listen { listeners.append(try Self.listener(on: address)) }
        } catch {
            for listener in listeners { listener.close() }
            listeners = []
            throw error
        }
        serveStandardProtocols()
        return listenAddresses.map { $0.with(peer: localPeer) }
    }

    private static func listener(on address: Multiaddr) throws(HostError) -> ListeningSocket {
        guard let endpoint = address.tcpEndpoint, let socketAddress = SocketAddress(endpoint) else {
            throw HostError(.cannotListen, "cannot listen on \(address): it is no TCP address with a number")
        }
        do throws(SystemError) {
            return try ListeningSocket(on: socketAddress)
        } catch {
            throw HostError(.cannotListen, "cannot listen on \(address): \(error)")
        }
    }

    /// Runs until `stop()`, or until its task is cancelled.
    package func run() async {
        for listener in listeners {
            tasks.add { await self.acceptLoop(listener) }
        }
        await withTaskCancellationHandler {
            await tasks.run()
        } onCancel: {
            NetworkActor.post { self.stopNow() }
        }
        for observer in observers.values { observer.finish() }
    }

    /// Says go away to all peers, gives their streams a moment, and closes everything.
    package func stop(within limit: Duration = .seconds(3)) async {
        isStopping = true
        for listener in listeners { listener.close() }
        for connection in connections.values.joined() { connection.goAway() }
        let deadline = ContinuousClock.now + limit
        while connectionCount > 0, ContinuousClock.now < deadline {
            await NetworkActor.sleep(.milliseconds(20))
        }
        stopNow()
    }

    private func stopNow() {
        isStopping = true
        for listener in listeners { listener.close() }
        for connection in connections.values.joined() { connection.close(.closedHere) }
        tasks.close()
    }

    /// Where others may dial: the listeners' addresses, wildcards replaced by the interfaces'.
    package var listenAddresses: [Multiaddr] {
        listeners.flatMap { InterfaceAddresses.expand($0.local) }.map(\.multiaddr)
    }

    /// Protocols that it serves, sorted.
    package var protocolNames: [String] { protocols.names.sorted() }

    /// The state of the network, for `status`.
    package var status: HostStatus {
        HostStatus(
            addresses: listenAddresses,
            connectionCount: connectionCount,
            upgradingCount: handshakes.count,
            streamCount: connections.values.joined().reduce(0) { $0 + $1.streamCount },
            counters: counters.snapshot
        )
    }

    // MARK: Connections in

    private func acceptLoop(_ listener: ListeningSocket) async {
        while let socket = await listener.accept() {
            guard !isStopping, hasRoom(for: socket.remote) else {
                countFailedHandshake(.tooManyConnections, socket.remote)
                socket.close()
                continue
            }
            let number = beginHandshake(socket)
            tasks.add { await self.accept(socket, number) }
        }
    }

    private func hasRoom(for remote: TCPEndpoint) -> Bool {
        connectionCount < configuration.limits.maxConnectionCount
            && inboundCounts[RemoteNetwork(remote), default: 0]
                < configuration.limits.maxInboundCountPerAddress
    }

    /// Makes room for a handshake, at the cost of an older one if need be.
    private func beginHandshake(_ socket: Socket) -> Int {
        let (number, displaced) = handshakes.add(
            RemoteNetwork(socket.remote),
            limit: configuration.limits.maxUpgradingCount,
            shareLimit: configuration.limits.maxUpgradingCountPerAddress
        )
        // Its task ends with the socket, and counts it.
        if let displaced { handshakeSockets[displaced]?.close() }
        handshakeSockets[number] = socket
        return number
    }

    /// Takes a handshake out of the table.
    ///
    /// - Returns: whether it was still in it, and not displaced.
    private func endHandshake(_ number: Int) -> Bool {
        defer { handshakes.remove(number) }
        handshakeSockets[number] = nil
        return handshakes.contains(number)
    }

    private func accept(_ socket: Socket, _ number: Int) async {
        let outcome: ConnectionUpgrade.Outcome
        do throws(ConnectionFault) {
            outcome = try await upgrade.accept(socket)
        } catch {
            let wasDisplaced = !endHandshake(number)
            return countFailedHandshake(wasDisplaced ? .displaced : error, socket.remote)
        }
        guard endHandshake(number) else { return countFailedHandshake(.displaced, socket.remote) }
        do throws(ConnectionFault) {
            try await hold(admit(outcome, isInbound: true), outcome.leftover)
        } catch {
            countFailedHandshake(error, socket.remote, outcome.remote.peer)
        }
    }

    private func countFailedHandshake(_ fault: ConnectionFault, _ remote: TCPEndpoint, _ peer: PeerID? = nil)
    {
        counters.count(
            .upgradeFailed,
            fault.name,
            because: advice(on: fault),
            at: remote.multiaddr,
            peer: peer,
            isMisbehaviour: fault.isMisbehaviour
        )
    }

    private func advice(on fault: ConnectionFault) -> String {
        fault.advice(hasSwarmKey: configuration.swarmKey != nil)
    }

    private func admit(
        _ outcome: ConnectionUpgrade.Outcome,
        isInbound: Bool
    ) throws(ConnectionFault) -> Connection {
        let peer = outcome.remote.peer
        let ofPeer = connections[peer]?.count ?? 0
        let fault: ConnectionFault? =
            if isStopping {
                .closedHere
            } else if peer == localPeer {
                .dialedSelf
            } else if ofPeer >= configuration.limits.maxConnectionCountPerPeer
                || connectionCount >= configuration.limits.maxConnectionCount
                || (isInbound && !hasRoom(for: outcome.channel.raw.socket.remote))
            {
                .tooManyConnections
            } else {
                nil
            }
        if let fault {
            outcome.channel.raw.socket.close()
            throw fault
        }
        let connection = Connection(
            outcome,
            isInbound: isInbound,
            protocols: protocols,
            counters: counters,
            limits: configuration.limits
        )
        connections[peer, default: []].append(connection)
        connectionCount += 1
        if isInbound { inboundCounts[RemoteNetwork(connection.remote), default: 0] += 1 }
        counters.count(.connectionOpened, isInbound ? "inbound" : "outbound")
        if ofPeer == 0 { publish(.connected(peer)) }
        return connection
    }

    /// Runs a connection to its end.
    private func hold(_ connection: Connection, _ leftover: ArraySlice<UInt8>) async {
        await connection.run(leftover: leftover) { await self.identify(connection) }
        let peer = connection.peer
        connections[peer]?.removeAll { $0 === connection }
        connectionCount -= 1
        if connection.isInbound { forgetInbound(RemoteNetwork(connection.remote)) }
        guard connections[peer]?.isEmpty == true else { return }
        connections[peer] = nil
        publish(.disconnected(peer))
    }

    private func forgetInbound(_ network: RemoteNetwork) {
        inboundCounts[network, default: 1] -= 1
        if inboundCounts[network] == 0 { inboundCounts[network] = nil }
    }

    // MARK: Connections out

    /// The connection to use for a peer: the oldest that takes new streams.
    func connection(to peer: PeerID) -> Connection? {
        connections[peer]?.first { $0.isUsable }
    }

    /// Dials an address, which may name the peer expected there.
    ///
    /// - Returns: the peer that answered.
    /// - Throws: `HostError`.
    package func connect(to address: Multiaddr) async throws(HostError) -> PeerID {
        if let peer = address.peer, connection(to: peer) != nil { return peer }
        return try await dial([address], expecting: address.peer, retriesAtOnce: true).peer
    }

    /// Dials addresses in turn until one leads to the peer.
    private func dial(
        _ addresses: [Multiaddr],
        expecting peer: PeerID?,
        retriesAtOnce: Bool
    ) async throws(HostError) -> Connection {
        guard !isStopping else { throw HostError(.stopped, "this node is stopping") }
        guard dialCount < ConnectionLimits.maxDialCount else {
            throw HostError(.limit, "\(dialCount) addresses are being dialed already")
        }
        dialCount += 1
        defer { dialCount -= 1 }
        let deadline = ContinuousClock.now + ConnectionLimits.dialTimeout
        var failures: [String] = []
        var code = HostError.Code.unreachable
        for address in addresses {
            guard let named = address.tcpEndpoint else {
                failures.append("\(address) is no TCP address")
                continue
            }
            for endpoint in await resolver.resolve(named) where ContinuousClock.now < deadline {
                guard retriesAtOnce || backoff.allows(endpoint, now: .now) else {
                    failures.append("\(endpoint.multiaddr) failed a short while ago")
                    continue
                }
                do throws(ConnectionFault) {
                    return try await dial(endpoint, expecting: peer)
                } catch {
                    backoff.failed(endpoint, now: .now)
                    countFailedDial(error, endpoint, peer)
                    if case .noise(.wrongPeer(let other)) = error {
                        code = .wrongPeer
                        failures.append("\(endpoint.multiaddr) is peer \(other)")
                    } else {
                        failures.append("\(endpoint.multiaddr): \(advice(on: error))")
                    }
                }
            }
        }
        let target = peer.map { "peer \($0)" } ?? addresses.map { "\($0)" }.joined(separator: ", ")
        let reasons = failures.isEmpty ? "the name has no address" : failures.joined(separator: "; ")
        throw HostError(code, "cannot reach \(target): \(reasons)")
    }

    /// Who cannot be reached is no fault for the log; who answers and is not understood is.
    private func countFailedDial(_ fault: ConnectionFault, _ endpoint: TCPEndpoint, _ peer: PeerID?) {
        switch fault {
        case .system, .timedOut, .closedHere, .dialedSelf: counters.count(.dialFailed, fault.name)
        default:
            counters.count(
                .dialFailed,
                fault.name,
                because: advice(on: fault),
                at: endpoint.multiaddr,
                peer: peer,
                isMisbehaviour: fault.isMisbehaviour
            )
        }
    }

    private func dial(_ endpoint: TCPEndpoint, expecting peer: PeerID?) async throws(ConnectionFault)
        -> Connection
    {
        guard let address = SocketAddress(endpoint) else { throw .timedOut }
        let socket = try await Socket.connect(to: address, endpoint: endpoint)
        let outcome = try await upgrade.dial(socket, expecting: peer)
        let connection = try admit(outcome, isInbound: false)
        backoff.succeeded(endpoint)
        book.add([endpoint.multiaddr], of: connection.peer)
        tasks.add { await self.hold(connection, outcome.leftover) }
        return connection
    }

    // MARK: What identify learns

    /// Takes in what a peer told of itself.
    func learn(_ message: IdentifyMessage, on connection: Connection) {
        connection.identity = message
        book.add(message.listenAddresses, of: connection.peer)
        publish(
            .identified(connection.peer, protocols: message.protocols, signedRecord: message.signedPeerRecord)
        )
    }

    /// The connection that a stream's handler belongs to is any of the peer's: they say the same.
    func learnPush(_ push: IdentifyMessage, from peer: PeerID) {
        for connection in connections[peer] ?? [] {
            var identity = connection.identity ?? IdentifyMessage()
            identity.update(from: push)
            connection.identity = identity
        }
        guard let first = connections[peer]?.first, let identity = first.identity else { return }
        learn(identity, on: first)
    }

    /// How a peer's address looks from here.
    func observedAddress(of peer: PeerID) -> Multiaddr? {
        connections[peer]?.last?.remote.multiaddr
    }

    private func publish(_ event: PeerEvent) {
        for observer in observers.values { observer.yield(event) }
    }
}

extension Host: StreamHost {
    package func connectedPeers() -> [ConnectedPeer] {
        connections.values.compactMap(\.first).map { connection in
            ConnectedPeer(
                id: connection.peer,
                address: connection.remote.multiaddr,
                isInbound: connection.isInbound,
                agent: connection.identity?.agentVersion ?? "",
                protocols: connection.identity?.protocols ?? [],
                roundTripTime: connection.roundTrip
            )
        }
    }

    package func peerEvents() -> AsyncStream<PeerEvent> {
        let (stream, continuation) = AsyncStream.makeStream(
            of: PeerEvent.self,
            bufferingPolicy: .bufferingNewest(ConnectionLimits.maxPeerEventCount)
        )
        lastObserver += 1
        let number = lastObserver
        observers[number] = continuation
        continuation.onTermination = { _ in
            NetworkActor.post { self.observers[number] = nil }
        }
        return stream
    }

    /// The handler's task prefers the event loop: nothing in it may block or compute for long, but on an executor that
    /// it moves to.
    package func serve(
        _ protocolID: String,
        _ handler: @escaping @Sendable (PeerID, any PeerStream) async throws -> Void
    ) {
        protocols.serve(protocolID, maxStreamCount: ConnectionLimits.maxStreamCountPerProtocol) {
            peer,
            stream in
            try await handler(peer, stream)
        }
    }

    package func openStream(to peer: PeerID, protocolIDs: [String]) async throws -> any PeerStream {
        try await openMuxedStream(to: peer, protocolIDs: protocolIDs)
    }

    /// Opens a stream, dialing the peer first when no connection is up.
    ///
    /// - Throws: `HostError`.
    package func openMuxedStream(to peer: PeerID, protocolIDs: [String]) async throws(HostError)
        -> MuxedStream
    {
        try await connect(to: peer, addresses: [])
        guard let connection = connection(to: peer) else {
            throw HostError(.interrupted, "the connection to \(peer) ended")
        }
        do throws(StreamFault) {
            return try await connection.openStream(protocolIDs)
        } catch {
            throw HostError(error, to: peer, protocols: protocolIDs)
        }
    }

    package func connect(to peer: PeerID, addresses: [Multiaddr]) async throws(HostError) {
        guard connection(to: peer) == nil else { return }
        let candidates = addresses + book[peer].filter { !addresses.contains($0) }
        guard !candidates.isEmpty else { throw HostError(.noAddress, "no address of peer \(peer) is known") }
        _ = try await dial(candidates, expecting: peer, retriesAtOnce: false)
    }

    package func disconnect(_ peer: PeerID) {
        for connection in connections[peer] ?? [] { connection.close(.closedHere) }
    }
}
