import Engines
import FunctionProtocol
import MRProtocol
import PeerTestKit
import Testing

/// Which of map, combine and reduce of a word count are the user's own.
struct Mix: CustomTestStringConvertible, Sendable {
    var testDescription: String
    var map: Function
    var combine: Function?
    var reduce: Function

    static let pythonMap = Function.command(
        """
        python3 -c 'import sys
        for line in sys.stdin.buffer:
            for word in line.split(): sys.stdout.buffer.write(word + b"\\t1\\n")'
        """
    )
    static let pythonSum = Function.command(
        """
        python3 -c 'import sys, itertools
        pairs = (line.rstrip(b"\\n").split(b"\\t") for line in sys.stdin.buffer)
        for key, group in itertools.groupby(pairs, lambda pair: pair[0]):
            sys.stdout.buffer.write(key + b"\\t%d\\n" % sum(int(pair[1]) for pair in group))'
        """
    )
    /// Bytes, for the texts are not all UTF-8.
    static let script = Function.script(
        """
        export const encoding = "latin1"
        export function map(_, line, emit) {
            for (const word of line.split(/[ \\t\\n\\v\\f\\r]+/)) if (word) emit(word, 1)
        }
        export function reduce(key, values, emit) {
            let sum = 0
            for (const value of values) sum += Number(value)
            emit(key, sum)
        }
        export const combine = reduce
        """
    )

    static let commands = [
        Mix("commands", pythonMap, pythonSum, pythonSum),
        Mix("commands without a combine", pythonMap, nil, pythonSum),
        Mix("map, built-in sum", pythonMap, .builtIn("sum"), .builtIn("sum")),
        Mix("map, built-in reduce, no combine", pythonMap, nil, .builtIn("sum")),
        Mix("map and combine, built-in reduce", pythonMap, pythonSum, .builtIn("sum")),
        Mix("built-in map, combine and reduce", .builtIn("wc"), pythonSum, pythonSum),
        Mix("built-in map and combine, reduce", .builtIn("wc"), .builtIn("sum"), pythonSum),
        Mix("built-in map and reduce, combine", .builtIn("wc"), pythonSum, .builtIn("sum")),
    ]

    static let scripts = [
        Mix("script", script, script, script),
        Mix("script without a combine", script, nil, script),
        Mix("script map, built-in sum", script, .builtIn("sum"), .builtIn("sum")),
        Mix("built-in map, script", .builtIn("wc"), script, script),
        Mix("built-in map and reduce, script combine", .builtIn("wc"), script, .builtIn("sum")),
    ]
    static let scriptsAndCommands = [
        Mix("script map, commands", script, pythonSum, pythonSum),
        Mix("command map, script combine, command reduce", pythonMap, script, pythonSum),
    ]

    init(_ name: String, _ map: Function, _ combine: Function?, _ reduce: Function) {
        testDescription = name
        (self.map, self.combine, self.reduce) = (map, combine, reduce)
    }
}

@Suite("Jobs of user functions and their built-in equals")
struct FunctionEquivalenceTests {
    @Test("Commands", .enabled(if: Available.python), arguments: Mix.commands)
    func commands(_ mix: Mix) throws {
        // Each attempt starts interpreters: one shape will do for the other mixes.
        try expectEqualParts(mix, allShapes: mix.testDescription == Mix.commands[0].testDescription)
    }

    @Test("JavaScript", .enabled(if: Available.javaScript), arguments: Mix.scripts)
    func scripts(_ mix: Mix) throws { try expectEqualParts(mix) }

    @Test(
        "JavaScript and commands",
        .enabled(if: Available.javaScript && Available.python),
        arguments: Mix.scriptsAndCommands
    )
    func scriptsAndCommands(_ mix: Mix) throws { try expectEqualParts(mix) }

    /// The parts are those of the built-in, whatever the partitions, groups, merges and memory.
    private func expectEqualParts(_ mix: Mix, allShapes: Bool = true) throws {
        var shapes = [(4, 300, 8, 2, 1)]
        if allShapes { shapes += [(1, 700, 3, 1, 1 << 30), (7, 4_000, 1, 1, 6_000)] }
        var generator = TextGenerator(seed: 21)
        var files: [(name: String, bytes: [UInt8])] = []
        for (index, byteCount) in [2_500, 0, 900].enumerated() {
            files.append(("file\(index)", generator.text(byteCount: byteCount, isBinary: index > 0)))
        }
        for (reduceCount, leaf, group, merge, memory) in shapes {
            var builtIn = LocalJob(
                JobSpec(
                    map: .builtIn("wc"),
                    combine: .builtIn("sum"),
                    reduce: .builtIn("sum"),
                    reduceCount: reduceCount,
                    recordFormat: .lines,
                    inputs: []
                )
            )
            var own = FunctionJob(
                map: mix.map,
                combine: mix.combine,
                reduce: mix.reduce,
                reduceCount: reduceCount
            )
            builtIn.leafByteCount = leaf
            builtIn.groupLeafCount = group
            builtIn.mergeCount = merge
            builtIn.memoryByteCount = memory
            let spec = own.job.spec
            own.job = builtIn
            own.job.spec = spec
            let expected = try builtIn.run(files)
            let outcome = try own.run(files)
            #expect(outcome.parts == expected.parts, "R \(reduceCount), memory \(memory)")
            #expect(outcome.counters.outputRecords == expected.counters.outputRecords)
        }
    }
}
