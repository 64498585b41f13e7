internal import PeerCrypto

/// The two directions of a Noise channel after its handshake.
///
/// Messages are sealed from the caller's pieces straight into the caller's output buffer, and opened straight into
/// one array that is then handed on as slices: a payload is touched once on its way through.
///
/// **Layout** of a message: 2 bytes big-endian length, that many bytes of ciphertext, the last 16 being the tag.
/// **Source** libp2p/specs noise, "Wire format"; WIRE section 4.
package struct NoiseTransport: ~Copyable, Sendable {
    /// Bytes of the length field.
    package static let lengthByteCount = 2
    /// Most bytes behind a length field.
    package static let maxCiphertextByteCount = 65_535
    /// Most bytes of plaintext in a message.
    package static let maxPlaintextByteCount = maxCiphertextByteCount - ChaChaPoly.tagByteCount
    /// Bytes that a message takes beyond its plaintext.
    package static let overheadByteCount = lengthByteCount + ChaChaPoly.tagByteCount

    private var sealing: ChaChaPoly
    private var opening: ChaChaPoly
    /// Plaintext bytes in the message being sealed.
    private var sealedByteCount = 0

    init(sendingKey: borrowing SecretBytes, receivingKey: borrowing SecretBytes) {
        sealing = ChaChaPoly(key: sendingKey, .sealing)
        opening = ChaChaPoly(key: receivingKey, .opening)
    }

    /// Starts the next message to send.
    package mutating func beginMessage() throws(NoiseFault) {
        guard sealing.hasNonceLeft else { throw .nonceExhausted }
        sealing.begin()
        sealedByteCount = 0
    }

    /// Adds a piece of plaintext to the message being sealed.
    ///
    /// - Parameters:
    ///   - piece: all pieces together are at most `maxPlaintextByteCount` bytes.
    ///   - message: where the message begins; has room for it and `overheadByteCount` more bytes.
    package mutating func seal(_ piece: UnsafeRawBufferPointer, into message: UnsafeMutableRawBufferPointer) {
        let start = Self.lengthByteCount + sealedByteCount
        let end = start + piece.count
        precondition(end - Self.lengthByteCount <= Self.maxPlaintextByteCount, "the message is too long")
        precondition(end + ChaChaPoly.tagByteCount <= message.count, "no room for the message")
        sealing.update(piece, into: message.baseAddress.map { $0 + start })
        sealedByteCount += piece.count
    }

    /// Ends the message being sealed.
    ///
    /// - Parameter message: where the message begins.
    /// - Returns: the bytes it takes, length field and tag included.
    package mutating func endMessage(_ message: UnsafeMutableRawBufferPointer) -> Int {
        precondition(sealedByteCount > 0, "some peers take an empty message for the end of the stream")
        let ciphertextByteCount = sealedByteCount + ChaChaPoly.tagByteCount
        message.storeBytes(of: UInt16(ciphertextByteCount).bigEndian, as: UInt16.self)
        let end = Self.lengthByteCount + ciphertextByteCount
        sealing.finishSealing(tag: .init(rebasing: message[(Self.lengthByteCount + sealedByteCount)..<end]))
        return end
    }

    /// Opens every complete message at the front of `input`.
    ///
    /// - Returns: their plaintexts joined, and the number of bytes of `input` that they took.
    /// - Throws: `NoiseFault` when a message is forged or too short; the channel is then dead.
    package mutating func open(
        _ input: UnsafeRawBufferPointer
    ) throws(NoiseFault) -> (plaintext: [UInt8], byteCount: Int) {
        let (byteCount, capacity) = try Self.measure(input)
        guard byteCount > 0 else { return ([], 0) }
        var isGenuine = true
        let plaintext = [UInt8](unsafeUninitializedCapacity: capacity) { output, count in
            let output = UnsafeMutableRawBufferPointer(output)
            var offset = 0
            while isGenuine, offset < byteCount {
                let end = offset + Self.lengthByteCount + Self.length(at: offset, in: input)
                let message = UnsafeRawBufferPointer(rebasing: input[(offset + Self.lengthByteCount)..<end])
                isGenuine = openMessage(message, into: .init(rebasing: output[count...]))
                count += message.count - ChaChaPoly.tagByteCount
                offset = end
            }
        }
        guard isGenuine else { throw .decryptionFailed }
        return (plaintext, byteCount)
    }

    private mutating func openMessage(
        _ message: UnsafeRawBufferPointer,
        into output: UnsafeMutableRawBufferPointer
    ) -> Bool {
        guard opening.hasNonceLeft else { return false }
        let tagStart = message.count - ChaChaPoly.tagByteCount
        opening.begin()
        opening.update(.init(rebasing: message[..<tagStart]), into: output.baseAddress)
        return opening.finishOpening(tag: .init(rebasing: message[tagStart...]))
    }

    /// How far the complete messages reach, and how much plaintext they hold.
    private static func measure(
        _ input: UnsafeRawBufferPointer
    ) throws(NoiseFault) -> (byteCount: Int, plaintextByteCount: Int) {
        var byteCount = 0
        var plaintextByteCount = 0
        while input.count - byteCount >= lengthByteCount {
            let length = length(at: byteCount, in: input)
            guard length >= ChaChaPoly.tagByteCount else { throw .messageLength(length) }
            guard input.count - byteCount >= lengthByteCount + length else { break }
            byteCount += lengthByteCount + length
            plaintextByteCount += length - ChaChaPoly.tagByteCount
        }
        return (byteCount, plaintextByteCount)
    }

    private static func length(at offset: Int, in input: UnsafeRawBufferPointer) -> Int {
        Int(input[offset]) << 8 | Int(input[offset + 1])
    }
}
