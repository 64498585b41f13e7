package import Multiformats

/// What a peer says of itself right after a connection is up, and again in a push when it changes.
///
/// Every field may be missing. **Layout** protobuf { 1: public key, 2: repeated listen address, 3: repeated protocol,
/// 4: observed address, 5: protocol version, 6: agent version, 8: signed peer record }.
/// **Source** libp2p/specs identify; WIRE section 7.
package struct IdentifyMessage: Equatable, Sendable {
    /// The encoded key; callers compare it with the one of the handshake.
    package var publicKey: [UInt8]?
    /// Where the peer listens, without `/p2p/…`.
    package var listenAddresses: [Multiaddr] = []
    /// Protocols that the peer serves.
    package var protocols: [String] = []
    /// How the peer sees the address of the asker.
    package var observedAddress: Multiaddr?
    package var protocolVersion: String?
    /// Name and version of the program.
    package var agentVersion: String?
    /// A sealed `PeerRecord`, not checked yet.
    package var signedPeerRecord: [UInt8]?

    /// Protocol id of asking.
    package static let protocolID = "/ipfs/id/1.0.0"
    /// Protocol id of telling unasked.
    package static let pushProtocolID = "/ipfs/id/push/1.0.0"
    /// Longest message that is read, in bytes.
    package static let maxByteCount = 8192
    /// Above this length a record is sent in a message of its own: others read only the first 2 KiB.
    package static let splitByteCount = 2048
    /// Most messages that make one answer.
    package static let maxMessageCount = 9
    /// Most listen addresses kept.
    package static let maxAddressCount = 64
    /// Most protocols kept.
    package static let maxProtocolCount = 256
    /// Longest protocol id, version or agent text kept, in bytes; longer ones are cut.
    package static let maxTextByteCount = 256

    /// A message without fields.
    package init() {}

    /// Reads one message; addresses of unknown protocols and fields of other wire types are dropped.
    package init(bytes: some Collection<UInt8>) throws(Protobuf.Fault) {
        var reader = Protobuf.Reader(ArraySlice(bytes))
        while let field = try reader.next() {
            guard let value = field.bytes else { continue }
            switch field.number {
            case 1: publicKey = Array(value)
            case 2 where listenAddresses.count < Self.maxAddressCount:
                if let address = Self.address(value) { listenAddresses.append(address) }
            case 3 where protocols.count < Self.maxProtocolCount: protocols.append(Self.text(value))
            case 4: observedAddress = Self.address(value)
            case 5: protocolVersion = Self.text(value)
            case 6: agentVersion = Self.text(value)
            case 8: signedPeerRecord = Array(value)
            default: break
            }
        }
    }

    /// The messages to send, without their lengths: one, or two when a record would make one too long for others.
    package var messages: [[UInt8]] {
        let whole = encoded
        guard whole.count > Self.splitByteCount, signedPeerRecord != nil else { return [whole] }
        var first = self
        first.signedPeerRecord = nil
        var second = IdentifyMessage()
        second.signedPeerRecord = signedPeerRecord
        return [first.encoded, second.encoded]
    }

    private var encoded: [UInt8] {
        var writer = Protobuf.Writer()
        if let publicKey { writer.bytes(1, publicKey) }
        for address in listenAddresses { writer.bytes(2, address.bytes) }
        for name in protocols { writer.string(3, name) }
        if let observedAddress { writer.bytes(4, observedAddress.bytes) }
        if let protocolVersion { writer.string(5, protocolVersion) }
        if let agentVersion { writer.string(6, agentVersion) }
        if let signedPeerRecord { writer.bytes(8, signedPeerRecord) }
        return writer.bytes
    }

    /// Adds a further message of the same answer: scalars are replaced, lists grow up to their limits.
    package mutating func merge(_ next: IdentifyMessage) {
        replaceScalars(from: next)
        listenAddresses += next.listenAddresses.prefix(Self.maxAddressCount - listenAddresses.count)
        protocols += next.protocols.prefix(Self.maxProtocolCount - protocols.count)
    }

    /// Applies a push, in which a missing field means that nothing changed.
    package mutating func update(from push: IdentifyMessage) {
        replaceScalars(from: push)
        if !push.listenAddresses.isEmpty { listenAddresses = push.listenAddresses }
        if !push.protocols.isEmpty { protocols = push.protocols }
    }

    private mutating func replaceScalars(from next: IdentifyMessage) {
        publicKey = next.publicKey ?? publicKey
        observedAddress = next.observedAddress ?? observedAddress
        protocolVersion = next.protocolVersion ?? protocolVersion
        agentVersion = next.agentVersion ?? agentVersion
        signedPeerRecord = next.signedPeerRecord ?? signedPeerRecord
    }

    /// The record of the message, if it has one that may replace what is known of the peer.
    ///
    /// - Parameters:
    ///   - peer: who is at the other end of the connection.
    ///   - sequence: the sequence number already known; only a higher one is accepted.
    ///   - verify: checks an Ed25519 signature.
    /// - Returns: `nil` without a record, or when it is not newer.
    /// - Throws: `PeerRecordFault` for a record that is malformed, forged or of another peer.
    package func peerRecord(
        of peer: PeerID,
        newerThan sequence: UInt64?,
        verify: SignedEnvelope.Verifier
    ) throws(PeerRecordFault) -> SignedPeerRecord? {
        guard let signedPeerRecord else { return nil }
        let signed = try SignedPeerRecord.decode(signedPeerRecord)
        guard signed.record.peer == peer else { throw .wrongSigner }
        if let sequence, signed.record.sequence <= sequence { return nil }
        try signed.check(verify: verify)
        return signed
    }

    private static func address(_ bytes: ArraySlice<UInt8>) -> Multiaddr? {
        // One address that is not understood must not cost the message.
        guard let address = try? Multiaddr(bytes: bytes) else { return nil }
        return address.withoutPeer
    }

    /// Peer text ends up on terminals and in logs, so control characters are taken out.
    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        let text = String(decoding: bytes.prefix(maxTextByteCount), as: UTF8.self)
        var clean = String.UnicodeScalarView()
        clean.append(
            contentsOf: text.unicodeScalars.lazy.filter { $0.properties.generalCategory != .control }
        )
        return String(clean)
    }
}
