import Engines
import MRProtocol
import Multiformats
import PeerTestKit
import Testing

/// A built-in map with its defaults, and the pipeline that its merged result equals.
struct Equivalence: CustomTestStringConvertible, Sendable {
    var map: String
    var arguments: [String: String] = [:]
    var reduce: String?
    var format: RecordFormat?
    var pipeline: String
    /// The pipeline's tools take any bytes.
    var takesBinary = true

    var testDescription: String { "\(map) \(arguments) \(reduce ?? "") \(format?.rawValue ?? "")" }

    func spec(reduceCount: Int) throws -> JobSpec {
        let defaults = try #require(BuiltInEngine.defaults(forMap: map, arguments: arguments, reduce: reduce))
        return JobSpec(
            map: .builtIn(map),
            combine: defaults.combine.map { .builtIn($0) },
            reduce: .builtIn(defaults.reduce),
            reduceCount: reduceCount,
            recordFormat: format ?? defaults.format,
            arguments: arguments,
            inputs: []
        )
    }

    private static let words = "for f in *; do tr -s '[:space:]' '\\n' < $f; echo; done | sed '/^$/d'"
    /// Lines without the `\r` before their `\n`; the last one of a file may have neither.
    private static let crlfLines = """
        for f in *; do sed -z 's/\\r\\n/\\n/g' $f; \
        [ ! -s $f ] || [ "$(tail -c1 $f | od -An -tx1)" = ' 0a' ] || echo; done
        """
    /// Pairs of a file: what stands before and behind the first tab.
    private static let pairs = "for f in *; do cat $f; [ ! -s $f ] || [ -z \"$(tail -c1 $f)\" ] || echo; done"
    private static let swap = "sed -E 's/^ *([0-9]+) (.*)$/\\2\\t\\1/'"

    static let all: [Equivalence] = [
        Equivalence(map: "wc", pipeline: "\(words) | sort | uniq -c | \(swap)"),
        Equivalence(map: "wc", format: .lines, pipeline: "\(words) | sort | uniq -c | \(swap)"),
        Equivalence(map: "wc", reduce: "count", pipeline: "\(words) | sort | uniq -c | \(swap)"),
        Equivalence(map: "wc", reduce: "max", pipeline: "\(words) | sort -u | sed 's/$/\\t1/'"),
        Equivalence(
            map: "lines",
            // Not plain `wc`: before coreutils 9.5 it leaves out words without a printable ASCII character.
            pipeline: """
                for f in *; do printf '%s\\t%d %d %d\\n' $f $(wc -l < $f) \
                $(tr -s '[:space:]' '\\n' < $f | sed '/^$/d' | grep -ac '') $(wc -c < $f); done
                """
        ),
        Equivalence(map: "sort", pipeline: "sort *"),
        Equivalence(map: "sort", reduce: "distinct", pipeline: "sort -u *"),
        Equivalence(map: "sort", reduce: "count", pipeline: "sort * | uniq -c | \(swap)"),
        Equivalence(map: "sort", format: .words, pipeline: "\(words) | sort"),
        Equivalence(map: "sort", format: .crlf, pipeline: "(\(crlfLines)) | sort"),
        Equivalence(
            map: "grep",
            arguments: ["pattern": "[ab]$"],
            format: .crlf,
            pipeline: "(\(crlfLines)) | grep -a -P '[ab]$' | sort"
        ),
        Equivalence(map: "identity", pipeline: "sort *"),
        Equivalence(
            map: "identity",
            format: .kv,
            pipeline: "(\(pairs)) | sort -s -t '\t' -k1,1",
            takesBinary: false
        ),
        Equivalence(
            map: "identity",
            reduce: "count",
            format: .kv,
            pipeline: "(\(pairs)) | cut -f1 | sort | uniq -c | \(swap)",
            takesBinary: false
        ),
        Equivalence(map: "count", pipeline: "sort * | uniq -c | \(swap)"),
        Equivalence(
            map: "count",
            format: .crlf,
            pipeline: "(\(crlfLines)) | sort | uniq -c | \(swap)"
        ),
        Equivalence(map: "count", format: .words, pipeline: "\(words) | sort | uniq -c | \(swap)"),
        Equivalence(
            map: "index",
            pipeline: """
                for f in *; do tr -s '[:space:]' '\\n' < $f | sed '/^$/d' | sort -u | sed "s/$/\\t$f/"; done \
                | sort -t '\t' -k1,1 -k2,2 | awk -F '\\t' '$1"" != w { if (NR > 1) print ""; w = $1""; \
                printf "%s\\t%s", w, $2; next } { printf ",%s", $2 } END { if (NR) print "" }'
                """,
            takesBinary: false
        ),
        Equivalence(
            map: "top",
            arguments: ["n": "7"],
            pipeline: "\(words) | sort | uniq -c | \(swap) | sort -t '\t' -k2,2nr -k1,1 | head -n 7"
        ),
        Equivalence(map: "grep", arguments: ["pattern": "a+b"], pipeline: "grep -a -h -P 'a+b' * | sort"),
        Equivalence(
            map: "grep",
            arguments: ["pattern": "^(b|c).*a\\s*$"],
            pipeline: "grep -a -h -P '^(b|c).*a\\s*$' * | sort"
        ),
        Equivalence(map: "grep", arguments: ["pattern": "^$"], pipeline: "grep -a -h -P '^$' * | sort"),
        Equivalence(
            map: "grep",
            arguments: ["pattern": "\\xe2\\x82|abc"],
            pipeline: "grep -a -h -P '\\xe2\\x82|abc' * | sort"
        ),
        Equivalence(
            map: "grep",
            arguments: ["pattern": "ab", "output": "count"],
            pipeline: "grep -a -H -c -P ab * | sed 's/:/\\t/' | sort"
        ),
        Equivalence(
            map: "grep",
            arguments: ["pattern": "c[ab]*c", "output": "offset"],
            pipeline: "grep -a -h -b -P 'c[ab]*c' * | sort"
        ),
    ]
}

struct BuiltInEquivalenceTests {
    static let files: [(seed: UInt64, isBinary: Bool)] = [(1, false), (2, false), (3, true), (4, true)]

    @Test("A built-in equals its pipeline", arguments: Equivalence.all, files)
    func equalsPipeline(_ equivalence: Equivalence, _ text: (seed: UInt64, isBinary: Bool)) throws {
        if text.isBinary && !equivalence.takesBinary { return }
        var generator = TextGenerator(seed: text.seed)
        var files: [(name: String, bytes: [UInt8])] = []
        for (index, byteCount) in [3000, 0, 700, 1, 64].enumerated() {
            files.append(("file\(index)", generator.text(byteCount: byteCount, isBinary: text.isBinary)))
        }
        files[1].bytes = []
        let pipeline = try Pipeline(files)
        defer { pipeline.remove() }
        let expected = try pipeline.output(of: equivalence.pipeline)
        for (reduceCount, leaf, group) in [(1, 64, 4), (4, 7, 9), (7, 1000, 1), (4, 1, 500)] {
            var job = LocalJob(try equivalence.spec(reduceCount: reduceCount))
            job.spec.recordByteLimit = 4000
            job.leafByteCount = leaf
            job.groupLeafCount = group
            let merged = try job.run(files).merged
            #expect(
                merged == expected,
                "R \(reduceCount), leaves of \(leaf): \(difference(merged, expected))"
            )
        }
    }

    /// What each reduce makes of values of every kind, in awk: `v` is a value, `k` its key.
    private static let reduces: [(reduce: String, update: String)] = [
        // Integers come before all other values.
        ("min", "if (!(k in out) || before(v, out[k])) out[k] = v"),
        ("max", "if (!(k in out) || before(out[k], v)) out[k] = v"),
        ("list", "out[k] = seen[k]++ ? out[k] \",\" v : v"),
        ("count", "out[k]++"),
    ]

    @Test("A reduce of many kinds of values equals awk", arguments: reduces)
    func reducesValues(_ reduce: String, _ update: String) throws {
        var generator = TextGenerator(seed: 11)
        let files = [400, 0, 90, 1].enumerated().map { index, count in
            let lines = (0..<count).map { _ in BuiltInEquivalenceTests.pair(&generator) }
            return (name: "file\(index)", bytes: Array(lines.joined(separator: "\n").utf8))
        }
        let pipeline = try Pipeline(files)
        defer { pipeline.remove() }
        let skipsMissing = reduce == "count" ? "" : "if (!t) { keys[k]; next }"
        let expected = try pipeline.output(
            of: """
                for f in *; do cat $f; [ ! -s $f ] || echo; done | awk '
                function isint(v) { return v ~ /^-?[0-9]+$/ }
                function before(a, b) {
                    if (isint(a) != isint(b)) return isint(a)
                    return isint(a) ? a + 0 < b + 0 : a "" < b ""
                }
                {
                    t = index($0, "\t"); k = t ? substr($0, 1, t - 1) : $0; v = substr($0, t + 1)
                    \(skipsMissing); keys[k]; \(update)
                }
                END { for (k in keys) print (k in out) ? k "\t" out[k] : k }' | sort -t '\t' -k1,1
                """
        )
        let equivalence = Equivalence(map: "identity", reduce: reduce, format: .kv, pipeline: "")
        for (reduceCount, leaf, group) in [(1, 64, 4), (4, 7, 9), (7, 1000, 1)] {
            var job = LocalJob(try equivalence.spec(reduceCount: reduceCount))
            job.leafByteCount = leaf
            job.groupLeafCount = group
            let merged = try job.run(files).merged
            #expect(merged == expected, "R \(reduceCount): \(difference(merged, expected))")
        }
    }

    /// A key of ten, and an integer, a word, an empty value or none.
    private static func pair(_ generator: inout TextGenerator) -> String {
        let key = "k\(generator.below(10))"
        switch generator.below(6) {
        case 0: return key
        case 1: return key + "\t"
        case 2, 3: return key + "\t\(generator.below(2000) - 1000)"
        case 4: return key + "\tw\(generator.below(50)) x"
        default: return "bare\(generator.below(3))"
        }
    }

    private func difference(_ one: [UInt8], _ other: [UInt8]) -> String {
        let at =
            zip(one, other).enumerated().first { $0.element.0 != $0.element.1 }?.offset
            ?? min(one.count, other.count)
        let from = max(0, at - 40)
        func show(_ bytes: [UInt8]) -> String {
            String(decoding: bytes.dropFirst(from).prefix(100), as: UTF8.self)
        }
        return "at \(at): \(show(one).debugDescription) is not \(show(other).debugDescription)"
    }
}
