import Engines
import FunctionProtocol
import MRProtocol
import PeerTestKit
import Testing

/// Pairs whose numbers a built-in `sum` combines are added up in a table where they can be.
@Suite("Sums of a function's pairs", .enabled(if: Available.javaScript))
struct FunctionSumTests {
    /// A line is a pair, cut at the first tab; one without a tab is a key without a value.
    private static let pairs = Function.script(
        """
        export const encoding = "latin1"
        export function map(_, line, emit) {
            const tab = line.indexOf("\\t")
            if (line === "stop") throw new Error("stopped")
            if (tab < 0) emit(line)
            else emit(line.slice(0, tab), line.slice(tab + 1))
        }
        """
    )

    struct Case: CustomTestStringConvertible, Sendable {
        var testDescription: String
        var lines: [String]

        init(_ name: String, _ lines: [String]) { (testDescription, self.lines) = (name, lines) }
    }

    private static let many = (0..<900).map { "key \($0 % 37)\t\($0 - 300)" }
    private static let most = "999999999999999999"

    /// More keys than `PairSums` watches, each with one pair, and values of which some are not written as sums are.
    private static let different = (0..<9_000).map { number in
        "\(number)-\(number % 3)\t" + ["1", "042", "-7", "0", "\(number)"][number % 5]
    }

    static let sums = [
        Case("numbers, some below zero", many),
        Case(
            "keys of no bytes, of sixteen and of many",
            ["\t4", "0123456789abcdef\t5", String(repeating: "k", count: 99) + "\t6"]
        ),
        Case("leading zeros, and a zero below zero", ["a\t007", "a\t-0", "b\t-0", "c\t0"]),
        Case("a number of more than 18 digits among others", many + ["key 3\t1234567890123456789012"] + many),
        Case("a sum of more than 64 bits", Array(repeating: "a\t\(most)", count: 12) + many),
        Case("a sum of less than -2^63", Array(repeating: "a\t-\(most)", count: 600) + many),
        Case("many keys of one pair each", different),
        Case("many keys of one pair each, then again", different + many + different + ["1-1\t\(most)9"]),
        Case("columns", (0..<40).map { "a\t\($0) \(2 * $0)" } + many),
    ]

    static let wrong = [
        Case("a value that is no number", many + ["key 3\tthree"] + many),
        Case("a key without a value", many + ["key 3"]),
        Case("numbers and columns of one key", ["a\t1", "a\t1 2"]),
        Case("no digits", ["a\t"]),
        Case("no number behind many keys of one pair each", different + ["0-0\tthree"]),
        Case("a key without a value behind many of one pair each", different + ["new"]),
    ]

    private func run(_ lines: [String], combine: Function?, groupLeafCount: Int, mergeCount: Int, memory: Int)
        throws
        -> LocalJob.Outcome
    {
        var own = FunctionJob(
            map: FunctionSumTests.pairs,
            combine: combine,
            reduce: .builtIn("sum"),
            reduceCount: 3
        )
        own.job.leafByteCount = 500
        own.job.groupLeafCount = groupLeafCount
        own.job.mergeCount = mergeCount
        own.job.memoryByteCount = memory
        return try own.run([("f", Array((lines.joined(separator: "\n") + "\n").utf8))])
    }

    @Test("The parts are those without a combine", arguments: sums)
    func parts(_ numbers: Case) throws {
        let expected = try run(
            numbers.lines,
            combine: nil,
            groupLeafCount: 1_000,
            mergeCount: 1,
            memory: 1 << 30
        )
        for (group, merge, memory) in [(1_000, 1, 1 << 30), (5, 1, 1 << 30), (5, 2, 1), (3, 4, 1 << 30)] {
            let outcome = try run(
                numbers.lines,
                combine: .builtIn("sum"),
                groupLeafCount: group,
                mergeCount: merge,
                memory: memory
            )
            #expect(
                outcome.parts == expected.parts,
                "groups of \(group), merges of \(merge), memory \(memory)"
            )
            #expect(outcome.counters.mapOutputPairs == UInt64(numbers.lines.count))
            #expect(outcome.counters.reduceInputKeys == expected.counters.reduceInputKeys)
        }
    }

    @Test("What cannot be added up fails as it does without a combine", arguments: wrong)
    func faults(_ numbers: Case) throws {
        func fault(combine: Function?) -> TaskFault? {
            do {
                _ = try run(
                    numbers.lines,
                    combine: combine,
                    groupLeafCount: 1_000,
                    mergeCount: 1,
                    memory: 1 << 30
                )
            } catch {
                return error as? TaskFault
            }
            return nil
        }
        let expected = fault(combine: nil)
        #expect(expected != nil)
        #expect(fault(combine: .builtIn("sum")) == expected)
    }

    /// More keys than `PairSums` watches, which agree in more than eight bytes, every 20th of them twice.
    private static let long = (0..<9_500).map { number in
        "https://example/\(number / 20 * 19 + number % 19)\t"
            + ["1", "042", "-7", "0", "\(number)"][number % 5]
    }

    /// Keys and sums of lines, as the result of `identity` shows them.
    private func totals(_ lines: [String]) -> [String] {
        var totals: [String: Int] = [:]
        for line in lines {
            let parts = line.split(separator: "\t")
            totals[String(parts[0]), default: 0] += Int(parts[1]) ?? 0
        }
        return totals.map { "\($0.key)\t\($0.value)" }.sorted()
    }

    private func lines(_ outcome: LocalJob.Outcome) -> [String] {
        outcome.merged.split(separator: 0x0a).map { String(decoding: $0, as: UTF8.self) }.sorted()
    }

    private static let once = [
        Case("few keys", many), Case("many keys", different), Case("many long keys", long),
    ]

    @Test("A run has each key once, with its sum as the fold writes it", arguments: once)
    func runs(_ pairs: Case) throws {
        var own = FunctionJob(
            map: FunctionSumTests.pairs,
            combine: .builtIn("sum"),
            reduce: .builtIn("identity")
        )
        own.job.leafByteCount = 500
        own.job.groupLeafCount = 1_000
        let outcome = try own.run([("f", Array(pairs.lines.joined(separator: "\n").utf8))])
        #expect(lines(outcome) == totals(pairs.lines))
    }

    @Test("One attempt leaves nothing to the next, be it spilled, large, repetitive or failed")
    func attempts() throws {
        var own = FunctionJob(
            map: FunctionSumTests.pairs,
            combine: .builtIn("sum"),
            reduce: .builtIn("sum"),
            reduceCount: 2
        )
        own.job.groupLeafCount = 1_000
        own.job.leafByteCount = 500
        own.job.memoryByteCount = 600 << 10
        let round = (0..<9_000).map { "\($0)\t1" }
        // So much that some has left the process when it stops, and is not spilled yet.
        let stopped = (0..<1_500).map { String(repeating: "k", count: 200) + "\($0)\t1" } + ["stop"]
        let inputs = [
            FunctionSumTests.long, stopped, FunctionSumTests.different, round + round + round, stopped,
            FunctionSumTests.many,
        ]
        let files = inputs.map { [(name: "f", bytes: Array($0.joined(separator: "\n").utf8))] }
        let outcomes = try own.runs(files)
        for (input, outcome) in zip(inputs, outcomes) {
            if input.last == "stop" {
                #expect(throws: TaskFault.self) { try outcome.get() }
            } else {
                #expect(lines(try outcome.get()) == totals(input))
            }
        }
    }
}
