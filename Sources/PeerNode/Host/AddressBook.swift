import Multiformats

/// Addresses at which peers said they listen, or were reached.
struct AddressBook {
    /// Peers remembered.
    static let maxPeerCount = 4_096
    /// Addresses remembered of one peer.
    static let maxAddressCount = 16

    private var addresses: [PeerID: [Multiaddr]] = [:]

    subscript(peer: PeerID) -> [Multiaddr] { addresses[peer] ?? [] }

    /// Puts addresses in front of those known.
    mutating func add(_ new: [Multiaddr], of peer: PeerID) {
        guard addresses[peer] != nil || addresses.count < Self.maxPeerCount else { return }
        let plain = new.compactMap(\.withoutPeer).filter { $0.tcpEndpoint != nil }
        let kept = plain + self[peer].filter { !plain.contains($0) }
        addresses[peer] = Array(kept.prefix(Self.maxAddressCount))
    }
}
