import MRProtocol
import Testing

struct PartitionerTests {
    /// Published test values of FNV-1a 64.
    @Test(
        "FNV-1a 64 gives the published values",
        arguments: [
            ("", 0xcbf2_9ce4_8422_2325), ("a", 0xaf63_dc4c_8601_ec8c), ("foobar", 0x8594_4171_f739_67e8),
        ]
            as [(String, UInt64)]
    )
    func publishedValues(_ key: String, _ expected: UInt64) {
        Array(key.utf8).withUnsafeBytes { #expect(Partitioner.hash($0) == expected) }
    }

    @Test("The partition is the hash modulo the count")
    func partition() {
        Array("a".utf8).withUnsafeBytes { key in
            #expect(Partitioner.partition(of: key, count: 1) == 0)
            #expect(Partitioner.partition(of: key, count: 10) == 6)
        }
    }
}
