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

    /// A uniformly random 64-bit number, to seed what must differ from run to run.
    public static func makeNumber() -> UInt64 {
        make(8).reduce(0) { $0 << 8 | UInt64($1) }
    }
}
