package import Multiformats

/// The fetching side of bitswap for all peers: gets wanted blocks from whoever holds them.
///
/// A want goes through these states:
///
///     queued ──► searching ──► located ──► fetching ──► delivered
///                    │  ▲          ▲           │
///                    │  └──────────┴───────────┘  DONT_HAVE, silence, a peer that left or lied
///                    ▼
///                  failed: nobody had it within the caller's patience
///
/// A search sends WANT-HAVE to connected peers; hints, and peers that lately delivered, are asked for the block at once.
/// Located blocks are asked of the holder with the fewest blocks under way, so that they spread over all holders. Wants of
/// several callers for one block are one want. A peer that sends a block nobody asked it for is believed to have sent
/// wrong bytes for one that was, and is asked no more until it connects anew.
///
/// **Source** ipfs/specs bitswap-protocol, boxo's client sessions; WIRE section 9.
package struct BitswapClient: Sendable {
    /// What the driver has to do.
    package enum Action: Equatable, Sendable {
        /// Write these wants to the peer, on the one stream kept for wants.
        case send([BitswapMessage.Want], to: PeerID)
        /// A wanted block, its hash verified: store it and resume who waits for it.
        case deliver(CID, data: ArraySlice<UInt8>, from: PeerID)
        /// The want is over without a block.
        case fail(CID, BitswapFault)
        /// The peer lied, or is broken: it is asked no more; log it and count it.
        case distrust(PeerID, BitswapDistrust)
    }

    /// Wants that are worked on.
    private var active: [CID: WantState] = [:]
    /// Wants that wait for their turn, in `queue`'s order.
    private var queued: [CID: WantState] = [:]
    private var queue: ArraySlice<CID> = []
    private var peers: [PeerID: PeerState] = [:]
    private var nextPriority = Int32.max
    private var outbox = Outbox()
    /// Blocks that came twice, late or unasked.
    package private(set) var unwantedBlockCount: UInt64 = 0

    /// Most wants at a time; further ones fail.
    package static let maxWantCount = 65_536
    /// Wants that are worked on at a time; the others queue, so that no peer's list overflows.
    package static let maxActiveWantCount = 512
    /// Most peers that are used; further ones are ignored.
    package static let maxPeerCount = 4096
    /// Most peers that one search asks at a time, and most hints of a want.
    package static let maxSearchedPeerCount = 64
    /// Most blocks asked of one peer and not delivered yet.
    package static let maxBlocksPerPeer = 32
    /// Silence of a peer that owes answers, after which others are asked.
    package static let answerTimeout: Duration = .seconds(5)
    /// How long a peer may send bytes without completing any answer.
    package static let completionTimeout: Duration = .seconds(60)
    /// How long a want waits for a holder to appear once every peer that can be asked has said that it lacks the block.
    package static let refusalGrace: Duration = .seconds(10)
    /// Times a peer may stay silent, or break its word, before it is distrusted.
    package static let maxStrikeCount = 3
    /// How long cancels are held back to travel together.
    package static let cancelDelay: Duration = .milliseconds(20)
    /// Most CIDs remembered as asked of a peer, to tell late blocks from false ones.
    package static let maxRememberedPerPeer = 2048

    /// Starts without peers and wants.
    package init() {}

    /// Wants that are not over.
    package var wantCount: Int { active.count + queued.count }

    /// Peers that could be asked.
    package var usablePeerCount: Int { peers.values.count { !$0.isDistrusted } }

    /// Asks for blocks.
    ///
    /// - Parameters:
    ///   - cids: the blocks; those already wanted are joined.
    ///   - hints: peers that are believed to hold them; they are asked first.
    ///   - patience: how long to wait for somebody to have a block that nobody has.
    ///   - grace: how long to wait for a holder to appear once all peers have said that they lack a block; for those
    ///     already wanted that remains as it is.
    ///   - now: time since an origin that the driver chose.
    /// - Returns: what to do now.
    package mutating func want(
        _ cids: some Sequence<CID>,
        hints: [PeerID] = [],
        patience: Duration,
        grace: Duration = BitswapClient.refusalGrace,
        now: Duration
    ) -> [Action] {
        var refused: [Action] = []
        for cid in cids {
            if active[cid] != nil {
                active[cid]?.join(hints: hints, giveUpAt: now + patience)
                advance(cid, now: now)
            } else if queued[cid] != nil {
                queued[cid]?.join(hints: hints, giveUpAt: now + patience)
            } else if wantCount >= Self.maxWantCount {
                refused.append(.fail(cid, .tooManyWants(limit: Self.maxWantCount)))
            } else {
                queued[cid] = WantState(
                    priority: nextPriority,
                    hints: hints,
                    grace: grace,
                    giveUpAt: now + patience
                )
                nextPriority = nextPriority == 1 ? Int32.max : nextPriority - 1
                queue.append(cid)
            }
        }
        return refused + proceed(now: now)
    }

    /// Nobody needs these blocks any more; peers are told.
    package mutating func cancel(_ cids: some Sequence<CID>, now: Duration) -> [Action] {
        for cid in cids { finish(cid, except: nil, now: now) }
        return proceed(now: now)
    }

    /// A peer that speaks bitswap is there; searches ask it too.
    package mutating func connected(_ peer: PeerID, now: Duration) -> [Action] {
        guard peers[peer] == nil, peers.count < Self.maxPeerCount else { return [] }
        peers[peer] = PeerState(now: now)
        for cid in inOrder(active.keys) where active[cid]?.fetchingFrom == nil {
            if active[cid]?.holders.contains(peer) == true {
                advance(cid, now: now)
            } else {
                search(cid, now: now)
            }
        }
        return proceed(now: now)
    }

    /// The last connection to a peer is gone; what it owed is asked of others.
    package mutating func disconnected(_ peer: PeerID, now: Duration) -> [Action] {
        guard peers.removeValue(forKey: peer) != nil else { return [] }
        forget(peer, now: now)
        return proceed(now: now)
    }

    /// Bytes of a message that is not complete came from a peer: it is slow, not silent.
    package mutating func progressed(_ peer: PeerID, now: Duration) {
        peers[peer]?.heard(now: now)
    }

    /// A message came from a peer, on any stream; hashes its blocks.
    package mutating func receive(_ message: BitswapMessage, from peer: PeerID, now: Duration) -> [Action] {
        guard peers[peer] != nil else { return [] }
        peers[peer]?.heard(now: now)
        var actions: [Action] = []
        for block in message.blocks { actions += receive(block, from: peer, now: now) }
        for presence in message.presences { actions += receive(presence, from: peer, now: now) }
        return actions + proceed(now: now)
    }

    private mutating func receive(_ block: BitswapMessage.Block, from peer: PeerID, now: Duration) -> [Action]
    {
        guard let cid = block.verifiedCID(), let state = peers[peer],
            state.wasAsked(cid) || active[cid] != nil
        else {
            unwantedBlockCount += 1
            return distrust(peer, .falseBlock, now: now)
        }
        peers[peer]?.settle(cid, now: now)
        guard active[cid] != nil || queued[cid] != nil else {
            unwantedBlockCount += 1
            return []
        }
        peers[peer]?.countDelivery()
        finish(cid, except: peer, now: now)
        return [.deliver(cid, data: block.data, from: peer)]
    }

    private mutating func receive(_ presence: BitswapMessage.Presence, from peer: PeerID, now: Duration)
        -> [Action]
    {
        let cid = presence.cid
        guard peers[peer]?.wasAsked(cid) == true, peers[peer]?.isDistrusted == false else { return [] }
        if presence.isHeld {
            active[cid]?.noteHolder(peer)
            // HAVE in answer to WANT-BLOCK, as some give for empty blocks: the block is still owed.
            if active[cid]?.fetchingFrom != peer { peers[peer]?.settle(cid, now: now) }
            advance(cid, now: now)
            return []
        }
        peers[peer]?.settle(cid, now: now)
        let brokeItsWord = active[cid]?.saidHave.contains(peer) ?? false
        active[cid]?.noteDontHave(peer, now: now)
        advance(cid, now: now)
        // A block that was collected meanwhile explains one; a habit is something else.
        guard brokeItsWord, peers[peer]?.addBrokenPromise() == true else { return [] }
        return distrust(peer, .brokenPromises, now: now)
    }

    /// The time of `nextDeadline` came.
    package mutating func deadlineReached(now: Duration) -> [Action] {
        var actions: [Action] = []
        for peer in peers.keys.sorted() {
            guard let deadline = peers[peer]?.answerDeadline, deadline <= now else { continue }
            actions += silent(peer, now: now)
        }
        let sayers = usablePeers
        for cid in inOrder(active.keys) {
            guard let want = active[cid], !hasHope(want) else { continue }
            if want.giveUpAt <= now {
                finish(cid, except: nil, now: now)
                actions.append(.fail(cid, .nobodyHas(cid, askedPeerCount: want.refusedBy.count)))
            } else if let end = refusalEnd(of: want, sayers: sayers), end <= now {
                finish(cid, except: nil, now: now)
                actions.append(.fail(cid, .allLack(cid, peerCount: sayers.count)))
            }
        }
        return actions + proceed(now: now)
    }

    /// When `deadlineReached` has to be called next; `nil` when nothing is awaited.
    package var nextDeadline: Duration? {
        var deadline = outbox.cancelDeadline
        let note = { (time: Duration) in deadline = min(deadline ?? time, time) }
        for peer in peers.values { peer.answerDeadline.map(note) }
        let sayers = usablePeers
        for want in active.values where !hasHope(want) {
            note(want.giveUpAt)
            refusalEnd(of: want, sayers: sayers).map(note)
        }
        return deadline
    }

    private var usablePeers: [PeerID] { peers.compactMap { $0.value.isDistrusted ? nil : $0.key } }

    /// When a want is given up that all of `sayers`, who are all that can be asked, said DONT_HAVE to; else `nil`.
    private func refusalEnd(of want: WantState, sayers: [PeerID]) -> Duration? {
        guard !sayers.isEmpty, want.saidDontHave.count >= sayers.count,
            sayers.allSatisfy(want.saidDontHave.contains)
        else {
            return nil
        }
        return want.lastRefusal + want.grace
    }

    /// Somebody connected was asked, or holds the block and is only busy: that peer's own deadline decides.
    private func hasHope(_ want: WantState) -> Bool {
        want.fetchingFrom != nil || want.asked.contains { peers[$0] != nil }
            || want.holders.contains { peers[$0]?.isDistrusted == false }
    }

    private mutating func silent(_ peer: PeerID, now: Duration) -> [Action] {
        guard let owed = peers[peer]?.takeOwed() else { return [] }
        let owedBlock = owed.contains { active[$0]?.fetchingFrom == peer }
        for cid in inOrder(owed) {
            active[cid]?.noteRefusal(peer)
            advance(cid, now: now)
        }
        guard owedBlock, peers[peer]?.addSilence() == true else { return [] }
        return distrust(peer, .silence, now: now)
    }

    private mutating func distrust(_ peer: PeerID, _ reason: BitswapDistrust, now: Duration) -> [Action] {
        guard peers[peer]?.isDistrusted == false else { return [] }
        peers[peer]?.distrust()
        forget(peer, now: now)
        return [.distrust(peer, reason)]
    }

    /// Takes a peer out of all wants, and asks others for what it owed.
    private mutating func forget(_ peer: PeerID, now: Duration) {
        outbox.drop(peer)
        for cid in inOrder(active.keys) where active[cid]?.involves(peer) == true {
            active[cid]?.remove(peer)
            advance(cid, now: now)
        }
    }

    /// What may follow any event: queued wants start, waiting ones find room, and messages go out.
    private mutating func proceed(now: Duration) -> [Action] {
        while active.count < Self.maxActiveWantCount, let cid = queue.popFirst() {
            guard let want = queued.removeValue(forKey: cid) else { continue }
            active[cid] = want.started(now: now)
            advance(cid, now: now)
        }
        if peers.values.contains(where: \.hasRoom) {
            let waiting = active.filter { $0.value.fetchingFrom == nil && !$0.value.holders.isEmpty }
            for cid in inOrder(waiting.keys) { advance(cid, now: now) }
        }
        return outbox.take(now: now).map { .send($0.wants, to: $0.peer) }
    }

    /// Moves a want on: asks a holder for the block if one has room, else searches.
    private mutating func advance(_ cid: CID, now: Duration) {
        guard let want = active[cid], want.fetchingFrom == nil else { return }
        let holders = want.holders.filter { peers[$0]?.isDistrusted == false }
        if !holders.isEmpty {
            if let holder = leastBusy(holders) { fetch(cid, from: holder, now: now) }
        } else if want.asked.isEmpty, want.refusedBy.isEmpty, let peer = leastBusy(proven) {
            fetch(cid, from: peer, now: now)
        } else {
            search(cid, now: now)
        }
    }

    /// Peers that delivered before: worth asking for a block without a search.
    private var proven: [PeerID] {
        peers.filter { $0.value.deliveredCount > 0 && !$0.value.isDistrusted }.map(\.key)
    }

    /// The peer with the fewest blocks under way, if any has room; of equals the first by id, so that runs repeat.
    private func leastBusy(_ candidates: some Sequence<PeerID>) -> PeerID? {
        let free = candidates.lazy.compactMap { peer in
            peers[peer].flatMap { $0.hasRoom ? (load: $0.blockCount, peer: peer) : nil }
        }
        return free.min { ($0.load, $0.peer) < ($1.load, $1.peer) }?.peer
    }

    private mutating func fetch(_ cid: CID, from peer: PeerID, now: Duration) {
        guard let priority = active[cid]?.priority else { return }
        active[cid]?.fetch(from: peer)
        peers[peer]?.ask(cid, isBlock: true, now: now)
        outbox.add(BitswapMessage.Want(cid, kind: .block, priority: priority, sendsDontHave: true), to: peer)
    }

    private mutating func search(_ cid: CID, now: Duration) {
        guard let want = active[cid], want.asked.count < Self.maxSearchedPeerCount else { return }
        let candidates = peers.filter { peer, state in
            !state.isDistrusted && !want.involves(peer)
        }
        for peer in candidates.keys.sorted().prefix(Self.maxSearchedPeerCount - want.asked.count) {
            active[cid]?.noteAsked(peer)
            peers[peer]?.ask(cid, isBlock: false, now: now)
            outbox.add(
                BitswapMessage.Want(cid, kind: .have, priority: want.priority, sendsDontHave: true),
                to: peer
            )
        }
    }

    private mutating func finish(_ cid: CID, except deliverer: PeerID?, now: Duration) {
        queued[cid] = nil
        guard let want = active.removeValue(forKey: cid) else { return }
        for peer in want.toldPeers where peer != deliverer && peers[peer]?.isDistrusted == false {
            peers[peer]?.drop(cid)
            outbox.cancel(cid, at: peer, deadline: now + Self.cancelDelay)
        }
    }

    /// Older wants first, so that blocks come about in the order asked for.
    private func inOrder(_ cids: some Sequence<CID>) -> [CID] {
        cids.compactMap { cid in active[cid].map { (priority: $0.priority, cid: cid) } }
            .sorted { $0.priority > $1.priority }
            .map(\.cid)
    }
}

/// Why a want came to nothing.
package enum BitswapFault: Error, Equatable, Sendable {
    /// No connected peer has the block; `askedPeerCount` of them said so or kept silent.
    case nobodyHas(CID, askedPeerCount: Int)
    /// Every connected peer said that it lacks the block, and none came that has it.
    case allLack(CID, peerCount: Int)
    case tooManyWants(limit: Int)
}

/// Why a peer is asked no more.
package enum BitswapDistrust: Equatable, Sendable, CustomStringConvertible {
    /// It sent bytes that are no block it was asked for.
    case falseBlock
    /// It said HAVE, and DONT_HAVE when asked for the block, again and again.
    case brokenPromises
    /// It owed blocks and sent nothing, again and again.
    case silence

    /// What it did, in words.
    package var description: String {
        switch self {
        case .falseBlock: "it sent bytes that are no block it was asked for"
        case .brokenPromises: "it said again and again that it has blocks, and did not give them"
        case .silence: "it owed blocks and sent nothing, again and again"
        }
    }
}
