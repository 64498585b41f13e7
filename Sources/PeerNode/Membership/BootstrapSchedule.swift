package import Multiformats

/// When to dial which bootstrap address: for ever, at growing intervals, as long as the peer there is not connected.
///
/// Pure: time and randomness are arguments.
package struct BootstrapSchedule: Sendable {
    /// One bootstrap address, for `status`.
    package struct Target: Equatable, Sendable {
        package let address: Multiaddr
        /// Who is there: named by the address, or who answered last.
        package fileprivate(set) var peer: PeerID?
        package fileprivate(set) var isConnected = false
        /// Failed attempts since it was last connected.
        package fileprivate(set) var failureCount = 0
        /// What the last failed attempt met; empty after a success.
        package fileprivate(set) var lastFailure = ""
        /// When it is dialed next; `nil` while a dial is under way or it is connected.
        package fileprivate(set) var nextAttempt: Duration?
    }

    /// The bootstrap addresses, in the order given.
    package private(set) var targets: [Target]

    /// Most bootstrap addresses.
    package static let maxTargetCount = 64
    /// The wait after the first failure.
    package static let firstDelay: Duration = .seconds(1)
    /// The longest wait between two attempts.
    package static let maxDelay: Duration = .seconds(60)

    /// Makes a schedule in which every address is due at once; repeated ones, those of this node, and those over
    /// `maxTargetCount` are left out.
    package init(_ addresses: [Multiaddr], except ownPeer: PeerID) {
        targets = []
        for address in addresses where address.peer != ownPeer && targets.count < Self.maxTargetCount {
            guard !targets.contains(where: { $0.address == address }) else { continue }
            targets.append(Target(address: address, peer: address.peer, nextAttempt: .zero))
        }
    }

    /// When `takeDue` has something to give; `nil` when nothing is waited for.
    package var nextDeadline: Duration? { targets.compactMap(\.nextAttempt).min() }

    /// Addresses to dial now; each is out of the schedule until the outcome is told.
    package mutating func takeDue(now: Duration) -> [Multiaddr] {
        var due: [Multiaddr] = []
        for index in targets.indices {
            guard let time = targets[index].nextAttempt, time <= now else { continue }
            targets[index].nextAttempt = nil
            due.append(targets[index].address)
        }
        return due
    }

    /// A dial came to nothing.
    ///
    /// - Parameters:
    ///   - address: what was dialed.
    ///   - reason: what it met, for `status`.
    ///   - now: time since an origin that the driver chose.
    ///   - jitter: 0 … 1, spreads the attempts of nodes that failed together.
    package mutating func failed(_ address: Multiaddr, reason: String, now: Duration, jitter: Double) {
        for index in targets.indices where targets[index].address == address && !targets[index].isConnected {
            targets[index].failureCount += 1
            targets[index].lastFailure = reason
            let doublings = min(targets[index].failureCount - 1, 16)
            let delay = min(Self.firstDelay * (1 << doublings), Self.maxDelay)
            targets[index].nextAttempt = now + delay * (0.75 + 0.5 * jitter)
        }
    }

    /// A dial led to a peer.
    package mutating func succeeded(_ address: Multiaddr, peer: PeerID) {
        for index in targets.indices where targets[index].address == address { targets[index].peer = peer }
        connected(peer)
    }

    /// A connection to a peer is up, whoever dialed.
    package mutating func connected(_ peer: PeerID) {
        for index in targets.indices where targets[index].peer == peer {
            targets[index].isConnected = true
            targets[index].failureCount = 0
            targets[index].lastFailure = ""
            targets[index].nextAttempt = nil
        }
    }

    /// The last connection to a peer is gone.
    package mutating func disconnected(_ peer: PeerID, now: Duration) {
        for index in targets.indices where targets[index].peer == peer && targets[index].isConnected {
            targets[index].isConnected = false
            targets[index].nextAttempt = now + Self.firstDelay
        }
    }
}
