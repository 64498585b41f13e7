import Engines
import FunctionProtocol
import PeerTestKit
import Testing

private typealias Pair = FunctionHelper.Pair

@Suite("JavaScript functions", .enabled(if: BuiltHelper.path != nil))
struct JavaScriptTests {
    private static let wordCount = """
        export function map(_key, line, emit) { for (const word of line.split(" ")) emit(word, 1); }
        export function reduce(word, counts, emit) {
          let sum = 0;
          for (const count of counts) sum += Number(count);
          emit(word, sum);
        }
        export const combine = reduce;
        """

    @Test("One file holds map, combine and reduce")
    func wordCount() throws {
        let helper = try FunctionHelper.script(JavaScriptTests.wordCount, [.map, .combine, .reduce])
        #expect(helper.readiness.roles == [.map, .combine, .reduce])
        #expect(try helper.map("a b\na\n") == [Pair("a", "1"), Pair("b", "1"), Pair("a", "1")])
        let sorted = [[Pair("a", "1"), Pair("a", "1")], [Pair("a", "1"), Pair("b", "1")]]
        #expect(try helper.reduce(sorted) == [Pair("a", "3"), Pair("b", "1")])
        #expect(try helper.reduce(sorted, .combine) == [Pair("a", "3"), Pair("b", "1")])
    }

    @Test(
        "A function can be declared in every way that modules have",
        arguments: [
            "function map(k, v, emit) { emit(v) }",
            "const map = (k, v, emit) => emit(v)",
            "export function map(k, v, emit) { emit(v) }",
            "export const map = (k, v, emit) => { emit(v) };",
            "export let map = function (k, v, emit) { emit(v) }",
            "const f = (k, v, emit) => emit(v); export { f as map }",
            "const found = (k, v, emit) => emit(v); export { found as map }",
            "const map = (k, v, emit) => emit(v)\nexport { map }\n(function () {})()",
            "export default { map(k, v, emit) { emit(v) } }",
            "const x = { own: 1, map(k, v, emit) { if (this.own) emit(v) } }\nexport default x",
            "export default function map(k, v, emit) { emit(v) }",
            "export default (k, v, emit) => emit(v)",
            "#!/usr/bin/env node\nexport const { map } = { map: (k, v, emit) => emit(v) }",
            "\u{feff}export function map(k, v, emit) { emit(v) }",
        ]
    )
    func declarations(text: String) throws {
        let helper = try FunctionHelper.script(text)
        #expect(try helper.map("x\ny") == [Pair("x"), Pair("y")])
    }

    @Test(
        "The word export is left alone where it is no declaration",
        arguments: [
            #"const t = "export function"; function map(k, v, emit) { emit(t) }"#,
            "const t = `\nexport function`.trim(); function map(k, v, emit) { emit(t) }",
            "const t = `${'export'}\nexport function`.slice(7); function map(k, v, emit) { emit(t) }",
            #"const t = "a/b".replace(/a\/b|["'`]/, "export function"); function map(k, v, emit) { emit(t) }"#,
            "const o = {\n  export: 'export function'\n}; function map(k, v, emit) { emit(o.export) }",
            "/*\nexport const map = 1 */ const t = 6 / 3 / 1 + '\\\nexport function'; function map(k, v, emit) { emit(t.slice(1)) }",
            "if (true) /[`'\"]/.test(''); const t = 'export function'; export function map(k, v, emit) { emit(t) }",
        ]
    )
    func tokens(text: String) throws {
        let helper = try FunctionHelper.script(text)
        #expect(try helper.map("x") == [Pair("export function")])
    }

    @Test("Record formats are cut as documented, and keys tell the place")
    func formats() throws {
        let helper = try FunctionHelper.script("export function map(key, value, emit) { emit(key, value) }")
        let cases: [(RecordChunk.Format, String, [Pair])] = [
            (.lines, "a\r\n\nb", [Pair("f:7", "a\r"), Pair("f:10", ""), Pair("f:11", "b")]),
            (.crlf, "a\r\n\nb\r\n", [Pair("f:7", "a"), Pair("f:10", ""), Pair("f:11", "b")]),
            (.words, " a \t\nbc", [Pair("f:8", "a"), Pair("f:12", "bc")]),
            (.kv, "k\\tk\tv\\\\\nq\n", [Pair("k\tk", "v\\"), Pair("q")]),
        ]
        for (format, text, expected) in cases {
            #expect(try helper.map(text, format, input: "f", offset: 7) == expected, "\(format)")
        }
        #expect(helper.readiness.usesPosition)
    }

    @Test(
        "Whether a map looks at its key is told by its first parameter",
        arguments: [
            ("export function map(_key, value, emit) {}", false),
            ("export const map = (_, value, emit) => {}", false),
            ("export const map = _ => {}", false),
            ("export function map() {}", false),
            ("export default { map ( /* unused */ _k, v, emit) {} }", false),
            ("export function map(key, value, emit) {}", true),
            ("export const map = key => {}", true),
            ("export function map() { arguments[2](arguments[0]) }", true),
            ("export const map = (...all) => {}", true),
            ("export const map = ((key) => {}).bind(null)", true),
        ]
    )
    func usesPosition(text: String, expected: Bool) throws {
        #expect(try FunctionHelper.script(text).readiness.usesPosition == expected)
    }

    @Test("Text keeps characters of every length, and NUL")
    func text() throws {
        let helper = try FunctionHelper.script(
            "export function map(_, v, emit) { emit(v, v.length); emit('é', '\\u{1f600}\\0'); emit('\\ud800x') }"
        )
        let expected = [Pair("ß€😀\0", "5"), Pair("é", "😀\0"), Pair("\u{fffd}x")]
        #expect(try helper.map("ß€😀\0\n") == expected)
    }

    @Test(
        "Malformed UTF-8 is read as browsers read it",
        arguments: [
            ([0xff], "\u{fffd}"), ([0xe2, 0x82, 0x41], "\u{fffd}A"), ([0xc0, 0x80], "\u{fffd}\u{fffd}"),
            ([0xed, 0xa0, 0x80], "\u{fffd}\u{fffd}\u{fffd}"), ([0xf0, 0x9f, 0x98], "\u{fffd}"),
            ([0xf4, 0x90, 0x80, 0x80], "\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        ] as [([UInt8], String)]
    )
    func malformedText(bytes: [UInt8], expected: String) throws {
        let helper = try FunctionHelper.script("export function map(_, v, emit) { emit(v) }")
        #expect(try helper.map(bytes) == [Pair(expected)])
    }

    @Test("latin1 and bytes keep every byte")
    func encodings() throws {
        let all = (0...255).map { UInt8($0) }.filter { $0 != 0x0a }
        let latin1 = try FunctionHelper.script(
            "export const encoding = 'latin1'; export function map(_, v, emit) { emit(v, v.length) }"
        )
        #expect(try latin1.map(all) == [Pair(all, Array("255".utf8))])
        let bytes = try FunctionHelper.script(
            """
            export const encoding = "bytes";
            export function map(_, v, emit) { emit(v, v instanceof Uint8Array); v.fill(0); emit("é", new Uint8Array([0, 255])) }
            export function reduce(key, values, emit) { for (const v of values) emit(v, key) }
            """,
            [.map, .reduce]
        )
        let two = Pair(Array("é".utf8), [0, 255])
        #expect(
            try bytes.map(all + [0x0a, 0xff]) == [
                Pair(all, Array("true".utf8)), two, Pair([0xff], Array("true".utf8)), two,
            ]
        )
        #expect(try bytes.reduce([[Pair([0xff, 0], [0xfe])]]) == [Pair([0xfe], [0xff, 0])])
    }

    @Test("emit takes numbers, bigints, booleans and nothing as a value")
    func emittedValues() throws {
        let helper = try FunctionHelper.script(
            "export function map(_, v, emit) { emit(1.5, 10n); emit(true, -0); emit(''); emit('n', null); emit(1e21, 255); emit(NaN, 256) }"
        )
        let expected = [
            Pair("1.5", "10"), Pair("true", "0"), Pair(""), Pair("n"), Pair("1e+21", "255"),
            Pair("NaN", "256"),
        ]
        #expect(try helper.map("x") == expected)
    }

    @Test("Counters are added up, console writes to the log, and arguments are at hand")
    func surroundings() throws {
        let helper = try FunctionHelper.script(
            """
            let prefix;
            export function setup(given) { prefix = given.prefix + (given === args); }
            export function map(_, v, emit) {
              counter("g", "seen"); counter("g", "length", v.length); counter("g", "zero", 0);
              console.log("line", v, { a: [1, 2n], b: undefined }, null, undefined, Symbol("s"));
              console.error(new TypeError("no"));
              emit(prefix);
            }
            """,
            arguments: [("prefix", "p-")]
        )
        #expect(try helper.map("ab\nc") == [Pair("p-true"), Pair("p-true")])
        #expect(
            helper.counters == [
                CounterIncrement(group: "g", name: "seen", amount: 2),
                CounterIncrement(group: "g", name: "length", amount: 3),
            ]
        )
        let one = "{\"a\":[1,\"2n\"]} null undefined Symbol(s)\nTypeError: no\n"
        #expect(helper.log == "line ab \(one)line c \(one)")
    }

    @Test("Random numbers depend on the seed alone, and an attempt finds nothing of the one before")
    func freshState() throws {
        let helper = try FunctionHelper.script(
            """
            globalThis.count = (globalThis.count ?? 0) + 1;
            let calls = 0;
            export function map(_, v, emit) { Array.prototype.mark = 1; emit(Math.random(), count + calls++); }
            """
        )
        let first = try helper.map("x\ny", seed: [1])
        #expect(first.map(\.value) == [Array("1".utf8), Array("2".utf8)])
        #expect(try helper.map("x\ny", seed: [1]) == first)
        let other = try helper.map("x\ny", seed: [2])
        #expect(other.map(\.value) == first.map(\.value))
        #expect(Set(other.map(\.key)).isDisjoint(with: first.map(\.key)))
        #expect(
            try FunctionHelper.script("export function map(_, v, emit) { emit(Math.random()) }")
                .map("x", seed: [1]).map(\.key) == [first[0].key]
        )
    }

    @Test("Dates can be made of what records say")
    func dates() throws {
        let helper = try FunctionHelper.script(
            "export function map(_, v, emit) { const d = new Date(v); emit(d.toISOString(), d.getTime()); emit(d instanceof Date, new Date(2020, 0).getTimezoneOffset()) }"
        )
        #expect(
            try helper.map("2020-01-02T03:04:05Z") == [
                Pair("2020-01-02T03:04:05.000Z", "1577934245000"), Pair("true", "0"),
            ]
        )
    }

    @Test(
        "What would make results differ is not there",
        arguments: [
            "Date.now()", "new Date()", "Date()", "performance.now()", "Intl.DateTimeFormat()",
            "new WeakRef({})",
            "Atomics.load", "new SharedArrayBuffer(1)", "WebAssembly.compile", "setTimeout(() => {})",
            "fetch('x')", "require('fs')", "process.exit()", "new Date.prototype.constructor()",
        ]
    )
    func absent(expression: String) throws {
        let helper = try FunctionHelper.script(
            "export function map(_, v, emit) { try { \(expression); emit('there') } catch (e) { emit(e.name === 'TypeError' || e.name === 'ReferenceError') } }"
        )
        #expect(try helper.map("x") == [Pair("true")])
    }
}

@Suite("JavaScript values", .enabled(if: BuiltHelper.path != nil))
struct JavaScriptValuesTests {
    private static let batches = [
        [Pair("a", "1"), Pair("a", "2")], [Pair("a"), Pair("a", "4"), Pair("b", "5")], [Pair("c", "6")],
    ]

    @Test(
        "values can be read in every way that iterators can",
        arguments: [
            ("for (const v of values) emit(key, v)", "a=1 a=2 a a=4 b=5 c=6"),
            ("emit(key, [...values].join())", "a=1,2,,4 b=5 c=6"),
            ("emit(key, Array.from(values, Number).length)", "a=4 b=1 c=1"),
            ("emit(key, values.reduce((n, v) => n + Number(v), 0))", "a=7 b=5 c=6"),
            ("emit(key, values.map(Number).filter((n) => n > 1).toArray().join())", "a=2,4 b=5 c=6"),
            ("emit(key, Math.max(...values))", "a=4 b=5 c=6"),
            ("const [first] = values; emit(key, first)", "a=1 b=5 c=6"),
            ("emit(key)", "a b c"),
            (
                "for (const v of values) { emit(key, v); break } for (const v of values) { emit(key, v); break }",
                "a=1 a=2 b=5 c=6"
            ),
        ]
    )
    func reading(body: String, expected: String) throws {
        let helper = try FunctionHelper.script(
            "export function reduce(key, values, emit) { \(body) }",
            .reduce
        )
        let pairs = try helper.reduce(JavaScriptValuesTests.batches)
        #expect(pairs.map(\.description).joined(separator: " ") == expected)
    }

    @Test("values are gone when the function has returned")
    func kept() throws {
        let helper = try FunctionHelper.script(
            "let old; export function reduce(key, values, emit) { if (old) [...old]; old = values }",
            .reduce
        )
        let fault = functionFault { _ = try helper.reduce(JavaScriptValuesTests.batches) }
        #expect(fault?.message.contains("values were read after the function had returned") == true)
        #expect(fault?.line == 1)
    }

    @Test("values have no length, and say so")
    func length() throws {
        let helper = try FunctionHelper.script(
            "export function reduce(key, values, emit) { emit(key, values.length) }",
            .reduce
        )
        let fault = functionFault { _ = try helper.reduce(JavaScriptValuesTests.batches) }
        #expect(fault?.message.contains("has no length") == true)
        #expect(fault?.excerpt == Array("a".utf8))
    }

    @Test("Keys that differ only in malformed bytes are two keys")
    func malformedKeys() throws {
        let helper = try FunctionHelper.script(
            "export function reduce(key, values, emit) { emit(key, [...values].length) }",
            .reduce
        )
        let pairs = try helper.reduce([[Pair([0xfe], nil), Pair([0xff], nil)]])
        #expect(pairs == [Pair("\u{fffd}", "1"), Pair("\u{fffd}", "1")])
    }

    @Test("A key with millions of values is read in little memory")
    func hugeKey() throws {
        let helper = try FunctionHelper.script(
            "export function reduce(key, values, emit) { let n = 0; for (const v of values) n += v.length; emit(key, n) }",
            .reduce,
            limits: FunctionLimits(memoryByteCount: 200 << 20)
        )
        let batch = FunctionHelper.packed(Array(repeating: Pair("key", "0123456789"), count: 10_000))
        let pairs = try helper.attempt(.reduce) { () throws(FunctionProcess.Fault) in
            for _ in 0..<300 { try helper.send(.input, batch) }
        }
        #expect(pairs == [Pair("key", "30000000")])
    }

    @Test("Values left unread are passed over")
    func unread() throws {
        let helper = try FunctionHelper.script(
            "export function reduce(key, values, emit) { for (const v of values) { emit(key, v); break } }",
            .reduce
        )
        let many = Array(repeating: Pair("a", "x"), count: 20_000)
        #expect(try helper.reduce([many, many, [Pair("b", "y")]]) == [Pair("a", "x"), Pair("b", "y")])
    }

    @Test("A file that was checked for no job takes the roles, arguments and limits of the job that names it")
    func preparedAgain() throws {
        let helper = try FunctionHelper.script(
            """
            if (args.word === "bad") throw new Error("no such word");
            function map(key, value, emit) { if (value === "x") throw new Error("x"); emit(args.word, value); }
            """,
            []
        )
        try helper.prepareAgain {
            $0.roles = .map; $0.arguments = [("word", "w")]; $0.skipLimit = 1
        }
        #expect(helper.readiness.roles == .map)
        #expect(try helper.map("a\nx\nb\n") == [Pair("w", "a"), Pair("w", "b")])
        #expect(helper.skipped.count == 1)
        #expect(
            fault { try helper.prepareAgain { $0.arguments = [("word", "bad")] } }?.message
                == "Error: no such word"
        )
        #expect(!helper.process.isUsable)
    }

    @Test("A file that was checked for no job is refused for a job that wants more of it")
    func preparedForMissingRole() throws {
        let helper = try FunctionHelper.script("function map(key, value, emit) {}", [])
        let refusal = fault { try helper.prepareAgain { $0.roles = .reduce } }
        #expect(refusal?.code == .invalid)
        #expect(refusal?.message.hasPrefix("the file has no function reduce") == true)
    }

    @Test(
        "A file that replaces ArrayBuffer has no hand on what is emitted as bytes",
        arguments: ["last.transfer();", "last.resize(8);"]
    )
    func replacedArrayBuffer(meddling: String) throws {
        let helper = try FunctionHelper.script(
            """
            const Own = ArrayBuffer; let last = new Own(16, { maxByteLength: 1 << 20 });
            globalThis.ArrayBuffer = function (n) { return last = new Own(n, { maxByteLength: 1 << 20 }); };
            export const encoding = "bytes";
            export function map(key, value, emit) {
                emit("k", new Uint8Array(10000).fill(67));
                \(meddling)
            }
            """
        )
        #expect(try helper.map("a") == [Pair(Array("k".utf8), [UInt8](repeating: 67, count: 10_000))])
    }
}
