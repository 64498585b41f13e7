internal import Multiformats

/// What messages 2 and 3 of libp2p's handshake carry.
///
/// **Layout** protobuf { 1: encoded PublicKey, 2: signature, 4: extensions { 1: certificate hashes, 2: muxers } }.
/// **Source** libp2p/specs noise, "Static key authentication"; WIRE section 4.
package struct NoisePayload: Equatable, Sendable {
    /// Muxer names accepted in one payload; go's limit.
    package static let maxMuxerCount = 100
    private static let signaturePrefix = Array("noise-libp2p-static-key:".utf8)

    /// The encoded public key of the identity.
    package var identityKey: [UInt8]
    /// The identity's signature of the static key.
    package var signature: [UInt8]
    /// The muxers that its sender speaks, preferred first; empty when the extension is absent.
    package var muxers: [String]

    /// Puts a payload together.
    package init(identityKey: [UInt8], signature: [UInt8], muxers: [String]) {
        self.identityKey = identityKey
        self.signature = signature
        self.muxers = muxers
    }

    /// What the identity signs: a prefix, without length or NUL, and the 32 bytes of the static key.
    package static func signedBytes(staticKey: [UInt8]) -> [UInt8] {
        signaturePrefix + staticKey
    }

    /// The bytes of the payload.
    package var bytes: [UInt8] {
        var writer = Protobuf.Writer()
        writer.bytes(1, identityKey)
        writer.bytes(2, signature)
        if !muxers.isEmpty {
            var extensions = Protobuf.Writer()
            for muxer in muxers { extensions.string(2, muxer) }
            writer.bytes(4, extensions.bytes)
        }
        return writer.bytes
    }

    /// Reads a payload; unknown fields are skipped.
    package init(bytes: [UInt8]) throws(NoiseFault) {
        self.init(identityKey: [], signature: [], muxers: [])
        do throws(Protobuf.Fault) {
            var reader = Protobuf.Reader(bytes)
            while let field = try reader.next() {
                switch (field.number, field.bytes) {
                case (1, let value?): identityKey = Array(value)
                case (2, let value?): signature = Array(value)
                case (4, let value?): muxers += try Self.muxers(inExtensions: value)
                default: break
                }
            }
        } catch {
            throw .payload(error)
        }
        guard muxers.count <= Self.maxMuxerCount else { throw .tooManyMuxers(muxers.count) }
    }

    private static func muxers(inExtensions bytes: ArraySlice<UInt8>) throws(Protobuf.Fault) -> [String] {
        var names: [String] = []
        var reader = Protobuf.Reader(bytes)
        while let field = try reader.next() {
            guard field.number == 2, let value = field.bytes else { continue }
            names.append(String(decoding: value, as: UTF8.self))
        }
        return names
    }
}
