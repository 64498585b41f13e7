/// A payload with the key and signature of who made it, as others may pass it on.
///
/// The signature covers a domain string too, so that what was signed for one purpose is worth nothing for another.
///
/// **Layout** protobuf { 1: public key message, 2: payload type, 3: payload, 5: signature }; there is no field 4.
/// Signed bytes: for each of domain, payload type, payload: varint(length) ‖ bytes.
/// **Source** libp2p RFC 0002; WIRE section 7.
public struct SignedEnvelope: Hashable, Sendable {
    /// Whose signature it is.
    public let publicKey: PublicKey
    /// What the payload is, as bytes that the domain defines.
    public let payloadType: [UInt8]
    /// The signed bytes.
    public let payload: [UInt8]
    /// Ed25519 over `signedBytes`; not known to be right before `check`.
    public let signature: [UInt8]

    /// Makes the signature of a message with one's own private key.
    public typealias Signer = (_ message: [UInt8]) -> [UInt8]
    /// Says whether `signature` over `message` was made with the private half of the key.
    public typealias Verifier = @Sendable (_ key: PublicKey, _ message: [UInt8], _ signature: [UInt8]) -> Bool

    /// Length of an Ed25519 signature in bytes.
    public static let signatureByteCount = 64
    /// Longest payload type, in bytes.
    public static let maxPayloadTypeByteCount = 128
    /// Longest envelope that is decoded unless the caller sets a lower limit, in bytes.
    public static let maxByteCount = 1 << 20

    /// Signs a payload.
    ///
    /// - Parameters:
    ///   - domain: what the signature is for.
    ///   - payloadType: what the payload is.
    ///   - payload: the bytes to sign.
    ///   - publicKey: the public half of the key that `sign` signs with.
    ///   - sign: makes the signature.
    public init(
        domain: String,
        payloadType: [UInt8],
        payload: [UInt8],
        publicKey: PublicKey,
        sign: Signer
    ) {
        self.publicKey = publicKey
        self.payloadType = payloadType
        self.payload = payload
        signature = sign(
            SignedEnvelope.signedBytes(domain: domain, payloadType: payloadType, payload: payload)
        )
    }

    /// The peer that signed, if the signature verifies.
    public var signer: PeerID { PeerID(publicKey) }

    /// The encoded envelope.
    public var bytes: [UInt8] {
        var writer = Protobuf.Writer()
        writer.bytes(1, publicKey.bytes)
        writer.bytes(2, payloadType)
        writer.bytes(3, payload)
        writer.bytes(5, signature)
        return writer.bytes
    }

    /// Reads an envelope without checking its signature; unknown fields are skipped.
    ///
    /// - Throws: `EnvelopeFault`.
    public init(
        bytes: some Collection<UInt8>,
        maxByteCount: Int = SignedEnvelope.maxByteCount
    ) throws(EnvelopeFault) {
        guard bytes.count <= maxByteCount else { throw .tooLong(bytes.count) }
        var reader = Protobuf.Reader(ArraySlice(bytes))
        var key: ArraySlice<UInt8> = []
        var type: ArraySlice<UInt8> = []
        var payload: ArraySlice<UInt8> = []
        var signature: ArraySlice<UInt8> = []
        do throws(Protobuf.Fault) {
            while let field = try reader.next() {
                switch (field.number, field.bytes) {
                case (1, let value?): key = value
                case (2, let value?): type = value
                case (3, let value?): payload = value
                case (5, let value?): signature = value
                default: break
                }
            }
        } catch {
            throw .malformed(error)
        }
        guard type.count <= SignedEnvelope.maxPayloadTypeByteCount else { throw .payloadType }
        guard signature.count == SignedEnvelope.signatureByteCount else {
            throw .signatureLength(signature.count)
        }
        do throws(PublicKeyFault) {
            publicKey = try PublicKey(bytes: key)
        } catch {
            throw .publicKey(error)
        }
        payloadType = Array(type)
        self.payload = Array(payload)
        self.signature = Array(signature)
    }

    /// Checks what the envelope is and who signed it.
    ///
    /// - Throws: `EnvelopeFault.payloadType` or `.signature`.
    public func check(domain: String, payloadType expected: [UInt8], verify: Verifier) throws(EnvelopeFault) {
        guard payloadType == expected else { throw .payloadType }
        let message = SignedEnvelope.signedBytes(domain: domain, payloadType: payloadType, payload: payload)
        guard verify(publicKey, message, signature) else { throw .signature }
    }

    /// What the signature is made over.
    public static func signedBytes(domain: String, payloadType: [UInt8], payload: [UInt8]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(domain.utf8.count + payloadType.count + payload.count + 12)
        Varint.append(UInt64(domain.utf8.count), to: &bytes)
        bytes += domain.utf8
        for part in [payloadType, payload] {
            Varint.append(UInt64(part.count), to: &bytes)
            bytes += part
        }
        return bytes
    }
}

/// Why an envelope is not accepted.
public enum EnvelopeFault: Error, Equatable, Sendable {
    case tooLong(Int)
    case malformed(Protobuf.Fault)
    case publicKey(PublicKeyFault)
    case payloadType
    case signatureLength(Int)
    case signature
}
