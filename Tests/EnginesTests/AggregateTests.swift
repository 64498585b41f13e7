import MRProtocol
import PeerTestKit
import Testing

@Suite("Hadoop Streaming's aggregate")
struct AggregateTests {
    private static let records = """
        LongValueSum:b\t2
        LongValueSum:a\t1
        LongValueMax:a\t-5
        LongValueSum:b\t-7
        LongValueMax:a\t 3
        LongValueMin:a\t9223372036854775807
        LongValueMin:a\t4
        DoubleValueSum:d\t0.5
        DoubleValueSum:d\t1.25
        DoubleValueSum:e\t2
        StringValueMax:s\tpear
        StringValueMax:s\tapple
        StringValueMin:s\tpear
        StringValueMin:s\tapple
        UniqValueCount:u\tx
        UniqValueCount:u\ty
        UniqValueCount:u\tx
        ValueHistogram:h\tx
        ValueHistogram:h\tx
        ValueHistogram:h\tx
        ValueHistogram:h\ty
        ValueHistogram:h\tz\\t4
        ValueHistogram:h:with colon\tz

        """

    /// Each worked out by hand from Hadoop's definition; in the order of the whole keys.
    private static let expected = [
        "d\t1.75", "e\t2.0", "a\t3", "a\t4", "a\t1", "b\t-5", "s\tpear", "s\tapple", "u\t2",
        "h\t3\t1\t3\t4\t2.6666666666666665\t1.247219128924647", "h:with colon\t1\t1\t1\t1\t1.0\t0.0",
    ]

    private static func job(combine: Bool) -> LocalJob {
        LocalJob(
            JobSpec(
                map: .builtIn("identity"),
                combine: combine ? .builtIn("aggregate") : nil,
                reduce: .builtIn("aggregate"),
                reduceCount: 1,
                recordFormat: .kv,
                inputs: []
            )
        )
    }

    @Test("Every kind, with and without a combine, however often that runs", arguments: [false, true])
    func kinds(_ combines: Bool) throws {
        for (group, merge) in [(1, 1), (3, 2), (100, 1)] {
            var job = AggregateTests.job(combine: combines)
            job.groupLeafCount = group
            job.mergeCount = merge
            let merged = try job.run([("pairs", Array(AggregateTests.records.utf8))]).merged
            let lines = String(decoding: merged, as: UTF8.self).split(separator: "\n").map(String.init)
            #expect(lines == AggregateTests.expected)
        }
    }

    @Test(
        "What it does not know or cannot read is a fault that names the key",
        arguments: [
            "word\t1\n", "LongSum:a\t1\n", "LongValueSum:a\tone\n", "LongValueSum:a\n",
            "ValueHistogram:a\tx\\ty\n",
            "LongValueSum:a\t9223372036854775807\nLongValueSum:a\t1\n",
        ]
    )
    func faults(_ records: String) {
        do {
            _ = try AggregateTests.job(combine: false).run([("pairs", Array(records.utf8))])
            Issue.record("accepted")
        } catch {
            guard case .malformedValue(let key, _) = error else {
                Issue.record("\(error)")
                return
            }
            #expect(records.utf8.starts(with: key))
        }
    }
}
