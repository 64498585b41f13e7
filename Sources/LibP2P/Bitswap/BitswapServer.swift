package import Multiformats

/// The serving side of bitswap for all peers: remembers what each wants, and answers from the store.
///
/// A want goes `remembered → looked up → queued → (read from the store) → sent`. One message a peer is in the making
/// at any time, so a slow peer holds at most one batch of blocks in memory. A want for a block that is not here stays
/// remembered, and is answered when the block is stored.
///
/// The driver sends every message on a stream that *it* opened to the peer, never on the one that the want came in on:
/// boxo does not read streams it opened itself.
/// **Source** ipfs/specs bitswap-protocol, boxo's `decision` engine; WIRE section 9.
package struct BitswapServer: Sendable {
    /// What the driver has to do.
    package enum Action: Equatable, Sendable {
        /// Say by `found` which of these blocks the store holds, and how long they are.
        case find([CID])
        /// Read these blocks and hand them to `loaded`.
        case load([CID], for: PeerID)
        /// Write one message to the peer, then call `sent`.
        case send(BitswapMessage, to: PeerID)
    }

    /// Traffic with one peer.
    package struct Statistics: Equatable, Sendable {
        package var blocksSent: UInt64 = 0
        package var bytesSent: UInt64 = 0
        /// Wants that did not fit in the list.
        package var wantsDropped: UInt64 = 0
    }

    private var ledgers: [PeerID: BitswapLedger] = [:]
    private var askers: [CID: Set<PeerID>] = [:]
    private var finding: Set<CID> = []
    /// Wants of all peers that did not fit in their lists, since the start.
    package private(set) var droppedWantCount: UInt64 = 0

    /// Most wants remembered for a peer.
    package static let maxWantsPerPeer = 1024
    /// Most peers with a ledger; wants of further ones are dropped.
    package static let maxPeerCount = 4096
    /// Entries of wantlists that one peer may send a second over a while; above it the peer is read more slowly.
    ///
    /// Far more than an honest peer asks for: with blocks of 256 KiB it is 2 GiB a second.
    package static let wantsPerSecond = 8192
    /// Entries that a peer may send at once before its rate counts: as many as one message has at most.
    package static let maxWantBurst = BitswapMessage.maxEntryCount
    /// Answers are gathered up to about this many bytes a message; a larger block goes alone.
    package static let batchByteCount = 16 << 10
    /// A block of at most this length is sent in place of HAVE, in bytes.
    package static let maxInlineBlockByteCount = 1024
    /// What one HAVE or DONT_HAVE counts in a batch, in bytes.
    package static let presenceByteCount = 48

    /// Starts without peers.
    package init() {}

    /// Wants that are remembered for a peer.
    package func wantCount(of peer: PeerID) -> Int { ledgers[peer]?.wantCount ?? 0 }

    /// Blocks that peers wait for, at most `limit` of them.
    package func wantedCIDs(limit: Int) -> [CID] { Array(askers.keys.prefix(limit)) }

    /// Traffic with a peer; `nil` when it wanted nothing since it connected.
    package func statistics(of peer: PeerID) -> Statistics? { ledgers[peer]?.statistics }

    /// When the next message of a peer may be read: later than `now` when it sent wants faster than its rate allows.
    package mutating func nextTurn(of peer: PeerID, now: Duration) -> Duration {
        ledgers[peer]?.nextTurn(now: now) ?? now
    }

    /// A message came from a peer; only its wants matter here.
    ///
    /// - Parameters:
    ///   - message: what came; all of it is taken, whatever the peer's rate.
    ///   - peer: who sent it.
    ///   - now: time since an origin that the driver chose; a clock that stands still gives no rate beyond the burst.
    /// - Returns: what to do now.
    package mutating func receive(_ message: BitswapMessage, from peer: PeerID, now: Duration = .zero)
        -> [Action]
    {
        guard message.isFull || !message.wants.isEmpty else { return [] }
        guard ledgers[peer] != nil || ledgers.count < Self.maxPeerCount else {
            droppedWantCount += UInt64(message.wants.count)
            return []
        }
        // Taken out of the table, so that it is changed in place and not copied.
        var ledger = ledgers.removeValue(forKey: peer) ?? BitswapLedger()
        ledger.charge(message.wants.count, now: now)
        let droppedBefore = ledger.statistics.wantsDropped
        if message.isFull {
            for cid in ledger.wantedCIDs { removeAsker(peer, of: cid) }
            ledger.forgetAll()
        }
        var unknown: [CID] = []
        for want in Self.foremost(message.wants) {
            note(want, from: peer, in: &ledger, unknown: &unknown)
        }
        ledger.statistics.wantsDropped += UInt64(
            max(0, message.wants.count { $0.kind != .cancel } - Self.maxWantsPerPeer)
        )
        droppedWantCount += ledger.statistics.wantsDropped - droppedBefore
        ledgers[peer] = ledger
        unknown.removeAll { !finding.insert($0).inserted }
        return (unknown.isEmpty ? [] : [.find(unknown)]) + next(for: peer)
    }

    /// All cancels, and as many wants as a list holds: those of the highest priority, and among equals the first.
    ///
    /// The others could only be let in to be thrown out again, at the cost of a search of the list each.
    private static func foremost(_ wants: [BitswapMessage.Want]) -> [BitswapMessage.Want] {
        guard wants.count(where: { $0.kind != .cancel }) > maxWantsPerPeer else { return wants }
        let order = wants.indices.filter { wants[$0].kind != .cancel }
            .sorted { (wants[$1].priority, $0) < (wants[$0].priority, $1) }
        let kept = Set(order.prefix(maxWantsPerPeer))
        return wants.indices.filter { wants[$0].kind == .cancel || kept.contains($0) }.map { wants[$0] }
    }

    private mutating func note(
        _ want: BitswapMessage.Want,
        from peer: PeerID,
        in ledger: inout BitswapLedger,
        unknown: inout [CID]
    ) {
        if want.kind == .cancel {
            ledger.forget(want.cid)
            removeAsker(peer, of: want.cid)
            return
        }
        // The data of an identity CID is in the CID: nobody needs to send it.
        guard want.cid.multihash.code != Multihash.identityCode else { return }
        switch ledger.remember(want, limit: Self.maxWantsPerPeer) {
        case .known: break
        case .refused: ledger.statistics.wantsDropped += 1
        case .new(let evicted):
            if let evicted {
                removeAsker(peer, of: evicted)
                ledger.statistics.wantsDropped += 1
            }
            askers[want.cid, default: []].insert(peer)
            unknown.append(want.cid)
        }
    }

    private mutating func removeAsker(_ peer: PeerID, of cid: CID) {
        askers[cid]?.remove(peer)
        if askers[cid]?.isEmpty == true { askers[cid] = nil }
    }

    /// The store's answer to `find`: the length of each block, `nil` for those it lacks.
    package mutating func found(_ blocks: [(cid: CID, byteCount: Int?)]) -> [Action] {
        for block in blocks { finding.remove(block.cid) }
        return answer(blocks)
    }

    /// Blocks were stored, from wherever: peers that wait for them get their answers.
    package mutating func stored(_ blocks: [(cid: CID, byteCount: Int)]) -> [Action] {
        answer(blocks.map { ($0.cid, $0.byteCount) })
    }

    private mutating func answer(_ blocks: [(cid: CID, byteCount: Int?)]) -> [Action] {
        var peers: Set<PeerID> = []
        for block in blocks {
            for peer in askers[block.cid] ?? [] {
                ledgers[peer]?.answer(block.cid, byteCount: block.byteCount)
                peers.insert(peer)
            }
        }
        return peers.sorted().flatMap { next(for: $0) }
    }

    /// The store's answer to `load`: the bytes of each block, `nil` for those that are gone or damaged.
    package mutating func loaded(_ blocks: [(cid: CID, data: ArraySlice<UInt8>?)], for peer: PeerID)
        -> [Action]
    {
        guard var ledger = ledgers.removeValue(forKey: peer) else { return [] }
        guard let batch = ledger.loading else {
            ledgers[peer] = ledger
            return []
        }
        ledger.loading = nil
        var message = BitswapMessage()
        message.presences = batch.presences
        let expected = Set(batch.blocks)
        for block in blocks {
            // A want that was cancelled meanwhile is not answered.
            guard expected.contains(block.cid), let want = ledger.want(block.cid) else { continue }
            if let data = block.data {
                message.blocks.append(BitswapMessage.Block(block.cid, data: data))
                ledger.forget(block.cid)
                removeAsker(peer, of: block.cid)
                ledger.statistics.blocksSent += 1
                ledger.statistics.bytesSent += UInt64(data.count)
            } else {
                ledger.noteAbsent(block.cid)
                guard want.sendsDontHave else { continue }
                message.presences.append(BitswapMessage.Presence(block.cid, isHeld: false))
            }
        }
        ledgers[peer] = ledger
        return send(message, to: peer)
    }

    /// The message of the last `send` to `peer` was written: the next one may follow.
    package mutating func sent(to peer: PeerID) -> [Action] {
        ledgers[peer]?.isSending = false
        return next(for: peer)
    }

    /// The last connection to a peer is gone: everything about it is forgotten.
    package mutating func disconnected(_ peer: PeerID) {
        forgetWants(of: peer)
        ledgers[peer] = nil
    }

    /// The peer takes no answers: what it wants is forgotten, but not how fast it asked.
    package mutating func forgetWants(of peer: PeerID) {
        guard var ledger = ledgers.removeValue(forKey: peer) else { return }
        for cid in ledger.wantedCIDs { removeAsker(peer, of: cid) }
        ledger.forgetAll()
        ledger.loading = nil
        ledger.isSending = false
        ledgers[peer] = ledger
    }

    /// Starts the next message to a peer, unless one is in the making.
    private mutating func next(for peer: PeerID) -> [Action] {
        guard ledgers[peer]?.isBusy == false, let batch = ledgers[peer]?.takeBatch() else { return [] }
        for presence in batch.presences where presence.isHeld { removeAsker(peer, of: presence.cid) }
        guard batch.blocks.isEmpty else {
            ledgers[peer]?.loading = batch
            return [.load(batch.blocks, for: peer)]
        }
        var message = BitswapMessage()
        message.presences = batch.presences
        return send(message, to: peer)
    }

    private mutating func send(_ message: BitswapMessage, to peer: PeerID) -> [Action] {
        var message = message
        guard !message.isEmpty else { return next(for: peer) }
        message.pendingByteCount = ledgers[peer]?.pendingByteCount ?? 0
        ledgers[peer]?.isSending = true
        return [.send(message, to: peer)]
    }
}
