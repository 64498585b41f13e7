/// The inbound connections in their handshake, and which of them has to go when there are too many.
///
/// A new one is never turned away: it takes the place of the oldest, of its own network where that has its share, else of
/// the networks that have most. A peer
/// that speaks is through within a few round trips; the places of those that hold one and say nothing are the oldest.
struct HandshakeTable: Sendable {
    private var networks: [Int: RemoteNetwork] = [:]
    private var counts: [RemoteNetwork: Int] = [:]
    private var lastNumber = 0

    /// Handshakes under way.
    var count: Int { networks.count }

    /// Takes a handshake in.
    ///
    /// - Parameters:
    ///   - network: where it comes from.
    ///   - limit: most handshakes in all.
    ///   - shareLimit: most of one network.
    /// - Returns: its number; and that of the one that has to go for it, which is out of the table already.
    mutating func add(_ network: RemoteNetwork, limit: Int, shareLimit: Int) -> (number: Int, displaced: Int?)
    {
        var displaced: Int?
        if counts[network, default: 0] >= shareLimit {
            displaced = oldest(of: network)
        } else if count >= limit {
            let most = counts.values.max()
            displaced = networks.filter { counts[$0.value] == most }.keys.min()
        }
        if let displaced { remove(displaced) }
        lastNumber += 1
        networks[lastNumber] = network
        counts[network, default: 0] += 1
        return (lastNumber, displaced)
    }

    /// Takes a handshake out; nothing when it is out already.
    mutating func remove(_ number: Int) {
        guard let network = networks.removeValue(forKey: number) else { return }
        counts[network, default: 1] -= 1
        if counts[network] == 0 { counts[network] = nil }
    }

    func contains(_ number: Int) -> Bool { networks[number] != nil }

    private func oldest(of network: RemoteNetwork) -> Int? {
        networks.lazy.filter { $0.value == network }.map(\.key).min()
    }
}
