package import Multiformats

/// A connection or stream that was refused or closed for a fault, for the log.
package struct NetworkFault: Equatable, Sendable {
    /// What was refused or closed: a kind of `NetworkCounters`.
    package var kind: String
    /// The name under which it is counted.
    package var name: String
    /// What happened, in words.
    package var reason: String
    /// The transport address at the other end.
    package var remote: Multiaddr
    /// Who it is, where a handshake proved it.
    package var peer: PeerID?
    /// The other end did what nobody does who keeps to the protocols.
    package var isMisbehaviour: Bool
    /// Faults of this kind and name since the last that was told, which were only counted.
    package var untoldCount: UInt64
}
