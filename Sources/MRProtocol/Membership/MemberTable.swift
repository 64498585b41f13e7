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
    private(set) var members: [PeerID: Member] = [:]
    /// XOR over the members of each bucket that are not dead.
    private(set) var summary = [UInt32](repeating: 0, count: GossipMessage.bucketCount)
    /// Members that are not dead, in an order that is shuffled by insertion.
    private(set) var living: [PeerID] = []
    private var positions: [PeerID: Int] = [:]

    subscript(peer: PeerID) -> Member? { members[peer] }

    /// Puts in or replaces a member.
    mutating func set(_ member: Member) {
        if let old = members[member.peer], old.state != .dead { toggle(old) }
        members[member.peer] = member
        if member.state == .dead { removeLiving(member.peer) } else { addLiving(member.peer) }
        if member.state != .dead { toggle(member) }
    }

    mutating func remove(_ peer: PeerID) {
        guard let old = members.removeValue(forKey: peer) else { return }
        if old.state != .dead { toggle(old) }
        removeLiving(peer)
    }

    private mutating func addLiving(_ peer: PeerID) {
        guard positions[peer] == nil else { return }
        positions[peer] = living.count
        living.append(peer)
    }

    private mutating func removeLiving(_ peer: PeerID) {
        guard let position = positions.removeValue(forKey: peer), let last = living.popLast() else { return }
        guard last != peer else { return }
        living[position] = last
        positions[last] = position
    }

    private mutating func toggle(_ member: Member) {
        let hash = MemberTable.hash(member.peer)
        let mixed = MemberTable.mix(hash ^ MemberTable.mix(member.record.sequence))
        summary[MemberTable.bucket(of: member.peer)] ^= UInt32(truncatingIfNeeded: mixed >> 32)
    }

    /// Bucket of a peer: the low bits of FNV-1a 64 of its id.
    static func bucket(of peer: PeerID) -> Int { Int(hash(peer) % UInt64(GossipMessage.bucketCount)) }

    private static func hash(_ peer: PeerID) -> UInt64 {
        peer.bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }

    /// The finisher of SplitMix64.
    private static func mix(_ value: UInt64) -> UInt64 {
        var value = value &+ 0x9e37_79b9_7f4a_7c15
        value = (value ^ value >> 30) &* 0xbf58_476d_1ce4_e5b9
        value = (value ^ value >> 27) &* 0x94d0_49bb_1331_11eb
        return value ^ value >> 31
    }

    /// Living members in the buckets in which `other` differs, from a random bucket on.
    func differing<Generator: RandomNumberGenerator>(from other: [UInt32], random: inout Generator)
        -> [PeerID]
    {
        guard other.count == summary.count else { return [] }
        let different = Set(summary.indices.filter { summary[$0] != other[$0] })
        guard !different.isEmpty else { return [] }
        // A random start, so that a table too large for one message is sent in different pieces by different members.
        let start = living.isEmpty ? 0 : Int.random(in: 0..<living.count, using: &random)
        return (living[start...] + living[..<start]).filter { different.contains(MemberTable.bucket(of: $0)) }
    }
}
