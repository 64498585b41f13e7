import Engines
import FunctionProtocol
import PeerTestKit
import Testing

private typealias Pair = FunctionHelper.Pair

@Suite("JavaScript faults", .enabled(if: BuiltHelper.path != nil))
struct JavaScriptFaultTests {
    struct Invalid: Sendable, CustomTestStringConvertible {
        let text: String
        let message: String
        let line: UInt32
        var column: UInt32 = 0
        var testDescription: String { text }
    }

    @Test(
        "A file that is no function is refused where it is wrong",
        arguments: [
            Invalid(text: "\nfunction map( {", message: "SyntaxError", line: 2),
            Invalid(text: "let a;\n  let b = ;", message: "Unexpected token ';'", line: 2, column: 0),
            Invalid(text: "let a\n  let b = @", message: "SyntaxError", line: 2),
            Invalid(
                text: "export function map() {\n  return 1 +* 2\n}",
                message: "Unexpected token '*'",
                line: 2,
                column: 13
            ),
            Invalid(text: "import x from 'x'", message: "cannot import", line: 1, column: 1),
            Invalid(
                text: "let a;\n  export { a } from 'x'",
                message: "cannot export what is in another",
                line: 2,
                column: 3
            ),
            Invalid(
                text: "export * from 'x'",
                message: "cannot export what is in another",
                line: 1,
                column: 1
            ),
            Invalid(text: "export const mapp = 1", message: "no function map, combine or reduce", line: 0),
            Invalid(text: "", message: "the file is empty", line: 0),
            Invalid(text: "export function reduce() {}", message: "no function map;", line: 0),
            Invalid(text: "export const map = 'x'", message: "map is \"x\", not a function", line: 0),
            Invalid(text: "export async function map() {}", message: "map is asynchronous", line: 0),
            Invalid(text: "export function* map() {}", message: "generator", line: 0),
            Invalid(
                text: "export function map() {}\nexport const encoding = 'utf-16'",
                message: "encoding is \"utf-16\"",
                line: 0
            ),
            Invalid(
                text: "export function map() {}\n\n  throw new Error('at once')",
                message: "Error: at once",
                line: 3,
                column: 18
            ),
            Invalid(
                text: "export function map() {}; null.x",
                message: "TypeError: null is not an object",
                line: 1,
                column: 31
            ),
            Invalid(text: "export function map() {}; throw null", message: "threw null", line: 0),
        ]
    )
    func invalid(_ invalid: Invalid) throws {
        let fault = functionFault { _ = try FunctionHelper.script(invalid.text) }
        #expect(fault?.code == .invalid)
        #expect(fault?.message.contains(invalid.message) == true, "\(String(describing: fault))")
        #expect(fault?.line == invalid.line)
        if invalid.column > 0 { #expect(fault?.column == invalid.column) }
    }

    @Test("An error tells its place, the function's own stack, and the record")
    func place() throws {
        let helper = try FunctionHelper.script(
            """
            function parse(text) {
              return JSON.parse(text).a.b;
            }
            export function map(_, line, emit) {
              [line].forEach((text) => emit(parse(text)));
            }
            """
        )
        let fault = functionFault { _ = try helper.map("{\"a\":{\"b\":1}}\n{\"c\":2}\nx", offset: 1000) }
        #expect(fault?.code == .threw)
        #expect(fault?.message.hasPrefix("TypeError: undefined is not an object") == true)
        #expect(fault?.line == 2)
        #expect(fault?.column == 28)
        #expect(fault?.stack.split(separator: "\n").first == "at parse (f.js:2:28)")
        #expect(fault?.stack.split(separator: "\n").last == "at map (f.js:5:17)")
        #expect(fault?.input == "in.txt")
        #expect(fault?.offset == 1014)
        #expect(fault?.excerpt == Array("{\"c\":2}".utf8))
        #expect(helper.process.isUsable)
        #expect(try helper.map("{\"a\":{\"b\":1}}") == [Pair("1")])
    }

    @Test(
        "Odd values that are thrown have a message",
        arguments: [
            ("throw null", "threw null"), ("throw undefined", "threw undefined"), ("throw 1", "threw 1"),
            ("throw 'text'", "threw \"text\""), ("throw Symbol('s')", "threw Symbol(s)"),
            ("throw { a: 1 }", "threw {\"a\":1}"),
            (
                "throw { toString() { throw 1 }, toJSON() { throw 2 } }",
                "threw an object that cannot be shown"
            ),
            (
                "const p = Proxy.revocable({}, {}); p.revoke(); throw p.proxy",
                "threw an object that cannot be shown"
            ),
            (
                "throw new Proxy({}, { get() { throw 1 }, getPrototypeOf() { throw 2 } })",
                "threw an object that cannot be shown"
            ),
            (
                "const e = new Error('m'); Object.defineProperty(e, 'message', { get() { throw e } }); throw e",
                "threw an object that cannot be shown"
            ),
            ("const e = new Error('m'); e.stack = { length: 1e9 }; e.line = 'x'; throw e", "Error: m"),
            ("class Own extends Error { name = 'Own' }; throw new Own('m')", "Own: m"),
            ("const c = {}; c.c = c; throw c", "threw an object that cannot be shown"),
            ("throw () => {}", "threw a function"),
        ]
    )
    func oddValues(statement: String, message: String) throws {
        let helper = try FunctionHelper.script("export function map(_, v, emit) { \(statement) }")
        let fault = functionFault { _ = try helper.map("x") }
        #expect(fault?.code == .threw)
        #expect(fault?.message == message)
        #expect(fault?.excerpt == Array("x".utf8))
    }

    @Test("A huge message is cut")
    func hugeMessage() throws {
        let helper = try FunctionHelper.script("export function map() { throw new Error('x'.repeat(1e8)) }")
        let fault = functionFault { _ = try helper.map("x") }
        #expect((fault?.message.utf8.count ?? 0) < 20_000)
        #expect(fault?.message.hasPrefix("Error: xxx") == true)
    }

    @Test(
        "emit refuses what is no text, and says what to do",
        arguments: [
            ("emit('k', { a: 1 })", "value is an object: {\"a\":1}; use JSON.stringify"),
            ("emit(undefined, 1)", "this key is undefined"), ("emit(null)", "this key is null"),
            ("emit()", "this key is undefined"), ("emit('k', [1])", "value is an object: [1]"),
            ("emit(Symbol())", "key is a symbol"), ("emit('k', map)", "value is a function"),
            ("emit('k', new ArrayBuffer(1))", "value is an object"),
            ("emit('k', new Uint16Array(1))", "value is an object"),
        ]
    )
    func refusedValues(call: String, message: String) throws {
        let helper = try FunctionHelper.script("export function map(_, v, emit) {\n  \(call)\n}")
        let fault = functionFault { _ = try helper.map("x") }
        #expect(fault?.message.contains(message) == true, "\(String(describing: fault))")
        #expect(fault?.line == 2)
    }

    @Test("Recursion without end is an error like others")
    func recursion() throws {
        let helper = try FunctionHelper.script("export function map(_, v, emit) { map(v, v, emit) }")
        let fault = functionFault { _ = try helper.map("x") }
        #expect(fault?.message.hasPrefix("RangeError: Maximum call stack size exceeded") == true)
        #expect(fault?.line == 1)
        #expect(helper.process.isUsable)
    }

    @Test("A promise, and what is emitted from one, is an error and not a loss")
    func promises() throws {
        let returned = try FunctionHelper.script(
            "export const map = (_, v, emit) => Promise.resolve(v).then(emit)"
        )
        #expect(functionFault { _ = try returned.map("x") }?.message.contains("returned a promise") == true)
        let late = try FunctionHelper.script(
            "export function map(_, v, emit) { emit(v); Promise.resolve().then(() => emit('late')) }"
        )
        #expect(
            functionFault { _ = try late.map("x") }?.message.contains("after the function had returned")
                == true
        )
    }

    @Test(
        "A promise that is rejected and that nothing waits for is an error and not a loss",
        arguments: [
            ("go(v)", "(functions are synchronous): Error: no good"),
            ("Promise.reject('odd')", "threw \"odd\""),
            ("Promise.resolve().then(() => go(v))", "Error: no good"),
            ("import('fs')", "a promise was rejected"),
        ]
    )
    func rejections(statement: String, message: String) throws {
        let helper = try FunctionHelper.script(
            """
            async function go(v) { throw new Error("no good"); }
            export function map(_, v, emit) {
                emit(v);
                if (v === "bad") \(statement);
            }
            """
        )
        let fault = functionFault { _ = try helper.map("x\nbad\ny") }
        #expect(fault?.code == .threw)
        #expect(fault?.message.contains(message) == true, "\(String(describing: fault))")
        #expect(try helper.map("x") == [Pair("x")])
    }

    @Test("A rejection that the function catches is its own affair")
    func caughtRejection() throws {
        let helper = try FunctionHelper.script(
            "export function map(_, v, emit) { Promise.reject(v).catch(() => {}); emit(v) }"
        )
        #expect(try helper.map("x") == [Pair("x")])
    }

    @Test("Of a function that was killed the node knows the record that it was at")
    func placeOfKilled() throws {
        let helper = try FunctionHelper.script(
            "export function map(_, v, emit) { if (v === 'bad') /^(a+)+$/.test('a'.repeat(100) + 'b'); emit(v) }",
            limits: FunctionLimits(cpuMilliseconds: 200)
        )
        #expect(functionFault { _ = try helper.map("good\nbad\nbetter", offset: 7) }?.code == .limit)
        #expect(helper.process.record?.frame == 1)
        #expect(helper.process.record?.offset == 12)
    }

    @Test("Many records that take long, each and all values of a key, are progress without a word")
    func slowProgress() throws {
        let work = "let x = 0; for (let i = 0; i < 3000000; i++) x = (x * 31 + i) | 0;"
        let helper = try FunctionHelper.script(
            """
            function work() { \(work) return x & 0; }
            export function map(_, v, emit) { emit(v, work()); }
            export function reduce(key, values, emit) { let n = 0; for (const v of values) n += 1 + work(); emit(key, n); }
            """,
            [.map, .reduce],
            limits: FunctionLimits(stallMilliseconds: 500)
        )
        let records = (0..<200).map { "\($0)" }
        #expect(try helper.map(records.joined(separator: "\n")) == records.map { Pair($0, "0") })
        #expect(try helper.reduce([records.map { _ in Pair("key", "v") }]) == [Pair("key", "200")])
    }

    @Test("Records on which a function fails are skipped up to the limit, with what they emitted and counted")
    func skipping() throws {
        let text = """
            export function map(_, v, emit) {
              emit(v); counter("g", "n"); emit(v, new Uint8Array([1]));
              if (v === "bad") throw new Error("it is bad");
            }
            """
        let helper = try FunctionHelper.script(text, skipLimit: 2)
        let one = [1] as [UInt8]
        let expected = [Pair("a"), Pair([0x61], one), Pair("b"), Pair([0x62], one)]
        #expect(try helper.map("a\nbad\nb\nbad") == expected)
        #expect(helper.skipped.map(\.offset) == [2, 8])
        #expect(helper.skipped.first?.message == "Error: it is bad")
        #expect(helper.skipped.first?.line == 3)
        #expect(helper.counters == [CounterIncrement(group: "g", name: "n", amount: 2)])
        let fault = functionFault { _ = try helper.map("bad\na\nbad\nbad") }
        #expect(fault?.offset == 10)
        #expect(fault?.excerpt == Array("bad".utf8))
    }

    @Test("A record that emitted some thousands of pairs is skipped with all of them")
    func muchToTakeBack() throws {
        let helper = try FunctionHelper.script(
            """
            export function map(_, v, emit) {
              for (let i = 0; i < 4000; i++) emit(v, i);
              if (v === "bad") throw new Error("late");
            }
            """,
            skipLimit: 1
        )
        let pairs = try helper.map("a\nbad\nb")
        #expect(pairs.count == 8000)
        #expect(!pairs.contains { $0.key == Array("bad".utf8) })
        #expect(helper.skipped.map(\.offset) == [2])
    }

    @Test("A record that emitted more than can be taken back is not skipped")
    func tooMuchToTakeBack() throws {
        let helper = try FunctionHelper.script(
            "export function map(_, v, emit) { for (let i = 0; i < 20000; i++) emit(v, i); throw new Error('late') }",
            skipLimit: 10
        )
        #expect(functionFault { _ = try helper.map("x\ny") }?.message == "Error: late")
    }

    @Test("More counters than there may be, and names that are none, are errors")
    func counters() throws {
        let many = try FunctionHelper.script(
            "export function map() { for (let i = 0; i < 2000; i++) counter('g', 'n' + i) }"
        )
        #expect(functionFault { _ = try many.map("x") }?.message.contains("more than 256 counters") == true)
        for call in [
            "counter('g', '')", "counter()", "counter('g')", "counter('g', 'n', 1.5)", "counter('g', {})",
            "counter('g', 'n', '1')",
        ] {
            let helper = try FunctionHelper.script("export function map() { \(call) }")
            #expect(
                functionFault { _ = try helper.map("x") }?.message.hasPrefix("TypeError: a counter") == true
            )
        }
    }

    @Test("A malformed kv record is told with its place")
    func malformedPair() throws {
        let helper = try FunctionHelper.script("export function map(k, v, emit) { emit(k, v) }")
        let fault = functionFault { _ = try helper.map("a\tb\nq\\x\n", .kv) }
        #expect(fault?.message.contains("an escape that does not exist") == true)
        #expect(fault?.offset == 4)
    }

    @Test("An endless loop ends at its limit")
    func endless() throws {
        let helper = try FunctionHelper.script(
            "export function map() { for (;;) ; }",
            limits: FunctionLimits(cpuMilliseconds: 200)
        )
        let fault = functionFault { _ = try helper.map("x") }
        #expect(fault?.code == .limit)
        #expect(!helper.process.isUsable)
    }

    @Test(
        "Memory without end is stopped",
        arguments: [
            "const all = []; for (;;) all.push(new Array(1000).fill({}));",
            "let s = 'x'; for (;;) s += s + 'y';", "for (let i = 0; ; i++) emit('k'.repeat(1e6) + i);",
            "const all = []; for (;;) all.push(new Uint8Array(1 << 24).fill(1));",
        ]
    )
    func memory(body: String) throws {
        let limits = FunctionLimits(memoryByteCount: 256 << 20, outputByteCount: 64 << 20)
        let helper = try FunctionHelper.script("export function map(_, v, emit) { \(body) }", limits: limits)
        let fault = functionFault { _ = try helper.map("x") }
        #expect(fault != nil)
    }

    /// What makes garbage, beside a few ten MiB that are kept.
    static let wasteful = [
        "for (let i = 0; i < 20000; i++) waste.push({ key: 'k' + i, value: [i, v] });",
        "let s = ''; for (let i = 0; i < 20000; i++) s += 'word' + i + ' '; waste.push(s.split(' '));",
        "for (let i = 0; i < 20; i++) waste.push(new Uint8Array(1 << 20).fill(i).length);",
        "for (let i = 0; i < 10; i++) waste.push(('x'.repeat(1 << 20) + i).toUpperCase().length);",
    ]

    @Test("Garbage is collected before it counts as memory without end", arguments: wasteful)
    func garbage(body: String) throws {
        let helper = try FunctionHelper.script(
            """
            const kept = new Map();
            for (let i = 0; i < 250000; i++) kept.set("key" + i, i);
            export function map(_, v, emit) { const waste = []; \(body) emit(kept.size) }
            """,
            limits: FunctionLimits(memoryByteCount: 160 << 20)
        )
        let records = String(repeating: "x\n", count: 100)
        #expect(try helper.map(records).count == 100)
        #expect(try helper.map(records).last == Pair("250000"))
    }

    @Test("What attempts leave behind does not add up")
    func manyAttempts() throws {
        let helper = try FunctionHelper.script(
            "const all = new Array(100000).fill(0).map((_, i) => ({ i })); export function map(_, v, emit) { emit(all.length) }",
            limits: FunctionLimits(memoryByteCount: 250 << 20)
        )
        for _ in 0..<150 { #expect(try helper.map("x") == [Pair("100000")]) }
    }

    @Test("A function that replaces what is built in harms itself at most")
    func replacedBuiltIns() throws {
        let helper = try FunctionHelper.script(
            """
            const names = Object.getOwnPropertyNames;
            const nothing = () => { throw new Error("replaced") };
            for (const type of [Array, String, Map, Function, RegExp, Symbol, Error, Promise]) {
              for (const name of names(type.prototype)) {
                if (name !== "constructor") try { type.prototype[name] = nothing } catch {}
              }
            }
            for (const object of [JSON, Reflect, Object, Math]) {
              for (const name of names(object)) try { object[name] = nothing } catch {}
            }
            Uint8Array.prototype.__proto__.set = nothing;
            globalThis.Uint8Array = globalThis.TypeError = globalThis.Array = nothing;
            export function map(key, v, emit) { emit(key, v); emit("é", 7); counter("g", "n"); console.log(v); }
            export function reduce(key, values, emit) { for (let v; !(v = values.next()).done;) emit(key, v.value) }
            """,
            [.map, .reduce]
        )
        #expect(try helper.map("x") == [Pair("in.txt:0", "x"), Pair("é", "7")])
        #expect(try helper.reduce([[Pair("k", "v"), Pair("k", "w")]]) == [Pair("k", "v"), Pair("k", "w")])
        #expect(helper.counters == [CounterIncrement(group: "g", name: "n", amount: 1)])
        #expect(helper.log == "x\n")
    }
}
