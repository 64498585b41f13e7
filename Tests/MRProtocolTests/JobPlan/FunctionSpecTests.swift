import MRProtocol
import Multiformats
import Testing

@Suite("User functions in a specification")
struct FunctionSpecTests {
    private static func spec() -> JobSpec {
        JobSpec(
            map: .command("python3 map.py"),
            combine: .file(CID.of([1], codec: .raw)),
            reduce: .builtIn("sum"),
            reduceCount: 3,
            recordFormat: .lines,
            inputs: [JobInput(name: "a", root: CID.of([2], codec: .raw))]
        )
    }

    private static func full() -> JobSpec {
        var spec = spec()
        spec.files = [
            JobFile(name: "map.py", root: CID.of([3], codec: .raw)),
            JobFile(name: "words.txt", root: CID.of([4], codec: .raw)),
        ]
        spec.skipBad = 7
        spec.limits.memoryByteCount = 64 << 20
        spec.limits.cpuMilliseconds = 0
        return spec
    }

    @Test func everythingSurvivesTheBlock() throws {
        for spec in [FunctionSpecTests.spec(), FunctionSpecTests.full()] {
            #expect(try JobSpec(decoding: spec.encoded()) == spec)
        }
    }

    /// CIDs that a dag-cbor encoder in Python gives; the first is what the specification had before there were files.
    @Test func blocksAreCanonical() {
        var spec = JobSpec(
            map: .builtIn("wc"),
            combine: .builtIn("sum"),
            reduce: .builtIn("sum"),
            reduceCount: 4,
            recordFormat: .words,
            inputs: [JobInput(name: "a", root: CID.of([2], codec: .raw))]
        )
        #expect(spec.cid.description == "bafyreieftpeilau6prhmf43ped5m5qajb6uh3pxhh6r42xbzqdv4jbbpke")
        spec.map = .command("python3 map.py")
        spec.files = [JobFile(name: "map.py", root: CID.of([3], codec: .raw))]
        spec.skipBad = 7
        spec.limits.memoryByteCount = 64 << 20
        #expect(spec.cid.description == "bafyreihipwsvecdkfbfpybmqo6wwfanj3kcbbsqbhept7623ddehlsem7q")
    }

    private static let changes: [(field: String, change: @Sendable (inout JobSpec) -> Void)] = [
        ("command", { $0.map = .command("") }),
        ("command", { $0.map = .command(String(repeating: "x", count: (64 << 10) + 1)) }),
        ("files", { $0.files.swapAt(0, 1) }),
        ("files", { $0.files[1].name = "map.py" }),
        ("files", { $0.files[0].name = "../map.py" }),
        ("files", { $0.files[0].name = ".profile" }),
        ("files", { $0.files[0].name = "" }),
        ("files", { $0.files[0].name = "a\nb" }),
        (
            "files",
            { spec in
                spec.files = (0..<257).map { JobFile(name: "f\(1_000 + $0)", root: spec.inputs[0].root) }
            }
        ),
        ("skipBad", { $0.skipBad = 1_000_000_001 }),
        ("limits", { $0.limits.outputPairCount = (1 << 53) + 1 }),
    ]

    @Test func whatIsOverALimitIsRefused() {
        for (field, change) in FunctionSpecTests.changes {
            var spec = FunctionSpecTests.full()
            change(&spec)
            #expect(throws: JobSpecFault.field(field)) { _ = try JobSpec(decoding: spec.encoded()) }
        }
    }

    @Test func defaultsThatAreSpelledOutAreRefused() throws {
        let fields = try #require(DagCBOR(decoding: FunctionSpecTests.spec().encoded()).entries)
        for (name, value) in [
            ("files", DagCBOR.array([])), ("skipBad", .unsigned(0)), ("limits", .map([:])),
            ("limits", .map(["speed": .unsigned(1)])),
        ] {
            let block = DagCBOR.map(fields.merging([name: value]) { $1 }).encoded()
            #expect(throws: JobSpecFault.field(name)) { _ = try JobSpec(decoding: block) }
        }
    }

    @Test func keysOfTasksFollowWhatTheOutputDependsOn() {
        let context = { (spec: JobSpec) in
            TaskKeyContext(mapsOf: spec, engineVersion: "1", usesPosition: false).digest
        }
        var seen: Set<[UInt8]> = [context(FunctionSpecTests.full())]
        for change: (inout JobSpec) -> Void in [
            { $0.map = .command("python3 other.py") }, { $0.map = .builtIn("python3 map.py") },
            { $0.combine = .file(CID.of([9], codec: .raw)) }, { $0.files[0].name = "a.py" },
            { $0.files[0].root = CID.of([9], codec: .raw) }, { $0.files = [] }, { $0.skipBad = 8 },
            { $0.arguments["n"] = "1" },
        ] {
            var spec = FunctionSpecTests.full()
            change(&spec)
            #expect(seen.insert(context(spec)).inserted)
        }
        var limited = FunctionSpecTests.full()
        limited.limits.cpuMilliseconds = 5
        #expect(seen.contains(context(limited)))
    }
}
