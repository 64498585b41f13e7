import BlockStore
import LibP2P
import MRProtocol
import Multiformats
import PeerCrypto

/// A node among others: its connections, the exchange of blocks, the cluster, and work for other masters.
///
/// `run()` owns every task.
final class NodeNetwork: Sendable {
    let host: Host
    let exchange: Exchange
    let membership: MembershipService
    let calls: MapReduceService
    private let runner: TaskRunner
    private let finder: WorkerFinder

    /// Longest swarm key file, in bytes.
    private static let swarmKeyFileByteLimit = 4_096

    /// Puts the parts together; nothing is opened yet.
    ///
    /// - Parameters:
    ///   - options: addresses, key of the network, log.
    ///   - home: where the node's key and table of peers are.
    ///   - store: the node's blocks.
    ///   - makeService: the job service of the node, over the exchange.
    /// - Throws: `NodeError` for a malformed address or swarm key.
    init(
        _ options: NetworkOptions,
        home: HomeFolder,
        store: any BlockStore,
        makeService: (Exchange) -> JobService
    ) throws(NodeError) {
        let identity = try IdentityFile.load(home)
        let log = options.log
        var configuration = HostConfiguration(
            identity: identity,
            listen: try options.listen.map(NodeNetwork.address),
            swarmKey: try NodeNetwork.swarmKey(options.swarmKey),
            agent: Version.agent,
            servesDiagnostics: options.diagnostics
        )
        configuration.onFault = { NodeNetwork.note($0, log) }
        let host = Host(configuration)
        self.host = host
        let peerLog = PeerLog(log)
        exchange = Exchange(
            host: host,
            store: store,
            onEvent: { NodeNetwork.note($0, peerLog) }
        )
        let service = makeService(exchange)
        let signer: ReceiptSigner
        do {
            signer = ReceiptSigner(publicKey: try PublicKey(ed25519: identity.publicKey.bytes)) {
                identity.sign($0)
            }
        } catch {
            throw NodeError(.internal, "the node's key has no peer id: \(error)")
        }
        let runner = TaskRunner(
            store: store,
            exchange: exchange,
            service: service,
            signer: signer,
            agent: Version.agent,
            isWanted: { job, master in
                let state = (try? await MapReducePeer(master, host: host).status(ofJob: job))?.state
                return state == .running || state == .waiting
            }
        )
        self.runner = runner
        membership = MembershipService(
            MembershipService.Configuration(
                identity: identity,
                bootstrap: try options.bootstrap.map(NodeNetwork.address),
                tablePath: home.peerDatabase
            ),
            host: host,
            addresses: { await host.listenAddresses },
            hello: { await runner.hello(to: $0) },
            onEvent: { NodeNetwork.note($0, peerLog, log) }
        )
        calls = MapReduceService(
            host: host,
            store: store,
            worker: runner,
            gossip: membership,
            onMalformed: { peer, reason in
                peerLog(.warning, "malformed request", of: peer, because: reason)
            }
        )
        finder = WorkerFinder(host: host, service: service) { await runner.hello(to: $0) }
    }

    /// Binds the addresses to listen on.
    ///
    /// - Returns: where others may dial, with this node's id.
    func listen() async throws(NodeError) -> [String] {
        do throws(HostError) {
            return try await host.listen().map(\.description)
        } catch {
            throw NodeError(.notConnected, error.message)
        }
    }

    /// Takes part until the task is cancelled, or `stop()`.
    func run() async {
        await calls.start()
        await withDiscardingTaskGroup { group in
            group.addTask { await self.exchange.run() }
            group.addTask { await self.membership.run() }
            group.addTask { await self.runner.run() }
            group.addTask { await self.finder.run() }
            await host.run()
            group.cancelAll()
        }
    }

    /// Takes leave of the peers and lets `run()` return.
    func stop() async {
        membership.stop()
        await host.stop()
        exchange.stop()
    }

    /// Ends what the policy does not allow any more.
    func policyChanged() async { await runner.policyChanged() }

    // MARK: Options

    /// Reads a multiaddr.
    static func address(_ text: String) throws(NodeError) -> Multiaddr {
        do {
            return try Multiaddr(parsing: text)
        } catch {
            throw NodeError(
                .invalidArgument,
                "«\(text)» is not a multiaddr such as /ip4/192.168.1.20/tcp/4001/p2p/12D3KooW… (\(error))"
            )
        }
    }

    /// Reads a peer id.
    static func peer(_ text: String) throws(NodeError) -> PeerID {
        guard let peer = PeerID(text) else {
            throw NodeError(.invalidArgument, "«\(text)» is not a peer id such as 12D3KooW…")
        }
        return peer
    }

    private static func swarmKey(_ path: String?) throws(NodeError) -> SwarmKey? {
        guard let path else { return nil }
        guard let bytes = try TextFile.read(path, limit: swarmKeyFileByteLimit) else {
            throw NodeError(.file, "there is no swarm key \(path)")
        }
        do throws(SwarmKeyFault) {
            return try SwarmKey(file: bytes)
        } catch {
            throw NodeError(.invalidArgument, "\(path) is not a libp2p swarm.key: \(error)")
        }
    }

    private static func note(_ fault: NetworkFault, _ log: Log) {
        let fields: KeyValuePairs = [
            "remote": fault.remote.description, "peer": fault.peer?.description ?? "unknown",
            "reason": fault.reason, "untold": "\(fault.untoldCount)",
        ]
        log(level(of: fault), fault.kind, fields)
    }

    /// Misbehaviour of others is a warning; that connections fail and end is not.
    static func level(of fault: NetworkFault) -> LogLevel { fault.isMisbehaviour ? .warning : .info }

    private static func note(_ event: ExchangeEvent, _ log: PeerLog) {
        let (message, peer, reason) = words(for: event)
        log(level(of: event), message, of: peer, because: reason)
    }

    static func level(of event: ExchangeEvent) -> LogLevel {
        switch event {
        case .distrusted(_, .falseBlock), .distrusted(_, .brokenPromises), .hoarding: .warning
        case .distrusted(_, .silence): .info
        // The stream that it ends is told of by the host.
        case .badMessage: .debug
        }
    }

    private static func words(for event: ExchangeEvent) -> (message: String, peer: PeerID, reason: String) {
        switch event {
        case .distrusted(let peer, let reason): ("asked for no more blocks", peer, reason.description)
        case .badMessage(let peer, let reason): ("bad message of bitswap", peer, reason)
        case .hoarding(let peer):
            ("streams reset", peer, "parts of messages were held too long, or too many of them")
        }
    }

    private static func note(_ event: MembershipEvent, _ peerLog: PeerLog, _ log: Log) {
        switch event {
        case .changed(let peer, let state):
            log(.info, "member", ["peer": peer.description, "state": "\(state)"])
        case .bootstrapFailed(let address, let reason):
            log(.warning, "bootstrap failed", ["address": address.description, "reason": reason])
        case .tableFailed(let reason): log(.warning, "peers are not kept", ["reason": reason])
        case .forgedRecords(let peer, let count):
            peerLog(
                .warning,
                "forged peer records",
                of: peer,
                because: "\(count) with a wrong signature, or none"
            )
        }
    }
}
