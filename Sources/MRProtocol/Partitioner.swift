/// Which partition a key belongs to: FNV-1a 64 of its bytes, modulo the number of partitions.
///
/// Stable across versions and machines; remembered outputs and result CIDs depend on it.
///
/// - Source: Fowler, Noll, Vo: FNV-1a, 64 bits; DESIGN section 7.
public enum Partitioner {
    /// Names the function in the keys of remembered outputs.
    public static let name = "fnv1a64"

    @usableFromInline static let offsetBasis: UInt64 = 0xcbf2_9ce4_8422_2325
    @usableFromInline static let prime: UInt64 = 0x0000_0100_0000_01b3

    /// FNV-1a 64 of `key`.
    @inlinable
    public static func hash(_ key: UnsafeRawBufferPointer) -> UInt64 {
        var hash = offsetBasis
        for byte in key { hash = (hash ^ UInt64(byte)) &* prime }
        return hash
    }

    /// The partition of `key` among `count` (at least 1).
    @inlinable
    public static func partition(of key: UnsafeRawBufferPointer, count: Int) -> Int {
        count == 1 ? 0 : Int(hash(key) % UInt64(count))
    }
}
