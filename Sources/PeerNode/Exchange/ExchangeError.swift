import LibP2P
package import Multiformats

/// Why blocks could not be had from the network.
package struct ExchangeError: Error, Sendable, CustomStringConvertible {
    /// The kind of failure.
    package enum Code: Hashable, Sendable {
        /// No connected peer has the block.
        case unavailable
        /// There is no peer to ask.
        case noPeers
        /// The block under a link is not what its codec says, or the DAG is over a limit.
        case badDAG
        /// More is under way than this node takes on.
        case tooMuch
        /// The store refused what was fetched, or could not be read.
        case store
        /// The caller's task was cancelled.
        case cancelled
        /// The exchange is not running any more.
        case stopped
    }

    package var code: Code
    /// What failed, on what, and what to do about it; one line.
    package var message: String
    /// The block concerned.
    package var cid: CID?
    /// Peers that were asked for it.
    package var askedPeerCount: Int
    /// The failure underneath.
    package var cause: (any Error)?

    /// Describes a failure.
    package init(
        _ code: Code,
        _ message: String,
        cid: CID? = nil,
        askedPeerCount: Int = 0,
        cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.cid = cid
        self.askedPeerCount = askedPeerCount
        self.cause = cause
    }

    /// The message.
    package var description: String { message }
}

extension ExchangeError {
    static let cancelled = ExchangeError(.cancelled, "fetching was cancelled")
    static let stopped = ExchangeError(.stopped, "this node is stopping and fetches no more blocks")

    /// Nobody gave a block within the caller's patience.
    static func unavailable(_ cid: CID, asked: Int, connected: Int, patience: Duration) -> ExchangeError {
        guard connected > 0 else {
            return ExchangeError(
                .noPeers,
                "block \(cid) is not here and no peer is connected; connect one that has it",
                cid: cid
            )
        }
        let peers = asked == 1 ? "1 peer was asked" : "\(asked) peers were asked"
        return ExchangeError(
            .unavailable,
            "no connected peer has \(cid): \(peers), \(patience.components.seconds) s without an answer",
            cid: cid,
            askedPeerCount: asked
        )
    }

    /// Every connected peer said that it lacks the block.
    static func allLack(_ cid: CID, peerCount: Int) -> ExchangeError {
        let peers =
            peerCount == 1
            ? "the 1 that is connected lacks it" : "all \(peerCount) that are connected lack it"
        return ExchangeError(
            .unavailable,
            "no peer has \(cid): \(peers), and none came with it in \(BitswapClient.refusalGrace.components.seconds) s",
            cid: cid,
            askedPeerCount: peerCount
        )
    }

    /// Any failure of the store as one of ours.
    static func store(_ error: any Error) -> ExchangeError {
        error as? ExchangeError ?? ExchangeError(.store, "\(error)", cause: error)
    }
}
