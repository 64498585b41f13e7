internal import CCrypto

/// One direction of ChaCha20-Poly1305 by libcrypto, with the counter nonce of Noise.
///
/// The EVP context is made once and used for every message. Not copyable: a copy would use a nonce twice.
///
/// **Source** RFC 8439; Noise Protocol Framework revision 34, sections 5.1 and 12.3 (four zero bytes, then the
/// 64-bit little-endian counter).
public struct ChaChaPoly: ~Copyable {
    /// Length of a key in bytes.
    public static let keyByteCount = 32
    /// Length of the tag behind every ciphertext, in bytes.
    public static let tagByteCount = 16

    /// What this end of the direction does.
    public enum Direction: Sendable {
        case sealing
        case opening
    }

    private let context: OpaquePointer
    /// Messages processed so far, which is the nonce of the next one.
    public private(set) var messageCount: UInt64

    /// Prepares one direction.
    ///
    /// - Parameters:
    ///   - key: 32 bytes.
    ///   - direction: whether messages are sealed or opened.
    ///   - messageCount: messages that this key has processed already.
    public init(key: borrowing SecretBytes, _ direction: Direction, messageCount: UInt64 = 0) {
        self.messageCount = messageCount
        precondition(key.count == Self.keyByteCount, "a ChaCha20-Poly1305 key has 32 bytes, not \(key.count)")
        guard let context = EVP_CIPHER_CTX_new() else { preconditionFailure("libcrypto is out of memory") }
        self.context = context
        let done = key.withUnsafeBytes { key in
            EVP_CipherInit_ex(
                context,
                EVP_chacha20_poly1305(),
                nil,
                key.assumingMemoryBound(to: UInt8.self).baseAddress,
                nil,
                direction == .sealing ? 1 : 0
            )
        }
        precondition(done == 1, "libcrypto refused ChaCha20-Poly1305")
    }

    deinit { EVP_CIPHER_CTX_free(context) }

    /// Whether another message may be processed; the last nonce is reserved by Noise.
    public var hasNonceLeft: Bool { messageCount < UInt64.max }

    /// Starts the next message, under the next nonce.
    public mutating func begin(additionalData: UnsafeRawBufferPointer = .init(start: nil, count: 0)) {
        precondition(hasNonceLeft, "no nonce is left for this key")
        withUnsafeTemporaryAllocation(byteCount: 12, alignment: 4) { nonce in
            nonce.storeBytes(of: 0, as: UInt32.self)
            nonce.storeBytes(of: messageCount.littleEndian, toByteOffset: 4, as: UInt64.self)
            let bytes = nonce.assumingMemoryBound(to: UInt8.self).baseAddress
            let done = EVP_CipherInit_ex(context, nil, nil, nil, bytes, -1)
            precondition(done == 1, "libcrypto refused a nonce")
        }
        messageCount += 1
        if !additionalData.isEmpty { update(additionalData, into: nil) }
    }

    /// Processes the next piece of the message.
    ///
    /// - Parameters:
    ///   - input: at most 2 GiB.
    ///   - output: room for as many bytes as `input` has; may be the same memory.
    public borrowing func update(_ input: UnsafeRawBufferPointer, into output: UnsafeMutableRawPointer?) {
        guard !input.isEmpty else { return }
        var written: Int32 = 0
        let done = EVP_CipherUpdate(
            context,
            output?.assumingMemoryBound(to: UInt8.self),
            &written,
            input.assumingMemoryBound(to: UInt8.self).baseAddress,
            Int32(input.count)
        )
        precondition(done == 1 && Int(written) == input.count, "libcrypto refused \(input.count) bytes")
    }

    /// Ends a sealed message: writes its 16-byte tag.
    public borrowing func finishSealing(tag: UnsafeMutableRawBufferPointer) {
        precondition(tag.count >= Self.tagByteCount, "no room for the tag")
        var none: UInt8 = 0
        var written: Int32 = 0
        let done =
            EVP_CipherFinal_ex(context, &none, &written) == 1
            && EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, Int32(Self.tagByteCount), tag.baseAddress)
                == 1
        precondition(done, "libcrypto could not finish a message")
    }

    /// Ends an opened message.
    ///
    /// - Parameter tag: the 16 bytes that came with it.
    /// - Returns: whether the tag is right; when not, the bytes already written must not be used.
    public borrowing func finishOpening(tag: UnsafeRawBufferPointer) -> Bool {
        precondition(tag.count == Self.tagByteCount, "a tag has 16 bytes, not \(tag.count)")
        var none: UInt8 = 0
        var written: Int32 = 0
        let expected = UnsafeMutableRawPointer(mutating: tag.baseAddress)
        return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, Int32(Self.tagByteCount), expected) == 1
            && EVP_CipherFinal_ex(context, &none, &written) == 1
    }
}

// One owner at a time (it cannot be copied), and libcrypto contexts are not bound to a thread.
extension ChaChaPoly: @unchecked Sendable {}
