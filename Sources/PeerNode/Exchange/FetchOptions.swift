package import Multiformats

/// How a caller wants blocks fetched.
package struct FetchOptions: Sendable {
    /// How long nothing may arrive before the fetch fails.
    package var patience: Duration
    /// Peers believed to hold a block, asked first.
    package var holders: @Sendable (CID) -> [PeerID]
    /// Blocks that are here already are put under the ingest's lease too, as a pin needs.
    package var protectsPresentBlocks: Bool
    /// Called as blocks are stored and while waiting, not on the caller's task.
    package var onEvent: @Sendable (FetchEvent) -> Void

    /// Patience unless the caller says otherwise.
    package static let defaultPatience: Duration = .seconds(30)

    /// Options with defaults.
    package init(
        patience: Duration = FetchOptions.defaultPatience,
        holders: @escaping @Sendable (CID) -> [PeerID] = { _ in [] },
        protectsPresentBlocks: Bool = false,
        onEvent: @escaping @Sendable (FetchEvent) -> Void = { _ in }
    ) {
        self.patience = patience
        self.holders = holders
        self.protectsPresentBlocks = protectsPresentBlocks
        self.onEvent = onEvent
    }
}

/// What a fetch tells its caller on the way.
package enum FetchEvent: Equatable, Sendable {
    /// Blocks were verified and stored; totals of this fetch.
    case stored(blockCount: Int, byteCount: UInt64)
    /// Nothing arrived for a while; repeated as long as that lasts.
    case waiting(FetchWait)
}

/// What a fetch waits for.
package struct FetchWait: Equatable, Sendable, CustomStringConvertible {
    /// One of the missing blocks.
    package var cid: CID
    /// Blocks asked for and not here yet.
    package var missingCount: Int
    /// Connected peers that can be asked.
    package var peerCount: Int
    /// Since the last block arrived, or the fetch began.
    package var waited: Duration

    /// One line for a user.
    package var description: String { BlockWait(self).description }
}

/// What a fetch did.
package struct FetchReport: Equatable, Sendable {
    /// Blocks that came from peers.
    package var fetchedBlockCount = 0
    package var fetchedByteCount: UInt64 = 0
    /// Blocks that were here already.
    package var presentBlockCount = 0
}
