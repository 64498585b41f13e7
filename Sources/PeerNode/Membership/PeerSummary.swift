package import MRProtocol
package import Multiformats

/// A peer as `peerctl peers` shows it.
package struct PeerSummary: Equatable, Sendable {
    package var peer: PeerID
    /// A connection is up now.
    package var isConnected: Bool
    /// What membership thinks of it; `nil` for a peer that is no member, such as a plain IPFS node.
    package var state: MemberState?
    /// Where it was dialed, or else where it says it listens; where it dialed from only when it does not say.
    package var address: Multiaddr?
    package var roundTripTime: Duration?
    /// Empty until identify is done.
    package var agent: String
    package var protocols: [String]
    /// Attempts that it can run at once, and how many it runs, when it said so.
    package var slots: Int?
    package var busySlots: Int?
    /// Engines that it has, as `name/version`.
    package var engines: [String]
}

/// The state of membership for `status`.
package struct MembershipStatus: Equatable, Sendable {
    /// Members that are not dead, this node excluded.
    package var livingCount: Int
    package var knownCount: Int
    /// Records and suspicions taken and dropped, by reason.
    package var counters: Membership.Counters
    /// The bootstrap addresses and how they fare.
    package var bootstrap: [BootstrapSchedule.Target]
    /// Why the table on disk could not be read or written last; empty when all is well.
    package var tableFailure: String
}

/// Things about the cluster worth a line in the log.
package enum MembershipEvent: Equatable, Sendable {
    case changed(PeerID, MemberState)
    case bootstrapFailed(Multiaddr, reason: String)
    case tableFailed(String)
    /// A peer gave records that nobody signed, or that are none; whoever keeps to the protocol passes on none of these.
    case forgedRecords(PeerID, count: UInt64)
}
