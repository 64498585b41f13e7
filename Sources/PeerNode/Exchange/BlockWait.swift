public import Multiformats

/// A block that is asked of peers and does not come.
public struct BlockWait: Hashable, Sendable, CustomStringConvertible {
    /// One of the missing blocks.
    public var cid: CID
    /// Blocks asked for with it and not here yet, itself included.
    public var missingCount: Int
    /// Connected peers that can be asked.
    public var peerCount: Int
    /// Seconds since the last block arrived, or it was begun to ask.
    public var seconds: Int

    /// Describes a wait.
    public init(cid: CID, missingCount: Int, peerCount: Int, seconds: Int) {
        self.cid = cid
        self.missingCount = missingCount
        self.peerCount = peerCount
        self.seconds = seconds
    }

    /// One line for a user.
    public var description: String {
        let others = missingCount > 1 ? " and \(missingCount - 1) more" : ""
        let peers =
            switch peerCount {
            case 0: "no peer is connected"
            case 1: "1 connected peer"
            default: "\(peerCount) connected peers"
            }
        return "waiting \(seconds) s for block \(cid)\(others) from the network: \(peers)"
    }
}

extension BlockWait {
    /// What a fetch tells its caller.
    init(_ wait: FetchWait) {
        self.init(
            cid: wait.cid,
            missingCount: wait.missingCount,
            peerCount: wait.peerCount,
            seconds: Int(clamping: wait.waited.components.seconds)
        )
    }
}
