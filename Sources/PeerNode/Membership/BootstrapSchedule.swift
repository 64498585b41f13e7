package import Multiformats

/// When to dial which bootstrap peer: for ever, at growing intervals, as long as it is not connected.
///
/// Pure: time and randomness are arguments.
package struct BootstrapSchedule: Sendable {
    /// One bootstrap peer, for `status`.
    package struct Target: Equatable, Sendable {
        package let peer: PeerID
        /// Where to dial it, without `/p2p/…`.
        package let addresses: [Multiaddr]
        package fileprivate(set) var isConnected = false
        /// Failed attempts since it was last connected.
        package fileprivate(set) var failureCount = 0
        /// What the last failed attempt met; empty after a success.
        package fileprivate(set) var lastFailure = ""
        /// When it is dialed next; `nil` while a dial is under way or it is connected.
        package fileprivate(set) var nextAttempt: Duration?
    }

    /// The bootstrap peers, in the order given.
    package private(set) var targets: [Target]

    /// Most bootstrap peers.
    package static let maxTargetCount = 64
    /// The wait after the first failure.
    package static let firstDelay: Duration = .seconds(1)
    /// The longest wait between two attempts.
    package static let maxDelay: Duration = .seconds(60)

    /// Makes a schedule in which every peer is due at once.
    ///
    /// Addresses without `/p2p/…`, which `BootstrapSchedule` cannot check who answers at, and those over
    /// `maxTargetCount` peers are left out.
    package init(_ addresses: [Multiaddr], except ownPeer: PeerID) {
        var byPeer: [(peer: PeerID, addresses: [Multiaddr])] = []
        for address in addresses {
            guard let peer = address.peer, let plain = address.withoutPeer, peer != ownPeer else { continue }
            if let index = byPeer.firstIndex(where: { $0.peer == peer }) {
                byPeer[index].addresses.append(plain)
            } else if byPeer.count < Self.maxTargetCount {
                byPeer.append((peer, [plain]))
            }
        }
        targets = byPeer.map { Target(peer: $0.peer, addresses: $0.addresses, nextAttempt: .zero) }
    }

    /// When `takeDue` has something to give; `nil` when nothing is waited for.
    package var nextDeadline: Duration? { targets.compactMap(\.nextAttempt).min() }

    /// Peers to dial now; each is out of the schedule until `failed`, `connected` or `disconnected`.
    package mutating func takeDue(now: Duration) -> [Target] {
        var due: [Target] = []
        for index in targets.indices {
            guard let time = targets[index].nextAttempt, time <= now else { continue }
            targets[index].nextAttempt = nil
            due.append(targets[index])
        }
        return due
    }

    /// A dial came to nothing.
    ///
    /// - Parameter jitter: 0 … 1, spreads the attempts of nodes that failed together.
    package mutating func failed(_ peer: PeerID, reason: String, now: Duration, jitter: Double) {
        change(peer) { target in
            target.failureCount += 1
            target.lastFailure = reason
            guard !target.isConnected else { return }
            let doublings = min(target.failureCount - 1, 16)
            let delay = min(Self.firstDelay * (1 << doublings), Self.maxDelay)
            target.nextAttempt = now + delay * (0.75 + 0.5 * jitter)
        }
    }

    /// A connection to the peer is up, whoever dialed.
    package mutating func connected(_ peer: PeerID) {
        change(peer) { target in
            target.isConnected = true
            target.failureCount = 0
            target.lastFailure = ""
            target.nextAttempt = nil
        }
    }

    /// The last connection to the peer is gone.
    package mutating func disconnected(_ peer: PeerID, now: Duration) {
        change(peer) { target in
            target.isConnected = false
            target.nextAttempt = now + Self.firstDelay
        }
    }

    private mutating func change(_ peer: PeerID, _ body: (inout Target) -> Void) {
        guard let index = targets.firstIndex(where: { $0.peer == peer }) else { return }
        body(&targets[index])
    }
}
