internal import Multiformats

extension BitswapClient {
    /// One wanted block.
    struct WantState: Sendable {
        let priority: Int32
        /// How long it waits for a holder to appear after the last refusal.
        let grace: Duration
        /// Peers believed to hold the block: hints, and who said HAVE.
        private(set) var holders: Set<PeerID>
        /// Holders on their own word.
        private(set) var saidHave: Set<PeerID> = []
        /// Peers with a WANT-HAVE that is not answered.
        private(set) var asked: Set<PeerID> = []
        /// Peers that said DONT_HAVE or kept silent.
        private(set) var refusedBy: Set<PeerID> = []
        /// Of those, peers that said it.
        private(set) var saidDontHave: Set<PeerID> = []
        /// When the last of them did.
        private(set) var lastRefusal: Duration = .zero
        /// Peers that may still remember the want, and are owed a cancel.
        private(set) var toldPeers: Set<PeerID> = []
        /// Who was asked for the block itself.
        private(set) var fetchingFrom: PeerID?
        private(set) var giveUpAt: Duration

        init(priority: Int32, hints: [PeerID], grace: Duration, giveUpAt: Duration) {
            self.priority = priority
            self.grace = grace
            holders = Set(hints.prefix(BitswapClient.maxSearchedPeerCount))
            self.giveUpAt = giveUpAt
        }

        /// The want as its turn comes: time spent in the queue leaves it at least one round of answers.
        func started(now: Duration) -> WantState {
            var want = self
            if giveUpAt < now { want.giveUpAt = now + BitswapClient.answerTimeout }
            return want
        }

        func involves(_ peer: PeerID) -> Bool {
            asked.contains(peer) || refusedBy.contains(peer) || holders.contains(peer) || fetchingFrom == peer
        }

        mutating func join(hints: [PeerID], giveUpAt: Duration) {
            let room = max(0, BitswapClient.maxSearchedPeerCount - holders.count)
            holders.formUnion(hints.filter { !refusedBy.contains($0) }.prefix(room))
            self.giveUpAt = max(self.giveUpAt, giveUpAt)
        }

        mutating func noteAsked(_ peer: PeerID) {
            asked.insert(peer)
            toldPeers.insert(peer)
        }

        mutating func noteHolder(_ peer: PeerID) {
            asked.remove(peer)
            holders.insert(peer)
            saidHave.insert(peer)
            refusedBy.remove(peer)
            saidDontHave.remove(peer)
        }

        mutating func noteDontHave(_ peer: PeerID, now: Duration) {
            noteRefusal(peer)
            saidDontHave.insert(peer)
            lastRefusal = now
        }

        mutating func noteRefusal(_ peer: PeerID) {
            asked.remove(peer)
            holders.remove(peer)
            saidHave.remove(peer)
            refusedBy.insert(peer)
            if fetchingFrom == peer { fetchingFrom = nil }
        }

        mutating func fetch(from peer: PeerID) {
            fetchingFrom = peer
            toldPeers.insert(peer)
        }

        mutating func remove(_ peer: PeerID) {
            noteRefusal(peer)
            refusedBy.remove(peer)
            saidDontHave.remove(peer)
            toldPeers.remove(peer)
        }
    }

    /// One connected peer.
    struct PeerState: Sendable {
        /// Blocks and presences that it has not answered.
        private var owed: Set<CID> = []
        private var owedBlocks: Set<CID> = []
        private var remembered: Set<CID> = []
        private var previouslyRemembered: Set<CID> = []
        private var lastHeard: Duration
        private var lastSettled: Duration
        private var silenceCount = 0
        private var brokenPromiseCount = 0
        private(set) var deliveredCount: UInt64 = 0
        private(set) var isDistrusted = false

        init(now: Duration) {
            lastHeard = now
            lastSettled = now
        }

        var blockCount: Int { owedBlocks.count }

        var hasRoom: Bool { !isDistrusted && blockCount < BitswapClient.maxBlocksPerPeer }

        /// When its silence counts; `nil` when it owes nothing.
        var answerDeadline: Duration? {
            guard !owed.isEmpty, !isDistrusted else { return nil }
            return min(lastHeard + BitswapClient.answerTimeout, lastSettled + BitswapClient.completionTimeout)
        }

        func wasAsked(_ cid: CID) -> Bool {
            owed.contains(cid) || remembered.contains(cid) || previouslyRemembered.contains(cid)
        }

        mutating func ask(_ cid: CID, isBlock: Bool, now: Duration) {
            // Silence counts from the first thing owed, not from before.
            if owed.isEmpty {
                lastHeard = now
                lastSettled = now
            }
            owed.insert(cid)
            if isBlock { owedBlocks.insert(cid) }
            if remembered.count >= BitswapClient.maxRememberedPerPeer / 2 {
                previouslyRemembered = remembered
                remembered = []
            }
            remembered.insert(cid)
        }

        mutating func heard(now: Duration) { lastHeard = now }

        /// It answered.
        mutating func settle(_ cid: CID, now: Duration) {
            if owed.remove(cid) != nil { lastSettled = now }
            if owedBlocks.remove(cid) != nil { silenceCount = 0 }
        }

        /// Its answer is not needed any more.
        mutating func drop(_ cid: CID) {
            owed.remove(cid)
            owedBlocks.remove(cid)
        }

        mutating func countDelivery() { deliveredCount += 1 }

        mutating func takeOwed() -> Set<CID> {
            defer {
                owed = []
                owedBlocks = []
            }
            return owed
        }

        mutating func distrust() {
            isDistrusted = true
            owed = []
            owedBlocks = []
        }

        /// Counts a silence; true when it was one too many.
        mutating func addSilence() -> Bool {
            silenceCount += 1
            return silenceCount >= BitswapClient.maxStrikeCount
        }

        /// Counts a HAVE that was not true; true when it was one too many.
        mutating func addBrokenPromise() -> Bool {
            brokenPromiseCount += 1
            return brokenPromiseCount >= BitswapClient.maxStrikeCount
        }
    }

    /// Wants and cancels that wait to be sent: wants at once, cancels a little later, together.
    struct Outbox: Sendable {
        private var wants: [PeerID: [BitswapMessage.Want]] = [:]
        private var cancels: [PeerID: [CID]] = [:]
        private(set) var cancelDeadline: Duration?

        mutating func add(_ want: BitswapMessage.Want, to peer: PeerID) {
            cancels[peer]?.removeAll { $0 == want.cid }
            wants[peer, default: []].append(want)
        }

        mutating func cancel(_ cid: CID, at peer: PeerID, deadline: Duration) {
            wants[peer]?.removeAll { $0.cid == cid }
            cancels[peer, default: []].append(cid)
            cancelDeadline = min(cancelDeadline ?? deadline, deadline)
        }

        mutating func drop(_ peer: PeerID) {
            wants[peer] = nil
            cancels[peer] = nil
        }

        mutating func take(now: Duration) -> [(peer: PeerID, wants: [BitswapMessage.Want])] {
            let isCancelTime = cancelDeadline.map { $0 <= now } ?? false
            let due = wants.filter { !$0.value.isEmpty }.keys
            let peers = Set(due).union(isCancelTime ? Array(cancels.keys) : [])
            let messages = peers.sorted().map { peer in
                let withdrawn = (cancels.removeValue(forKey: peer) ?? []).map {
                    BitswapMessage.Want($0, kind: .cancel, priority: 0)
                }
                return (peer, withdrawn + (wants[peer] ?? []))
            }
            wants = [:]
            if cancels.isEmpty || isCancelTime { cancelDeadline = nil }
            return messages.filter { !$0.1.isEmpty }
        }
    }
}
