package import MRProtocol
package import Multiformats

/// A cluster of membership machines in virtual time.
///
/// Signatures are replaced by a checksum, for their cost is not what is measured.
package struct MembershipSimulation: Sendable {
    private enum Event: Sendable {
        case tick(node: Int, start: Int)
        case request(from: Int, to: Int, call: UInt64, GossipMessage)
        case answer(to: Int, start: Int, call: UInt64, GossipMessage)
    }

    package var network: SimulatedNetwork
    package private(set) var nodes: [Membership] = []
    package let peers: [PeerID]
    /// Bytes of messages that each node sent, framing of streams not counted.
    package private(set) var sentByteCounts: [Int]
    package private(set) var messageCount = 0
    private var clock = SimulatedClock<Event>()
    private var random: SeededRandom
    private let keys: [PublicKey]
    private let numbers: [PeerID: Int]
    private var incoming: [(caller: Int, start: Int, call: UInt64)] = []
    private let settings: MembershipSettings
    /// When each node greets the bootstrap node next if it does not see it alive, and how long it waits after that.
    private var nextBootstraps: [Duration]
    private var bootstrapDelays: [Duration]
    private var ports: [UInt16]
    /// How often each node was started: what was meant for an earlier run is lost.
    private var starts: [Int]
    /// Sequence number of the newest record that each node signed.
    private var newest: [UInt64]

    package var now: Duration { clock.now }

    /// The waits of the driver's `BootstrapSchedule`, without its jitter.
    private static let firstBootstrapDelay: Duration = .seconds(1)
    private static let maxBootstrapDelay: Duration = .seconds(60)
    /// Nanoseconds since 1970 at time zero.
    private static let unixOrigin: UInt64 = 1_700_000_000_000_000_000

    /// Makes nodes that know nobody, and each but the first dial the first, spread over one period.
    package init(nodeCount: Int, seed: UInt64, settings: MembershipSettings = MembershipSettings()) {
        network = SimulatedNetwork(seed: seed ^ 1)
        random = SeededRandom(seed: seed)
        self.settings = settings
        keys = (0..<nodeCount).map { number in
            var bytes = [UInt8](repeating: 0, count: 32)
            for index in 0..<8 { bytes[index] = UInt8(truncatingIfNeeded: number >> (8 * index)) }
            return PublicKey(simulated: bytes)
        }
        peers = keys.map(PeerID.init)
        numbers = Dictionary(uniqueKeysWithValues: zip(peers, 0...))
        sentByteCounts = Array(repeating: 0, count: nodeCount)
        nextBootstraps = Array(repeating: .zero, count: nodeCount)
        bootstrapDelays = Array(repeating: Self.firstBootstrapDelay, count: nodeCount)
        ports = Array(repeating: 4001, count: nodeCount)
        starts = Array(repeating: 0, count: nodeCount)
        newest = Array(repeating: Self.unixOrigin, count: nodeCount)
        for number in 0..<nodeCount {
            nodes.append(makeNode(number, sequence: Self.unixOrigin))
            start(number)
        }
    }

    private func record(of number: Int, port: UInt16, sequence: UInt64) -> SignedPeerRecord {
        let address = [10, UInt8(number >> 16 & 0xff), UInt8(number >> 8 & 0xff), UInt8(number & 0xff)]
        let ip =
            IPv4Address(bytes: address).map { [Multiaddr.Component.ip4($0), .tcp(port)] } ?? [.tcp(port)]
        let record = PeerRecord(peer: peers[number], sequence: sequence, addresses: [Multiaddr(ip)])
        return SignedPeerRecord(record, publicKey: keys[number], sign: MembershipSimulation.checksum)
    }

    private func makeNode(_ number: Int, sequence: UInt64) -> Membership {
        Membership(
            record: record(of: number, port: ports[number], sequence: sequence),
            settings: settings,
            unixOrigin: Self.unixOrigin,
            now: clock.now
        ) { _, message, signature in signature == MembershipSimulation.checksum(message) }
    }

    /// FNV-1a 64 in the first bytes, zeros behind it.
    @Sendable private static func checksum(_ message: [UInt8]) -> [UInt8] {
        let state: UInt64 = message.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        var signature = [UInt8](repeating: 0, count: SignedEnvelope.signatureByteCount)
        for index in 0..<8 { signature[index] = UInt8(truncatingIfNeeded: state >> UInt64(8 * index)) }
        return signature
    }

    /// Dials the bootstrap node and begins to tick.
    private mutating func start(_ number: Int) {
        let offset = Duration.microseconds(Int64.random(in: 0..<1_000_000, using: &random))
        clock.schedule(.tick(node: number, start: starts[number]), at: clock.now + offset)
    }

    /// Stops a node at once.
    package mutating func crash(_ number: Int) { network.crashed.insert(number) }

    /// Starts a crashed node anew, with an empty table and another address.
    package mutating func restart(_ number: Int, port: UInt16) {
        network.crashed.remove(number)
        starts[number] += 1
        ports[number] = port
        let elapsed = UInt64(clock.now.components.seconds) * 1_000_000_000
        newest[number] = max(newest[number] + 1, Self.unixOrigin + elapsed)
        nodes[number] = makeNode(number, sequence: newest[number])
        nextBootstraps[number] = clock.now
        bootstrapDelays[number] = Self.firstBootstrapDelay
        start(number)
    }

    /// Lets time pass until a condition holds, looked at after every step of a tenth of a period.
    ///
    /// - Returns: the time that passed, or `nil` when `limit` was reached without it.
    package mutating func run(for limit: Duration, until isDone: (MembershipSimulation) -> Bool) -> Duration?
    {
        let begin = clock.now
        while clock.now - begin < limit {
            run(for: settings.period / 10)
            if isDone(self) { return clock.now - begin }
        }
        return nil
    }

    /// Lets time pass.
    package mutating func run(for span: Duration) {
        let end = clock.now + span
        while let event = clock.next(before: end) { handle(event) }
    }

    /// Greets the bootstrap node, as a driver does for as long as it is not alive there: first after a second, then at
    /// waits that double up to a minute.
    private mutating func bootstrap(_ number: Int) {
        guard number != 0 else { return }
        guard nodes[number].member(peers[0])?.state != .alive else {
            bootstrapDelays[number] = Self.firstBootstrapDelay
            nextBootstraps[number] = now + Self.firstBootstrapDelay
            return
        }
        guard nextBootstraps[number] <= now else { return }
        perform(nodes[number].greet(peers[0], now: now, random: &random), by: number)
        nextBootstraps[number] = now + bootstrapDelays[number]
        bootstrapDelays[number] = min(bootstrapDelays[number] * 2, Self.maxBootstrapDelay)
    }

    private mutating func handle(_ event: Event) {
        switch event {
        case .tick(let number, let start):
            guard !network.crashed.contains(number), start == starts[number] else { return }
            bootstrap(number)
            perform(nodes[number].deadlineReached(now: now, random: &random), by: number)
            clock.schedule(
                .tick(node: number, start: starts[number]),
                at: max(nodes[number].nextDeadline, now + .milliseconds(10))
            )
        case .request(let caller, let number, let call, let message):
            guard !network.crashed.contains(number) else { return }
            incoming.append((caller, starts[caller], call))
            let id = UInt64(incoming.count - 1)
            let actions = nodes[number].received(
                message,
                from: peers[caller],
                id: id,
                now: now,
                random: &random
            )
            perform(actions, by: number)
        case .answer(let number, let start, let call, let message):
            guard !network.crashed.contains(number), start == starts[number] else { return }
            perform(nodes[number].answered(call, message, now: now, random: &random), by: number)
        }
    }

    private mutating func perform(_ actions: [Membership.Action], by number: Int) {
        for action in actions {
            switch action {
            case .call(let call, let peer, _, let message):
                guard let target = numbers[peer] else { continue }
                send(
                    .request(from: number, to: target, call: call, message),
                    message,
                    from: number,
                    to: target
                )
            case .answer(let id, let message):
                let (caller, start, call) = incoming[Int(id)]
                send(
                    .answer(to: caller, start: start, call: call, message),
                    message,
                    from: number,
                    to: caller
                )
            case .renewRecord(let sequence):
                newest[number] = max(newest[number], sequence)
                nodes[number].renewed(record(of: number, port: ports[number], sequence: sequence))
            case .changed, .forgotten: break
            }
        }
    }

    private mutating func send(_ event: Event, _ message: GossipMessage, from: Int, to: Int) {
        sentByteCounts[from] += MapReduceRequest.gossip(message).bytes.count + 3
        messageCount += 1
        guard let delay = network.delivery(from: from, to: to) else { return }
        clock.schedule(event, at: now + delay)
    }

    /// Every running node sees every other running node alive.
    package var isKnowledgeFull: Bool {
        let running = nodes.indices.filter { !network.crashed.contains($0) }
        return running.allSatisfy { nodes[$0].livingCount >= running.count - 1 }
    }

    /// Every running node sees alive all running nodes, and nobody else.
    package var isKnowledgeExact: Bool {
        let running = nodes.indices.filter { !network.crashed.contains($0) }
        return running.allSatisfy { observer in
            nodes[observer].livingCount == running.count - 1
                && running.allSatisfy {
                    observer == $0 || nodes[observer].member(peers[$0])?.state == .alive
                }
        }
    }

    /// Whether a node was ever started anew.
    package func wasRestarted(_ number: Int) -> Bool { starts[number] > 0 }

    /// Sequence number of the newest record that a node of the simulation signed; 0 for strangers.
    package func sequence(of peer: PeerID) -> UInt64 { numbers[peer].map { newest[$0] } ?? 0 }

    /// Running nodes that see this node in one of the states, or do not know it when `nil` is among them.
    package func count(seeing number: Int, as states: Set<MemberState?>) -> Int {
        nodes.indices.count { index in
            index != number && !network.crashed.contains(index)
                && states.contains(nodes[index].member(peers[number])?.state)
        }
    }

    /// Forgets the bytes counted so far.
    package mutating func resetTraffic() {
        sentByteCounts = Array(repeating: 0, count: nodes.count)
        messageCount = 0
    }
}
