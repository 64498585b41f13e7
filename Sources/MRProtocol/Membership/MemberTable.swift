package import Multiformats

/// State of a member as one node sees it.
package enum MemberState: String, Hashable, Sendable {
    case alive
    /// Could not be reached; dead unless it refutes in time.
    case suspect
    case dead
}

/// What one node knows of a peer.
package struct Member: Equatable, Sendable {
    package let peer: PeerID
    package internal(set) var record: PeerRecord
    /// The record as its owner sealed it, to be passed on.
    package internal(set) var envelope: [UInt8]
    package internal(set) var state: MemberState
    /// When the state was entered.
    package internal(set) var since: Duration
}

/// All known members, with a summary that tells equal tables from unequal ones.
struct MemberTable: Sendable {
    /// A member that is not dead, with what summaries and pulls need of it.
    struct Living: Sendable {
        let peer: PeerID
        /// Stands for the peer and the sequence number of its record.
        let mark: UInt32
        let bucket: Int
    }

    private(set) var members: [PeerID: Member] = [:]
    /// XOR over the members of each bucket that are not dead.
    private(set) var summary = [UInt32](repeating: 0, count: GossipMessage.bucketCount)
    /// Members that are not dead, in no order.
    private(set) var living: [Living] = []
    /// Suspects and the dead.
    private(set) var unwell: Set<PeerID> = []
    private var positions: [PeerID: Int] = [:]

    subscript(peer: PeerID) -> Member? { members[peer] }

    /// Puts in or replaces a member.
    mutating func set(_ member: Member) {
        members[member.peer] = member
        if member.state == .alive { unwell.remove(member.peer) } else { unwell.insert(member.peer) }
        removeLiving(member.peer)
        guard member.state != .dead else { return }
        let entry = MemberTable.entry(member.peer, sequence: member.record.sequence)
        positions[member.peer] = living.count
        living.append(entry)
        summary[entry.bucket] ^= entry.mark
    }

    mutating func remove(_ peer: PeerID) {
        members[peer] = nil
        unwell.remove(peer)
        removeLiving(peer)
    }

    private mutating func removeLiving(_ peer: PeerID) {
        guard let position = positions.removeValue(forKey: peer), let last = living.popLast() else { return }
        let removed = position == living.count ? last : living[position]
        summary[removed.bucket] ^= removed.mark
        guard position < living.count else { return }
        living[position] = last
        positions[last.peer] = position
    }

    /// Those of the suspects and the dead that are wanted, by id.
    func unwellMembers(where isWanted: (Member) -> Bool) -> [Member] {
        unwell.compactMap { members[$0] }.filter(isWanted).sorted { $0.peer < $1.peer }
    }

    /// Bucket (low bits of FNV-1a 64 of the id) and mark of a record.
    static func entry(_ peer: PeerID, sequence: UInt64) -> Living {
        let hash = peer.bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
        return Living(
            peer: peer,
            mark: UInt32(truncatingIfNeeded: mix(hash ^ mix(sequence)) >> 32),
            bucket: Int(hash % UInt64(GossipMessage.bucketCount))
        )
    }

    /// The whole step of SplitMix64.
    private static func mix(_ value: UInt64) -> UInt64 {
        var value = value &+ 0x9e37_79b9_7f4a_7c15
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    /// Up to `count` different members that are not dead, other than `excluded`.
    func sample<Generator: RandomNumberGenerator>(
        _ count: Int,
        excluding excluded: PeerID,
        random: inout Generator
    ) -> [PeerID] {
        var chosen: [PeerID] = []
        // A few tries more than members wanted: one that is drawn twice is no loss.
        for _ in 0..<4 * count where chosen.count < count {
            guard let peer = living.randomElement(using: &random)?.peer else { break }
            if peer != excluded, !chosen.contains(peer) { chosen.append(peer) }
        }
        return chosen
    }
}
