import Testing

@testable import PeerNode

@Suite("Option table") struct OptionTableTests {
    private let table = OptionTable([
        .flag("recursive", "r", ""), .flag("quiet", "q", ""), .value("output", "o", "FILE", ""),
        .value("offset", nil, "N", ""),
    ])

    @Test("options and operands mix until --") func mixed() throws {
        let parsed = try table.parse(["a", "-rq", "b", "--output=x=y", "--", "-r"])
        #expect(parsed.operands == ["a", "b", "-r"])
        #expect(parsed.flag("recursive") && parsed.flag("quiet"))
        #expect(parsed.value("output") == "x=y")
    }

    @Test(
        "ways to give a value",
        arguments: [["-of"], ["-o", "f"], ["-rof"], ["--output", "f"], ["--out=f"]]
    )
    func values(arguments: [String]) throws {
        #expect(try table.parse(arguments).value("output") == "f")
    }

    @Test("a lone dash is an operand; a flag can be set false") func dash() throws {
        let parsed = try table.parse(["-", "--quiet=false"])
        #expect(parsed.operands == ["-"])
        #expect(!parsed.flag("quiet", default: true))
    }

    @Test("refused lines", arguments: [["--nope"], ["-x"], ["--o=1"], ["-o"], ["--output"], ["--quiet=3"]])
    func refused(arguments: [String]) {
        #expect(throws: UsageError.self) { try table.parse(arguments) }
    }

    @Test(
        "sizes",
        arguments: [
            ("64K", 65_536), ("1M", 1_048_576), ("2GiB", 2_147_483_648), ("10GB", 10_000_000_000), ("7", 7),
        ]
    )
    func sizes(text: String, bytes: UInt64) {
        #expect(ByteSize.parse(text) == bytes)
    }

    @Test("no sizes", arguments: ["", "K", "-1", "1X", "1KiBs", "99999999999999999999", "9000000T"])
    func noSizes(text: String) { #expect(ByteSize.parse(text) == nil) }

    @Test("settings file") func settings() throws {
        let text = "slots = 3 # three\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nstore-limit = 1GiB\n"
        let settings = try NodeSettings.parse(text, file: "c")
        #expect(settings.slots == 3 && settings.storeLimit == 1 << 30)
        #expect(settings.listen == ["/ip4/127.0.0.1/tcp/0"])
        #expect(throws: NodeError(.invalidArgument, "c, line 1: not «key = value»")) {
            try NodeSettings.parse("slots", file: "c")
        }
    }
}

@Suite("Spelling") struct SpellingTests {
    @Test(
        "a slip of the fingers finds the word that was meant",
        arguments: [
            ("rnu", "run"), ("blokc", "block"), ("staus", "status"), ("dgag", "dag"), ("xyzzy", nil),
            ("", nil),
        ] as [(String, String?)]
    )
    func nearest(word: String, meant: String?) {
        #expect(Spelling.nearest(to: word, among: ["run", "block", "status", "dag"]) == meant)
    }
}
