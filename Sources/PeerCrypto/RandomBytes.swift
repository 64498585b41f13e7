internal import CSodium

/// Bytes from the operating system's cryptographic random source.
public enum RandomBytes: Sendable {
    /// Makes `count` fresh random bytes.
    public static func make(_ count: Int) -> [UInt8] {
        guard count > 0 else { return [] }
        Sodium.ensureReady()
        return [UInt8](unsafeUninitializedCapacity: count) { bytes, filled in
            randombytes_buf(UnsafeMutableRawBufferPointer(bytes).octets, count)
            filled = count
        }
    }
}
