import FunctionProtocol
import Glibc
import PeerTestKit
import Testing

private typealias Pair = FunctionHelper.Pair

/// The examples in C and Swift, built with the toolchain that builds the tests.
private enum Examples {
    static let folder =
        String(#filePath.dropLast("Tests/SandboxTests/ExampleTests.swift".count))
        + "Examples"

    /// Where they were built, beside the helper; `nil` when this machine cannot build them.
    static let built: String? = {
        guard let helper = BuiltHelper.path, let slash = helper.lastIndex(of: "/") else { return nil }
        let path = helper[..<slash] + "/examples"
        return system("make -s -C '\(folder)' BUILD='\(path)' >/dev/null 2>&1") == 0 ? String(path) : nil
    }()

    static func bytes(_ path: String) throws -> [UInt8] {
        let file = open(path, O_RDONLY | O_CLOEXEC)
        try #require(file >= 0, "\(path)")
        defer { close(file) }
        let count = Int(lseek(file, 0, SEEK_END))
        return [UInt8](unsafeUninitializedCapacity: count) { buffer, read in
            read = max(0, pread(file, buffer.baseAddress, count, 0))
        }
    }

    /// A word count in each language.
    static let wordCounts: [(engine: EngineKind, file: @Sendable () -> String)] = [
        (.javaScript, { "\(folder)/javascript/wc.js" }),
        (.webAssembly, { "\(built ?? "")/wordcount-c.wasm" }),
        (.webAssembly, { "\(built ?? "")/wordcount-swift.wasm" }),
    ]

    static func helper(_ name: String, _ roles: FunctionRoles) throws -> FunctionHelper {
        try FunctionHelper(.webAssembly, try bytes("\(built ?? "")/\(name).wasm"), roles: roles, name: name)
    }
}

@Suite("Examples of functions", .enabled(if: Examples.built != nil))
struct ExampleTests {
    @Test("Word counts in JavaScript, C and Swift agree with a count made here")
    func wordCounts() throws {
        let words =
            (0..<5000).map { "w\($0 * $0 % 701)" } + [
                "\u{e9}t\u{e9}", "a", String(repeating: "long", count: 30),
            ]
        var text: [UInt8] = []
        for (index, word) in words.enumerated() {
            text += Array(word.utf8) + [index % 7 == 0 ? 0x0a : index % 5 == 0 ? 0x09 : 0x20]
        }
        text += [0xff, 0x20, 0x20, 0x0d, 0x0a]
        var expected: [[UInt8]: Int] = [:]
        for word in text.split(whereSeparator: { $0 == 0x20 || 0x09...0x0d ~= $0 }) {
            expected[Array(word), default: 0] += 1
        }
        for (engine, file) in Examples.wordCounts {
            let program = try Examples.bytes(file())
            let helper = try FunctionHelper(engine, program, roles: [.map, .combine, .reduce], name: "wc")
            let mapped = try helper.map(text).sorted { $0.key.lexicographicallyPrecedes($1.key) }
            let half = mapped.count / 2
            let reduced = try helper.reduce([Array(mapped[..<half]), Array(mapped[half...])])
            let counts = reduced.map { ($0.key, Int(String(decoding: $0.value ?? [], as: UTF8.self)) ?? 0) }
            #expect(Dictionary(counts, uniquingKeysWith: +) == expected, "\(file())")
            #expect(reduced.count == expected.count, "\(file())")
            #expect(try helper.reduce([mapped], .combine) == reduced, "\(file())")
        }
    }

    @Test("A word count takes more words than a table of them has room for")
    func manyWords() throws {
        let words = (0..<120_000).map { "word-\($0 % 110_000)" }
        let text = Array(words.joined(separator: " ").utf8)
        for (engine, file) in Examples.wordCounts {
            let helper = try FunctionHelper(engine, try Examples.bytes(file()), roles: [.map], name: "wc")
            var counts: [[UInt8]: Int] = [:]
            for pair in try helper.map(text) {
                counts[pair.key, default: 0] += Int(String(decoding: pair.value ?? [], as: UTF8.self)) ?? 0
            }
            #expect(counts.count == 110_000, "\(file())")
            #expect(counts.filter { $0.value == 2 }.count == 10_000, "\(file())")
            #expect(counts.values.reduce(0, +) == 120_000, "\(file())")
        }
    }

    @Test("Status codes are counted by hour, and lines without one on a counter")
    func statusCodes() throws {
        let line = { (time: String, status: String) in
            "::1 - - [\(time) +0000] \"GET /a\\\"b HTTP/1.1\" \(status) 12 \"-\" \"curl\"\n"
        }
        let log = line("10/Oct/2000:13:55:36", "200") + line("02/Jan/2001:00:00:00", "404") + "no log\n"
        let helper = try Examples.helper("statuscodes-c", [.map, .reduce])
        #expect(try helper.map(log) == [Pair("2000-10-10T13 200", "1"), Pair("2001-01-02T00 404", "1")])
        #expect(
            helper.counters == [CounterIncrement(group: "log", name: "lines without a status", amount: 1)]
        )
        #expect(try helper.reduce([[Pair("k", "2"), Pair("k", "40")]]) == [Pair("k", "42")])
        #expect(
            functionFault { _ = try helper.reduce([[Pair("k", "4x")]]) }?.message == "a value is not a number"
        )
    }

    @Test("The longest line of each first word is kept")
    func longestLines() throws {
        let helper = try Examples.helper("longestlines-swift", [.map, .reduce])
        #expect(try helper.map("a b\n\nc d e\r\n", .crlf) == [Pair("a", "a b"), Pair("c", "c d e")])
        let pairs = [[Pair("a", "a b"), Pair("a", "a cc")], [Pair("a", "a"), Pair("b", "b")]]
        #expect(try helper.reduce(pairs) == [Pair("a", "a cc"), Pair("b", "b")])
    }
}
