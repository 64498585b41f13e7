internal import PeerCrypto

/// The layer below everything else in a private network: each direction is XORed with its own key stream.
///
/// Each side first sends 24 random bytes, its nonce, in clear. It hides the traffic from those without the key, and
/// authenticates nothing: a peer with another key sends what looks like noise, and fails in the next layer.
///
/// **Source** libp2p/specs, "Pre-shared Key Based Private Networks in libp2p".
package struct PrivateNetworkSession: ~Copyable, Sendable {
    private let key: SwarmKey
    private var outgoing: XSalsa20Stream
    private var incoming: XSalsa20Stream?
    private var remoteNonce: [UInt8] = []
    /// The bytes to send before any others.
    package let nonce: [UInt8]

    /// Prepares both directions.
    ///
    /// - Parameters:
    ///   - key: the network's key.
    ///   - nonce: 24 fresh random bytes.
    package init(key: SwarmKey, nonce: [UInt8]) {
        self.key = key
        self.nonce = nonce
        outgoing = XSalsa20Stream(key: key.makeCipherKey(), nonce: nonce)
    }

    /// Encrypts the next bytes to send, in place.
    package mutating func encrypt(_ bytes: UnsafeMutableRawBufferPointer) {
        outgoing.apply(to: bytes)
    }

    /// Decrypts the next bytes received, in place.
    ///
    /// - Returns: how many bytes at the front belong to the peer's nonce and are to be skipped.
    package mutating func decrypt(_ bytes: UnsafeMutableRawBufferPointer) -> Int {
        let missing = min(XSalsa20Stream.nonceByteCount - remoteNonce.count, bytes.count)
        remoteNonce += bytes[..<missing]
        if incoming == nil, remoteNonce.count == XSalsa20Stream.nonceByteCount {
            incoming = XSalsa20Stream(key: key.makeCipherKey(), nonce: remoteNonce)
        }
        if missing < bytes.count { incoming?.apply(to: .init(rebasing: bytes[missing...])) }
        return missing
    }
}
