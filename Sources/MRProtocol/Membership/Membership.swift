package import Multiformats

/// Who is in the cluster, and who of them is alive: gossip of signed peer records with SWIM's failure detection.
///
/// Every member keeps the newest signed record of every other. A record's sequence number is SWIM's incarnation: who is
/// suspected refutes by signing a record with a higher one, so nobody can declare another alive, and a node that comes
/// back with a new address is taken in at once. News (records, suspicions) is repeated to random members a few times;
/// whatever is missed, or was there before a member joined, is found by comparing summaries, 64 numbers in every message,
/// and pulled: who lacks something sends its own record and the marks of what it has, and is sent exactly the rest.
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
        /// We asked for the records that we lack.
        case pull
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

    package let own: PeerID
    package private(set) var counters = Counters()
    let settings: MembershipSettings
    private let verify: SignedEnvelope.Verifier
    /// Nanoseconds since 1970 when `now` was zero.
    private let unixOrigin: UInt64
    private(set) var table = MemberTable()
    private var ownEnvelope: [UInt8]
    private var ownRecord: PeerRecord
    /// The mark and bucket of our own record: the table does not hold us, our summary does.
    private var ownEntry: MemberTable.Living
    private var calls: [UInt64: Call] = [:]
    private var indirect: [PeerID: IndirectProbe] = [:]
    private var news = NewsQueue()
    private var pullsLeft = MembershipSettings.maxPullCount
    private var pullBudget = MembershipSettings.pullBudgetByteCount
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
        ownEntry = MemberTable.entry(own, sequence: record.record.sequence)
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
        ownEntry = MemberTable.entry(own, sequence: record.record.sequence)
        noteOwnRecord()
    }

    /// Records from elsewhere: the table of an earlier run, or identify.
    package mutating func learn(_ envelopes: [[UInt8]], now: Duration) -> [Action] {
        envelopes.flatMap { take(record: $0, isNews: false, now: now) }
    }

    /// A peer that may not be in the table is there, such as a bootstrap peer that was just dialed: trade knowledge.
    package mutating func greet<Generator: RandomNumberGenerator>(
        _ peer: PeerID,
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        guard peer != own else { return [] }
        return call(peer, for: .gossip, now: now)
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
        var actions = merge(message, isNews: true, now: now)
        guard let target = message.probe else {
            return actions + [.answer(id, answer(to: message, from: peer, random: &random))]
        }
        guard relayedCount < MembershipSettings.maxRelayedProbeCount, table[target] != nil else {
            return actions + [.answer(id, GossipMessage())]
        }
        let relay = call(target, for: .relayed(id: id), now: now)
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
        var actions = merge(message, isNews: call.purpose != .pull, now: now)
        indirect[call.peer] = nil
        actions += cleared(call.peer, now: now)
        switch call.purpose {
        case .probe, .gossip:
            actions += pull(from: call.peer, theirs: message.summary, now: now, random: &random)
        case .pull where message.records.joinedCount >= MembershipSettings.recordBudgetByteCount:
            actions += pull(from: call.peer, theirs: message.summary, now: now, random: &random)
        case .pull: break
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
        pullsLeft = MembershipSettings.maxPullCount
        pullBudget = MembershipSettings.pullBudgetByteCount
        return actions + age(now: now) + startPeriod(now: now, random: &random)
    }

    // MARK: - Periods

    private mutating func startPeriod<Generator: RandomNumberGenerator>(
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        var actions: [Action] = []
        if let target = nextProbe(random: &random) {
            actions += call(target, for: .probe, now: now)
        }
        if !news.isEmpty {
            for _ in 0..<settings.fanout {
                guard let peer = table.living.randomElement(using: &random)?.peer else { break }
                actions += call(peer, for: .gossip, now: now)
            }
        }
        if nextRevival <= now {
            nextRevival = now + settings.reviveInterval
            let dead = table.unwellMembers { $0.state == .dead }
            if let peer = dead.randomElement(using: &random)?.peer {
                actions += call(peer, for: .gossip, now: now)
            }
        }
        return actions
    }

    /// The next living member of a random round, so that each is probed once a round (SWIM section 4.3).
    private mutating func nextProbe<Generator: RandomNumberGenerator>(random: inout Generator) -> PeerID? {
        while let peer = probeOrder.popLast() {
            if let member = table[peer], member.state != .dead { return peer }
        }
        probeOrder = table.living.map(\.peer).shuffled(using: &random)
        return probeOrder.popLast()
    }

    /// Suspects whose time is up die; the dead are forgotten in the end.
    private mutating func age(now: Duration) -> [Action] {
        var actions: [Action] = []
        let timeout = settings.period * settings.suspicionPeriods * logarithm
        let due = table.unwellMembers {
            $0.since + ($0.state == .suspect ? timeout : settings.deadRetention) <= now
        }
        for member in due {
            if member.state == .suspect {
                actions += change(member, to: .dead, now: now)
            } else {
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

    private mutating func call(
        _ peer: PeerID,
        for purpose: Purpose,
        wanted: UInt64 = 0,
        now: Duration
    ) -> [Action] {
        guard calls.count < MembershipSettings.maxCallCount else { return [] }
        let timeout: Duration =
            if case .indirect = purpose { settings.indirectTimeout } else { settings.probeTimeout }
        let number = nextCall
        nextCall += 1
        calls[number] = Call(peer: peer, purpose: purpose, deadline: now + timeout)
        let message =
            switch purpose {
            case .indirect(let target): GossipMessage(probe: target)
            case .pull: pullMessage(wanted: wanted)
            case .probe, .gossip, .relayed: compose(for: peer, theirs: [])
            }
        return [.call(number, peer: peer, addresses: table[peer]?.record.addresses ?? [], message)]
    }

    private mutating func lost<Generator: RandomNumberGenerator>(
        _ call: Call,
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        switch call.purpose {
        case .gossip, .indirect, .pull: return []
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
            let helpers = table.sample(settings.indirectProbeCount, excluding: call.peer, random: &random)
            return helpers.flatMap { self.call($0, for: .indirect(target: call.peer), now: now) }
        }
    }

    // MARK: - Messages

    /// What to tell a peer: news, that it is suspected if so, and our summary.
    private mutating func compose(for peer: PeerID, theirs: [UInt32]) -> GossipMessage {
        var message = GossipMessage()
        message.summary = summary
        if let member = table[peer], member.state != .alive {
            message.suspicions.append(GossipMessage.Suspicion(peer: peer, sequence: member.record.sequence))
        }
        // Taken out for as long as the closure reads the table.
        var queue = NewsQueue()
        swap(&queue, &news)
        let items = queue.take(for: peer, records: theirs != message.summary) { envelope(of: $0)?.count }
        swap(&queue, &news)
        for item in items {
            switch item {
            case .record(let subject): envelope(of: subject).map { message.records.append($0) }
            case .suspicion(let suspicion): message.suspicions.append(suspicion)
            }
        }
        return message
    }

    /// The answer to a call: news, or the records that a pull lacks.
    private mutating func answer<Generator: RandomNumberGenerator>(
        to message: GossipMessage,
        from peer: PeerID,
        random: inout Generator
    ) -> GossipMessage {
        guard message.wantedBuckets != 0 else {
            if message.summary == summary { news.calm() }
            return compose(for: peer, theirs: message.summary)
        }
        var answer = GossipMessage()
        answer.summary = summary
        let have = Set(message.marks)
        // So that a newcomer can go on elsewhere, some are sent even when the budget of this period is spent.
        var budget = max(
            min(pullBudget, MembershipSettings.recordBudgetByteCount),
            MembershipSettings.minPullByteCount
        )
        for subject in lacked(in: message.wantedBuckets, have: have, random: &random) where subject != peer {
            guard budget > 0, answer.records.count < GossipMessage.maxRecordCount else { break }
            guard let envelope = envelope(of: subject) else { continue }
            answer.records.append(envelope)
            budget -= envelope.count
            pullBudget = max(0, pullBudget - envelope.count)
        }
        return answer
    }

    /// Ourselves and living members in some buckets whose marks are not among these, from a random one on.
    private func lacked<Generator: RandomNumberGenerator>(
        in buckets: UInt64,
        have: Set<UInt32>,
        random: inout Generator
    ) -> [PeerID] {
        let entries = CollectionOfOne(ownEntry) + table.living
        // A random start, so that different members send different pieces of a table too large for one message.
        let start = Int.random(in: 0..<entries.count, using: &random)
        return (entries[start...] + entries[..<start]).compactMap { entry in
            buckets >> UInt64(entry.bucket) & 1 == 1 && !have.contains(entry.mark) ? entry.peer : nil
        }
    }

    /// Compares a peer's summary with ours, and asks for what we lack.
    private mutating func pull<Generator: RandomNumberGenerator>(
        from peer: PeerID,
        theirs: [UInt32],
        now: Duration,
        random: inout Generator
    ) -> [Action] {
        guard theirs.count == GossipMessage.bucketCount else { return [] }
        let ours = summary
        let wanted = ours.indices.reduce(UInt64(0)) { $0 | (ours[$1] == theirs[$1] ? 0 : 1 << UInt64($1)) }
        guard wanted != 0 else {
            news.calm()
            return []
        }
        guard pullsLeft > 0, !calls.values.contains(where: { $0.purpose == .pull }) else { return [] }
        pullsLeft -= 1
        return call(peer, for: .pull, wanted: wanted, now: now)
    }

    /// Asks for what we lack, and introduces us: our record was news for a few messages only, and when those were lost
    /// the peer would never hear of us, for it cannot call somebody it does not know.
    private func pullMessage(wanted: UInt64) -> GossipMessage {
        var message = GossipMessage()
        message.records = [ownEnvelope]
        message.wantedBuckets = wanted
        message.marks = (CollectionOfOne(ownEntry) + table.living).compactMap { entry in
            wanted >> UInt64(entry.bucket) & 1 == 1 ? entry.mark : nil
        }
        return message
    }

    private func envelope(of peer: PeerID) -> [UInt8]? { peer == own ? ownEnvelope : table[peer]?.envelope }

    /// The table's summary with this node in it, so that equal clusters have equal summaries.
    private var summary: [UInt32] {
        var summary = table.summary
        summary[ownEntry.bucket] ^= ownEntry.mark
        return summary
    }

    // MARK: - Knowledge

    private mutating func merge(_ message: GossipMessage, isNews: Bool, now: Duration) -> [Action] {
        var actions: [Action] = []
        for record in message.records { actions += take(record: record, isNews: isNews, now: now) }
        for suspicion in message.suspicions { actions += suspect(suspicion, now: now) }
        return actions
    }

    // News is passed on; what came by a pull was news before, and others pull it too.
    private mutating func take(record bytes: [UInt8], isNews: Bool, now: Duration) -> [Action] {
        guard bytes.count <= MembershipSettings.maxRecordByteCount else {
            counters.oversized += 1
            return []
        }
        // The usual echo is dropped before it is decoded.
        if let signer = SignedPeerRecord.claimedSigner(bytes), let known = table[signer],
            known.envelope == bytes
        {
            echo(of: known)
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
        if let known, record.sequence <= known.record.sequence {
            echo(of: known)
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
        guard let room = makeRoom(for: record.peer) else {
            counters.full += 1
            return []
        }
        counters.accepted += 1
        indirect[record.peer] = nil
        table.set(Member(peer: record.peer, record: record, envelope: bytes, state: .alive, since: now))
        if isNews { spread(.record(record.peer)) }
        return room + [.changed(record.peer, .alive)]
    }

    /// Forgets the oldest dead member if the table is full; `nil` when nobody is dead.
    private mutating func makeRoom(for peer: PeerID) -> [Action]? {
        guard table[peer] == nil, table.members.count >= MembershipSettings.maxMemberCount else { return [] }
        let dead = table.unwellMembers { $0.state == .dead }
        guard let oldest = dead.min(by: { $0.since < $1.since }) else { return nil }
        table.remove(oldest.peer)
        return [.forgotten(oldest.peer)]
    }

    /// A record came that is not newer than the one we have.
    private mutating func echo(of known: Member) {
        counters.stale += 1
        if known.state != .alive { remind(of: known) }
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
        guard let member = table[peer], member.state != .alive else { return [] }
        news.remove(.suspicion(.init(peer: peer, sequence: member.record.sequence)))
        return change(member, to: .alive, now: now)
    }

    private mutating func change(_ member: Member, to state: MemberState, now: Duration) -> [Action] {
        var member = member
        member.state = state
        member.since = now
        table.set(member)
        return [.changed(member.peer, state)]
    }

    private mutating func spread(_ item: NewsQueue.Item) {
        news.add(item, repetitions: settings.repetitions * logarithm)
    }

    /// Somebody still gossips the record of a member that is suspect or dead here: the news did not get everywhere.
    private mutating func remind(of member: Member) {
        let suspicion = GossipMessage.Suspicion(peer: member.peer, sequence: member.record.sequence)
        guard !news.contains(.suspicion(suspicion)) else { return }
        spread(.suspicion(suspicion))
    }

    private mutating func noteOwnRecord() { spread(.record(own)) }

    private func unixTime(_ now: Duration) -> UInt64 {
        let (seconds, attoseconds) = now.components
        return unixOrigin &+ UInt64(max(0, seconds)) &* 1_000_000_000
            &+ UInt64(max(0, attoseconds) / 1_000_000_000)
    }
}

extension [[UInt8]] {
    /// Bytes in all.
    fileprivate var joinedCount: Int { reduce(0) { $0 + $1.count } }
}
