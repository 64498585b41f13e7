package import Multiformats

/// Who is in the cluster, and who of them is alive: gossip of signed peer records with SWIM's failure detection.
///
/// Every member keeps the newest signed record of every other. A record's sequence number is SWIM's incarnation: who is
/// suspected refutes by signing a record with a higher one, so nobody can declare another alive, and a node that comes
/// back with a new address is taken in at once. News (records, suspicions) is repeated to random members a few times;
/// whatever is missed, or was there before a member joined, comes by comparing summaries, 64 numbers in every message.
///
///     alive ──(probe failed, or told so)──► suspect ──(timeout)──► dead ──(retention)──► forgotten
///       ▲                                      │                     │
///       └────────────(newer record)────────────┴─────────────────────┘
///
/// A claim of death is never believed: each node lets its own suspicion time out.
///
/// **Source** Das, Gupta, Motivala: SWIM (2002), sections 3 and 4; docs/membership.md.
package struct Membership: Sendable {
    /// What the driver has to do.
    package enum Action: Equatable, Sendable {
        /// Call the peer with this message on a stream of `/mapreduce/1`; report `answered` or `failed` under the number.
        case call(UInt64, peer: PeerID, addresses: [Multiaddr], GossipMessage)
        /// Answer the call that was reported under this number.
        case answer(UInt64, GossipMessage)
        /// Sign a record of this node with at least this sequence number, and hand it to `renewed`.
        case renewRecord(sequence: UInt64)
        /// A member is new, has a new record or another state; save it.
        case changed(PeerID, MemberState)
        /// A dead member was forgotten; delete it.
        case forgotten(PeerID)
    }

    /// Why records and suspicions were dropped.
    package struct Counters: Equatable, Sendable {
        /// Not newer than what is known: the usual echo of gossip, and replays.
        package var stale: UInt64 = 0
        /// Malformed, or the signature is wrong.
        package var forged: UInt64 = 0
        package var oversized: UInt64 = 0
        /// Sequence number too far ahead of our clock.
        package var future: UInt64 = 0
        /// The table is full.
        package var full: UInt64 = 0
        package var accepted: UInt64 = 0
        package var refuted: UInt64 = 0
    }

    /// Why a call was made.
    enum Purpose: Equatable {
        case probe
        /// Somebody asked us to try; `id` is its call.
        case relayed(id: UInt64)
        /// We asked this member to try the target.
        case indirect(target: PeerID)
        case gossip
    }

    struct Call {
        let peer: PeerID
        let purpose: Purpose
        let deadline: Duration
    }

    /// A member that did not answer directly.
    struct IndirectProbe {
        let deadline: Duration
        let sequence: UInt64
    }

    struct News: Equatable {
        enum Item: Equatable {
            case record(PeerID)
            case suspicion(GossipMessage.Suspicion)
        }
        let item: Item
        var remaining: Int
    }

    package let own: PeerID
    package private(set) var counters = Counters()
    let settings: MembershipSettings
    private let verify: SignedEnvelope.Verifier
    /// Nanoseconds since 1970 when `now` was zero.
    private let unixOrigin: UInt64
    private(set) var table = MemberTable()
    private var ownEnvelope: [UInt8]
    private var ownRecord: PeerRecord
    private var calls: [UInt64: Call] = [:]
    private var indirect: [PeerID: IndirectProbe] = [:]
    private var news: [News] = []
    private var probeOrder: [PeerID] = []
    private var nextCall: UInt64 = 1
    private var nextPeriod: Duration
    private var nextRevival: Duration
    private var relayedCount = 0

    /// A node alone in its cluster.
    ///
    /// - Parameters:
    ///   - record: this node's signed record.
    ///   - settings: times and bounds.
    ///   - unixOrigin: nanoseconds since 1970 at the driver's time zero.
    ///   - now: time since an origin that the driver chose.
    ///   - verify: checks an Ed25519 signature.
    package init(
        record: SignedPeerRecord,
        settings: MembershipSettings = MembershipSettings(),
        unixOrigin: UInt64,
        now: Duration,
        verify: @escaping SignedEnvelope.Verifier
    ) {
        own = record.record.peer
        ownRecord = record.record
        ownEnvelope = record.envelope.bytes
        self.settings = settings
        self.unixOrigin = unixOrigin
        self.verify = verify
        nextPeriod = now
        nextRevival = now + settings.reviveInterval
        noteOwnRecord()
    }

    /// Members known, dead ones included, this node excluded.
    package var members: [Member] { table.members.values.sorted { $0.peer < $1.peer } }

    /// Members that are not dead, this node excluded.
    package var livingCount: Int { table.living.count }

    /// What is known of a peer.
    package func member(_ peer: PeerID) -> Member? { table[peer] }

    /// When `deadlineReached` has to be called next.
    package var nextDeadline: Duration {
        let callDeadline = calls.values.map(\.deadline).min() ?? nextPeriod
        let indirectDeadline = indirect.values.map(\.deadline).min() ?? nextPeriod
        return min(nextPeriod, callDeadline, indirectDeadline)
    }

    // MARK: - What happens

    /// This node has a new record: at `renewRecord`, or because its addresses changed.
    package mutating func renewed(_ record: SignedPeerRecord) {
        precondition(record.record.peer == own, "a record of \(record.record.peer) as our own")
        guard record.record.sequence > ownRecord.sequence else { return }
        ownRecord = record.record
        ownEnvelope = record.envelope.bytes
        noteOwnRecord()
    }

    /// Records from elsewhere: the table of an earlier run, or identify.
    package mutating func learn(_ envelopes: [[UInt8]], now: Duration) -> [Action] {
        envelopes.flatMap { take(record: $0, now: now) }
    }

    /// A peer that may not be in the table is there, such as a bootstrap peer that was just dialed: trade knowledge.
    package mutating func greet<Generator: RandomNumberGenerator>(
        _ peer: PeerID,
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        guard peer != own else { return [] }
        return call(peer, for: .gossip, now: now, random: &random)
    }

    /// A gossip call came.
    ///
    /// - Parameters:
    ///   - message: the call.
    ///   - peer: who called, by its connection.
    ///   - id: the driver's number of the call; exactly one `answer` is given to it.
    ///   - now: time since an origin that the driver chose.
    ///   - random: source of randomness.
    /// - Returns: what to do now.
    package mutating func received<Generator: RandomNumberGenerator>(
        _ message: GossipMessage,
        from peer: PeerID,
        id: UInt64,
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        var actions = merge(message, from: peer, now: now)
        guard let target = message.probe else {
            return actions + [.answer(id, compose(for: peer, theirs: message.summary, random: &random))]
        }
        guard relayedCount < MembershipSettings.maxRelayedProbeCount, table[target] != nil else {
            return actions + [.answer(id, GossipMessage())]
        }
        let relay = call(target, for: .relayed(id: id), now: now, random: &random)
        if relay.isEmpty { return actions + [.answer(id, GossipMessage())] }
        relayedCount += 1
        actions += relay
        return actions
    }

    /// The answer to a call.
    package mutating func answered<Generator: RandomNumberGenerator>(
        _ number: UInt64,
        _ message: GossipMessage,
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        guard let call = calls.removeValue(forKey: number) else { return [] }
        var actions = merge(message, from: call.peer, now: now)
        indirect[call.peer] = nil
        actions += cleared(call.peer, now: now)
        switch call.purpose {
        case .probe, .gossip: break
        case .relayed(let id):
            relayedCount -= 1
            var answer = GossipMessage()
            answer.isProbeAnswered = true
            actions.append(.answer(id, answer))
        case .indirect(let target):
            if message.isProbeAnswered {
                indirect[target] = nil
                actions += cleared(target, now: now)
            }
        }
        return actions
    }

    /// A call could not be made, or its stream broke.
    package mutating func failed<Generator: RandomNumberGenerator>(
        _ number: UInt64,
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        guard let call = calls.removeValue(forKey: number) else { return [] }
        return lost(call, now: now, random: &random)
    }

    /// The time of `nextDeadline` came.
    package mutating func deadlineReached<Generator: RandomNumberGenerator>(
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        var actions: [Action] = []
        for (number, call) in calls.filter({ $0.value.deadline <= now }).sorted(by: { $0.key < $1.key }) {
            calls[number] = nil
            actions += lost(call, now: now, random: &random)
        }
        for (peer, probe) in indirect.filter({ $0.value.deadline <= now }).sorted(by: { $0.key < $1.key }) {
            indirect[peer] = nil
            actions += suspect(GossipMessage.Suspicion(peer: peer, sequence: probe.sequence), now: now)
        }
        guard nextPeriod <= now else { return actions }
        nextPeriod = max(nextPeriod + settings.period, now + settings.period / 2)
        return actions + age(now: now) + startPeriod(now: now, random: &random)
    }

    // MARK: - Periods

    private mutating func startPeriod<Generator: RandomNumberGenerator>(
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        var actions: [Action] = []
        if let target = nextProbe(random: &random) {
            actions += call(target, for: .probe, now: now, random: &random)
        }
        if !news.isEmpty {
            for _ in 0..<settings.fanout {
                guard let peer = table.living.randomElement(using: &random) else { break }
                actions += call(peer, for: .gossip, now: now, random: &random)
            }
        }
        if nextRevival <= now {
            nextRevival = now + settings.reviveInterval
            let dead = table.members.values.filter { $0.state == .dead }.map(\.peer).sorted()
            if let peer = dead.randomElement(using: &random) {
                actions += call(peer, for: .gossip, now: now, random: &random)
            }
        }
        return actions
    }

    /// The next living member of a random round, so that each is probed once a round (SWIM section 4.3).
    private mutating func nextProbe<Generator: RandomNumberGenerator>(random: inout Generator) -> PeerID? {
        while let peer = probeOrder.popLast() {
            if let member = table[peer], member.state != .dead { return peer }
        }
        probeOrder = table.living.shuffled(using: &random)
        return probeOrder.popLast()
    }

    /// Suspects whose time is up die; the dead are forgotten in the end.
    private mutating func age(now: Duration) -> [Action] {
        var actions: [Action] = []
        let timeout = settings.period * settings.suspicionPeriods * logarithm
        for member in table.members.values.filter({ $0.state != .alive }).sorted(by: { $0.peer < $1.peer }) {
            if member.state == .suspect, member.since + timeout <= now {
                actions += change(member, to: .dead, now: now)
            } else if member.state == .dead, member.since + settings.deadRetention <= now {
                table.remove(member.peer)
                actions.append(.forgotten(member.peer))
            }
        }
        return actions
    }

    /// log₁₀ of the number of members, rounded up, at least 1.
    private var logarithm: Int {
        var result = 1
        var count = (table.living.count + 1) / 10
        while count >= 1 {
            result += 1
            count /= 10
        }
        return result
    }

    // MARK: - Calls

    private mutating func call<Generator: RandomNumberGenerator>(
        _ peer: PeerID,
        for purpose: Purpose,
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        guard calls.count < MembershipSettings.maxCallCount else { return [] }
        let timeout: Duration =
            if case .indirect = purpose { settings.indirectTimeout } else { settings.probeTimeout }
        let number = nextCall
        nextCall += 1
        calls[number] = Call(peer: peer, purpose: purpose, deadline: now + timeout)
        var message = GossipMessage()
        if case .indirect(let target) = purpose {
            message.probe = target
        } else {
            message = compose(for: peer, theirs: [], random: &random)
        }
        return [.call(number, peer: peer, addresses: table[peer]?.record.addresses ?? [], message)]
    }

    private mutating func lost<Generator: RandomNumberGenerator>(
        _ call: Call,
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        switch call.purpose {
        case .gossip, .indirect: return []
        case .relayed(let id):
            relayedCount -= 1
            return [.answer(id, GossipMessage())]
        case .probe:
            guard let member = table[call.peer], member.state != .dead, indirect[call.peer] == nil else {
                return []
            }
            indirect[call.peer] = IndirectProbe(
                deadline: now + settings.indirectTimeout,
                sequence: member.record.sequence
            )
            let others = table.living.filter { $0 != call.peer }.shuffled(using: &random)
            var actions: [Action] = []
            for peer in others.prefix(settings.indirectProbeCount) {
                actions += self.call(peer, for: .indirect(target: call.peer), now: now, random: &random)
            }
            return actions
        }
    }

    /// What to tell a peer: news, our own record if it may lack it, the records it lacks, and our summary.
    private mutating func compose<Generator: RandomNumberGenerator>(
        for peer: PeerID,
        theirs: [UInt32],
        random: inout Generator
    ) -> GossipMessage {
        var message = GossipMessage()
        message.summary = summary
        if let member = table[peer], member.state != .alive {
            message.suspicions.append(GossipMessage.Suspicion(peer: peer, sequence: member.record.sequence))
        }
        var included: Set<PeerID> = [peer]
        var budget = MembershipSettings.recordBudgetByteCount
        takeNews(into: &message, included: &included, budget: &budget)
        let missing = theirs.isEmpty ? [] : differing(from: theirs, random: &random)
        for candidate in missing where budget > 0 && message.records.count < GossipMessage.maxRecordCount {
            guard included.insert(candidate).inserted else { continue }
            append(candidate, to: &message, budget: &budget)
        }
        return message
    }

    private mutating func takeNews(
        into message: inout GossipMessage,
        included: inout Set<PeerID>,
        budget: inout Int
    ) {
        for index in news.indices {
            switch news[index].item {
            case .record(let subject):
                guard budget > 0, message.records.count < GossipMessage.maxRecordCount,
                    included.insert(subject).inserted
                else { continue }
                append(subject, to: &message, budget: &budget)
            case .suspicion(let suspicion):
                guard message.suspicions.count < GossipMessage.maxSuspicionCount else { continue }
                message.suspicions.append(suspicion)
            }
            news[index].remaining -= 1
        }
        news.removeAll { $0.remaining <= 0 }
    }

    private func append(_ peer: PeerID, to message: inout GossipMessage, budget: inout Int) {
        guard let envelope = peer == own ? ownEnvelope : table[peer]?.envelope else { return }
        message.records.append(envelope)
        budget -= envelope.count
    }

    private func differing<Generator: RandomNumberGenerator>(
        from theirs: [UInt32],
        random: inout Generator
    ) -> [PeerID] {
        guard theirs.count == GossipMessage.bucketCount else { return [] }
        let ownBucket = MemberTable.bucket(of: own)
        // Our table does not hold ourselves; our summary does.
        var comparable = theirs
        comparable[ownBucket] ^= ownMark
        let peers = table.differing(from: comparable, random: &random)
        return comparable[ownBucket] == table.summary[ownBucket] ? peers : [own] + peers
    }

    /// The table's summary with this node in it, so that equal clusters have equal summaries.
    private var summary: [UInt32] {
        var summary = table.summary
        summary[MemberTable.bucket(of: own)] ^= ownMark
        return summary
    }

    private var ownMark: UInt32 {
        var alone = MemberTable()
        alone.set(Member(peer: own, record: ownRecord, envelope: [], state: .alive, since: .zero))
        return alone.summary[MemberTable.bucket(of: own)]
    }

    // MARK: - Knowledge

    private mutating func merge(_ message: GossipMessage, from peer: PeerID, now: Duration) -> [Action] {
        var actions: [Action] = []
        for record in message.records { actions += take(record: record, now: now) }
        for suspicion in message.suspicions { actions += suspect(suspicion, now: now) }
        return actions
    }

    private mutating func take(record bytes: [UInt8], now: Duration) -> [Action] {
        guard bytes.count <= MembershipSettings.maxRecordByteCount else {
            counters.oversized += 1
            return []
        }
        // Why it is malformed is of no use: it is dropped and counted.
        guard let signed = try? SignedPeerRecord.decode(bytes) else {
            counters.forged += 1
            return []
        }
        let record = signed.record
        guard record.peer != own else { return takeOwn(signed) }
        let known = table[record.peer]
        guard record.sequence > known?.record.sequence ?? 0 else {
            counters.stale += 1
            if let known, known.state != .alive { remind(of: known) }
            return []
        }
        guard record.sequence <= unixTime(now) &+ MembershipSettings.maxFutureNanoseconds else {
            counters.future += 1
            return []
        }
        // The signature comes last because it costs most.
        guard (try? signed.check(verify: verify)) != nil else {
            counters.forged += 1
            return []
        }
        var actions: [Action] = []
        if known == nil, table.members.count >= MembershipSettings.maxMemberCount {
            guard
                let oldest = table.members.values.filter({ $0.state == .dead }).min(by: {
                    $0.since < $1.since
                })
            else {
                counters.full += 1
                return []
            }
            table.remove(oldest.peer)
            actions.append(.forgotten(oldest.peer))
        }
        counters.accepted += 1
        indirect[record.peer] = nil
        table.set(Member(peer: record.peer, record: record, envelope: bytes, state: .alive, since: now))
        spread(.record(record.peer))
        return actions + [.changed(record.peer, .alive)]
    }

    /// A record of ours that we do not know, signed in an earlier run with a clock that ran ahead: ours must be newer.
    private mutating func takeOwn(_ signed: SignedPeerRecord) -> [Action] {
        guard signed.record.sequence > ownRecord.sequence, (try? signed.check(verify: verify)) != nil else {
            counters.stale += 1
            return []
        }
        return [.renewRecord(sequence: signed.record.sequence + 1)]
    }

    private mutating func suspect(_ suspicion: GossipMessage.Suspicion, now: Duration) -> [Action] {
        if suspicion.peer == own {
            guard suspicion.sequence == ownRecord.sequence else { return [] }
            counters.refuted += 1
            return [.renewRecord(sequence: ownRecord.sequence + 1)]
        }
        guard let member = table[suspicion.peer], member.record.sequence == suspicion.sequence,
            member.state == .alive
        else { return [] }
        spread(.suspicion(suspicion))
        return change(member, to: .suspect, now: now)
    }

    /// The member answered us, or somebody for us.
    ///
    /// Only our own suspicion is taken back: others wait for the member's newer record, or for its answer to them.
    private mutating func cleared(_ peer: PeerID, now: Duration) -> [Action] {
        guard let member = table[peer], member.state == .suspect else { return [] }
        news.removeAll { $0.item == .suspicion(.init(peer: peer, sequence: member.record.sequence)) }
        return change(member, to: .alive, now: now)
    }

    private mutating func change(_ member: Member, to state: MemberState, now: Duration) -> [Action] {
        var member = member
        member.state = state
        member.since = now
        table.set(member)
        return [.changed(member.peer, state)]
    }

    private mutating func spread(_ item: News.Item) {
        news.removeAll { $0.item == item }
        if news.count >= MembershipSettings.maxNewsCount { news.removeFirst() }
        news.append(News(item: item, remaining: settings.repetitions * logarithm))
    }

    /// Somebody still gossips the record of a member that is suspect or dead here: the news did not get everywhere.
    private mutating func remind(of member: Member) {
        let suspicion = GossipMessage.Suspicion(peer: member.peer, sequence: member.record.sequence)
        guard !news.contains(where: { $0.item == .suspicion(suspicion) }) else { return }
        spread(.suspicion(suspicion))
    }

    private mutating func noteOwnRecord() { spread(.record(own)) }

    private func unixTime(_ now: Duration) -> UInt64 {
        let (seconds, attoseconds) = now.components
        return unixOrigin &+ UInt64(max(0, seconds)) &* 1_000_000_000
            &+ UInt64(max(0, attoseconds) / 1_000_000_000)
    }
}
