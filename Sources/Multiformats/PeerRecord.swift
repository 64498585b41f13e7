/// Where a peer says it can be reached; a higher sequence number replaces a lower one.
///
/// **Layout** protobuf { 1: peer id, 2: sequence number, 3: repeated { 1: multiaddr } }, canonical because it is signed.
/// **Source** libp2p RFC 0003, with the domain and type that implementations use instead of its text; WIRE section 7.
public struct PeerRecord: Hashable, Sendable {
    /// Whose addresses these are.
    public var peer: PeerID
    /// Grows with every record of a peer; by custom nanoseconds since 1970.
    public var sequence: UInt64
    /// Addresses without `/p2p/…`.
    public var addresses: [Multiaddr]

    /// What record signatures are for.
    public static let domain = "libp2p-peer-record"
    /// The payload type of records: these two bytes as they are.
    public static let payloadType: [UInt8] = [0x03, 0x01]
    /// Most addresses that are kept of one record; those behind are dropped.
    public static let maxAddressCount = 32
    /// Longest sealed record, in bytes.
    public static let maxByteCount = 4096

    /// Describes where `peer` is.
    public init(peer: PeerID, sequence: UInt64, addresses: [Multiaddr]) {
        self.peer = peer
        self.sequence = sequence
        self.addresses = addresses
    }

    /// The encoded record, as it is signed.
    public var bytes: [UInt8] {
        var writer = Protobuf.Writer()
        writer.bytes(1, peer.bytes)
        if sequence != 0 { writer.varint(2, sequence) }
        for address in addresses {
            var inner = Protobuf.Writer()
            inner.bytes(1, address.bytes)
            writer.bytes(3, inner.bytes)
        }
        return writer.bytes
    }

    /// Reads a record.
    ///
    /// Addresses of unknown protocols, or that name another peer, are dropped, and a `/p2p/…` of this peer is taken off.
    /// - Throws: `PeerRecordFault.malformed` or `.peer`.
    public init(bytes: some Collection<UInt8>) throws(PeerRecordFault) {
        var reader = Protobuf.Reader(ArraySlice(bytes))
        var peer: ArraySlice<UInt8> = []
        var sequence: UInt64 = 0
        var addresses: [ArraySlice<UInt8>] = []
        do throws(Protobuf.Fault) {
            while let field = try reader.next() {
                switch (field.number, field.value) {
                case (1, .bytes(let value)): peer = value
                case (2, .varint(let value)): sequence = value
                case (3, .bytes(let value)) where addresses.count < PeerRecord.maxAddressCount:
                    addresses.append(try PeerRecord.address(in: value))
                default: break
                }
            }
        } catch {
            throw .malformed(error)
        }
        do throws(PeerIDFault) {
            self.peer = try PeerID(bytes: peer)
        } catch {
            throw .peer(error)
        }
        self.sequence = sequence
        self.addresses = []
        for bytes in addresses {
            // An address that is not understood is no reason to lose the others.
            guard let address = try? Multiaddr(bytes: bytes),
                address.peer == nil || address.peer == self.peer,
                let plain = address.withoutPeer
            else { continue }
            self.addresses.append(plain)
        }
    }

    private static func address(in bytes: ArraySlice<UInt8>) throws(Protobuf.Fault) -> ArraySlice<UInt8> {
        var reader = Protobuf.Reader(bytes)
        var address: ArraySlice<UInt8> = []
        while let field = try reader.next() {
            if field.number == 1, let value = field.bytes { address = value }
        }
        return address
    }
}

/// A peer record with the envelope that proves it, ready to be passed on.
public struct SignedPeerRecord: Hashable, Sendable {
    /// The content of the envelope.
    public let record: PeerRecord
    /// The proof, as it is passed on.
    public let envelope: SignedEnvelope

    /// Signs one's own record.
    ///
    /// - Parameters:
    ///   - record: must name the peer of `publicKey`.
    ///   - publicKey: the public half of the key that `sign` signs with.
    ///   - sign: makes the signature.
    public init(_ record: PeerRecord, publicKey: PublicKey, sign: SignedEnvelope.Signer) {
        precondition(record.peer == PeerID(publicKey), "a record of \(record.peer) signed by another peer")
        self.record = record
        envelope = SignedEnvelope(
            domain: PeerRecord.domain,
            payloadType: PeerRecord.payloadType,
            payload: record.bytes,
            publicKey: publicKey,
            sign: sign
        )
    }

    /// Reads a sealed record without checking its signature, so that stale ones can be dropped cheaply.
    ///
    /// - Throws: `PeerRecordFault`, also when the record names another peer than the key.
    public static func decode(_ bytes: some Collection<UInt8>) throws(PeerRecordFault) -> SignedPeerRecord {
        let envelope: SignedEnvelope
        do throws(EnvelopeFault) {
            envelope = try SignedEnvelope(bytes: bytes, maxByteCount: PeerRecord.maxByteCount)
            guard envelope.payloadType == PeerRecord.payloadType else { throw .payloadType }
        } catch {
            throw .envelope(error)
        }
        let record = try PeerRecord(bytes: envelope.payload)
        guard record.peer == envelope.signer else { throw .wrongSigner }
        return SignedPeerRecord(record: record, envelope: envelope)
    }

    /// Who is said to have signed a sealed record: enough to look it up, not to believe it.
    ///
    /// - Returns: `nil` when the envelope does not begin with a public key.
    public static func claimedSigner(_ bytes: [UInt8]) -> PeerID? {
        var reader = Protobuf.Reader(bytes)
        // Whatever is wrong is found when the record is decoded.
        guard let field = try? reader.next(), field.number == 1, let key = field.bytes,
            let publicKey = try? PublicKey(bytes: key)
        else { return nil }
        return PeerID(publicKey)
    }

    private init(record: PeerRecord, envelope: SignedEnvelope) {
        self.record = record
        self.envelope = envelope
    }

    /// Checks the signature.
    ///
    /// - Throws: `PeerRecordFault.envelope(.signature)`.
    public func check(verify: SignedEnvelope.Verifier) throws(PeerRecordFault) {
        do throws(EnvelopeFault) {
            try envelope.check(domain: PeerRecord.domain, payloadType: PeerRecord.payloadType, verify: verify)
        } catch {
            throw .envelope(error)
        }
    }
}

/// Why a peer record is not accepted.
public enum PeerRecordFault: Error, Equatable, Sendable {
    case envelope(EnvelopeFault)
    case malformed(Protobuf.Fault)
    case peer(PeerIDFault)
    /// The record names a peer that another key signed for.
    case wrongSigner
}
