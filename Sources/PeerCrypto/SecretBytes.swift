internal import CSodium

/// Key material: exists once, and is overwritten with zeros when it goes away.
///
/// Not copyable, so that the compiler shows where a secret travels. The memory is ordinary heap memory: it is
/// zeroed, but not locked against swapping.
public struct SecretBytes: ~Copyable {
    private let storage: UnsafeMutableRawBufferPointer

    /// Number of secret bytes.
    public var count: Int { storage.count }

    /// Fills new secret bytes.
    ///
    /// - Parameters:
    ///   - count: at least 1.
    ///   - fill: gets memory of exactly `count` zero bytes.
    /// - Throws: what `fill` throws.
    public init<Failure: Error>(
        count: Int,
        fillingWith fill: (UnsafeMutableRawBufferPointer) throws(Failure) -> Void
    ) throws(Failure) {
        precondition(count > 0, "a secret has at least one byte")
        storage = .allocate(byteCount: count, alignment: 16)
        storage.initializeMemory(as: UInt8.self, repeating: 0)
        try fill(storage)
    }

    /// Copies bytes that are secret from now on; the caller's copy is the caller's to erase.
    public init(copying bytes: [UInt8]) {
        self.init(count: bytes.count) { $0.copyBytes(from: bytes) }
    }

    /// Fresh random bytes.
    public init(randomCount: Int) {
        Sodium.ensureReady()
        self.init(count: randomCount) { randombytes_buf($0.octets, randomCount) }
    }

    /// Lends the bytes for the duration of `body`.
    ///
    /// - Throws: what `body` throws.
    public borrowing func withUnsafeBytes<Result: ~Copyable, Failure: Error>(
        _ body: (UnsafeRawBufferPointer) throws(Failure) -> Result
    ) throws(Failure) -> Result {
        try body(UnsafeRawBufferPointer(storage))
    }

    deinit {
        sodium_memzero(storage.octets, storage.count)
        storage.deallocate()
    }
}

// The memory is written only by the initialisers, before anyone else can see it.
extension SecretBytes: @unchecked Sendable {}
