import Engines
import FunctionProtocol
import PeerTestKit
import Testing

private typealias Pair = FunctionHelper.Pair

@Suite("WebAssembly functions", .enabled(if: BuiltHelper.path != nil))
struct WebAssemblyTests {
    private static let i32 = WasmText.i32
    private static let emit = ("mr", "emit", [i32, i32], []) as (String, String, [UInt8], [UInt8])

    private static func helper(
        _ bytes: [UInt8],
        roles: FunctionRoles = .map,
        skipLimit: UInt64 = 0,
        limits: FunctionLimits = FunctionLimits()
    ) throws -> FunctionHelper {
        try FunctionHelper(
            .webAssembly,
            bytes,
            roles: roles,
            name: "f.wasm",
            skipLimit: skipLimit,
            limits: limits
        )
    }

    /// Emits the pairs that it is given: `emit(pointer, length)`.
    private static let echo = WasmText.map(imports: [emit], [0x20, 0, 0x20, 1, 0x10, 0])

    @Test("A module gets what it is given in its own memory, and emits from there")
    func echoed() throws {
        let helper = try WebAssemblyTests.helper(WebAssemblyTests.echo.bytes)
        #expect(
            helper.readiness == Readiness(roles: .map, usesPosition: false, missing: helper.readiness.missing)
        )
        #expect(try helper.map("a\\tb\tx\nq\n", .kv) == [Pair("a\tb", "x"), Pair("q")])
    }

    @Test("Memory that may lie on large pages is empty at first, all of it can be used, and it grows")
    func largeMemory() throws {
        var module = WebAssemblyTests.echo
        // 7 MiB: two large pages at least, wherever it begins.
        module.memoryPages = 112
        // A trap unless the word at 4 MiB is 0 and memory.grow(16) gives what follows; then 1 at 4 MiB and in the last page.
        module.functions[2].code =
            [0x41, 0x80, 0x80, 0x80, 0x02, 0x28, 2, 0, 0x04, 0x40, 0x00, 0x0b]
            + [0x41, 16, 0x40, 0, 0x41, 0xf0, 0x00, 0x47, 0x04, 0x40, 0x00, 0x0b]
            + [0x41, 0x80, 0x80, 0x80, 0x02, 0x41, 1, 0x36, 2, 0]
            + [0x41, 0x80, 0x80, 0xfc, 0x03, 0x41, 1, 0x36, 2, 0]
            + module.functions[2].code
        let helper = try WebAssemblyTests.helper(module.bytes)
        // A second attempt has a memory of its own.
        for _ in 0..<2 { #expect(try helper.map("a\tx\n", .kv) == [Pair("a", "x")]) }
    }

    @Test("Reduce and combine get packed pairs batch by batch")
    func reduced() throws {
        var module = WebAssemblyTests.echo
        let two = [WasmText.i32, WasmText.i32]
        for name in ["mr_reduce", "mr_combine"] {
            module.functions.append(.init(name: name, parameters: two, code: [0x20, 0, 0x20, 1, 0x10, 0]))
        }
        let helper = try WebAssemblyTests.helper(module.bytes, roles: [.map, .combine, .reduce])
        let batches = [[Pair("a", "1"), Pair("a")], [Pair("a", "2"), Pair("b", "")]]
        #expect(try helper.reduce(batches) == batches.flatMap { $0 })
        #expect(try helper.reduce(batches, .combine) == batches.flatMap { $0 })
    }

    @Test("A module that was checked for no job takes the arguments of the job that names it")
    func preparedAgain() throws {
        var module = WebAssemblyTests.echo
        // mr_setup fails when it is given arguments that are not of 11 bytes: a pair of 8 and `a` with `bc`.
        module.functions.append(
            .init(
                name: "mr_setup",
                parameters: [WasmText.i32, WasmText.i32],
                code: [0x20, 1, 0x45, 0x20, 1, 0x41, 11, 0x46, 0x72, 0x45, 0x04, 0x40, 0x00, 0x0b]
            )
        )
        let helper = try WebAssemblyTests.helper(module.bytes, roles: [])
        try helper.prepareAgain {
            $0.roles = .map; $0.arguments = [("a", "bc")]
        }
        #expect(try helper.map("k\tv\n", .kv) == [Pair("k", "v")])
        #expect(fault { try helper.prepareAgain { $0.arguments = [("a", "bcd")] } }?.code == .invalid)
    }

    @Test("Each attempt has an instance of its own")
    func freshState() throws {
        // mr_map: memory[0] += 1, then a pair whose key has one byte, that count.
        let code: [UInt8] =
            [0x41, 0, 0x41, 0, 0x2d, 0, 0, 0x41, 1, 0x6a, 0x3a, 0, 0]  // i32.store8(0, load8(0) + 1)
            + [0x41, 16, 0x41, 1, 0x36, 2, 0, 0x41, 20, 0x41, 0x7f, 0x36, 2, 0]  // head at 16: 1, none
            + [0x41, 24, 0x41, 0, 0x2d, 0, 0, 0x3a, 0, 0, 0x41, 16, 0x41, 9, 0x10, 0]
        let helper = try WebAssemblyTests.helper(WasmText.map(imports: [WebAssemblyTests.emit], code).bytes)
        for _ in 0..<3 { #expect(try helper.map("x") == [Pair([1], nil)]) }
    }

    @Test("A module goes on while the engine compiles what is hot in it")
    func compiledMeanwhile() throws {
        // 100,000 times around a loop, then what `echo` does.
        let code: [UInt8] =
            [0x41, 0xa0, 0x8d, 0x06, 0x21, 2, 0x03, 0x40, 0x20, 2, 0x41, 1, 0x6b, 0x22, 2, 0x0d, 0, 0x0b]
            + [0x20, 0, 0x20, 1, 0x10, 0]
        for _ in 0..<4 {
            let module = WasmText.map(imports: [WebAssemblyTests.emit], code)
            let helper = try WebAssemblyTests.helper(module.bytes)
            for _ in 0..<20 { #expect(try helper.map("a\tb\n", .kv) == [Pair("a", "b")]) }
        }
    }

    @Test("Random numbers depend on the seed alone")
    func random() throws {
        let code: [UInt8] =
            [0x41, 16, 0x41, 8, 0x36, 2, 0, 0x41, 20, 0x41, 0x7f, 0x36, 2, 0]
            + [0x41, 24, 0x10, 1, 0x37, 3, 0, 0x41, 16, 0x41, 16, 0x10, 0]
        let imports = [WebAssemblyTests.emit, ("mr", "random", [], [WasmText.i64])]
        let helper = try WebAssemblyTests.helper(WasmText.map(imports: imports, code).bytes)
        let first = try helper.map("x", seed: [1])
        #expect(first.first?.key.count == 8)
        #expect(try helper.map("x", seed: [1]) == first)
        #expect(try helper.map("x", seed: [2]) != first)
    }

    @Test("A map that asks where its input lies depends on it")
    func usesPosition() throws {
        for item in [
            ("input_name", [WasmText.i32, WasmText.i32], WasmText.i32), ("input_offset", [], WasmText.i64),
        ] {
            let module = WasmText.map(imports: [("mr", item.0, item.1, [item.2])], [])
            #expect(try WebAssemblyTests.helper(module.bytes).readiness.usesPosition)
        }
    }

    @Test("A map is told the name of each input byte for byte, also of two that look the same")
    func inputNames() throws {
        let inputName = ("mr", "input_name", [WasmText.i32, WasmText.i32], [WasmText.i32])
        // A pair at 32: its key is the name, which is written to 40; it has no value.
        let code: [UInt8] =
            [0x41, 40, 0x41, 32, 0x10, 1, 0x21, 1, 0x41, 32, 0x20, 1, 0x36, 2, 0]
            + [0x41, 36, 0x41, 0x7f, 0x36, 2, 0, 0x41, 32, 0x20, 1, 0x41, 8, 0x6a, 0x10, 0]
        let module = WasmText.map(imports: [WebAssemblyTests.emit, inputName], code)
        let helper = try WebAssemblyTests.helper(module.bytes)
        let names = ["caf\u{e9}", "cafe\u{301}"]
        for _ in 0..<2 {
            let pairs = try helper.attempt(.map) { () throws(FunctionProcess.Fault) in
                for name in names {
                    let head = RecordChunk(format: .lines, input: name, offset: 0, bytes: []).head
                    try helper.send(.records, head: head, Array("x\n".utf8))
                }
            }
            #expect(pairs == names.map { Pair(Array($0.utf8), nil) })
        }
    }

    struct Invalid: Sendable, CustomTestStringConvertible {
        let testDescription: String
        let bytes: [UInt8]
        let message: String

        init(_ name: String, _ bytes: [UInt8], _ message: String) {
            testDescription = name
            self.bytes = bytes
            self.message = message
        }
    }

    private static func without(_ name: String) -> [UInt8] {
        var module = echo
        module.functions = module.functions.map {
            $0.name == name
                ? .init(name: nil, parameters: $0.parameters, results: $0.results, code: $0.code) : $0
        }
        return module.bytes
    }

    private static var invalidModules: [Invalid] {
        var hidden = echo
        hidden.exportsMemory = false
        var huge = echo
        huge.memoryPages = 60_000
        var other = echo
        other.functions[0].name = "mr_abi_2"
        var wrongType = echo
        wrongType.functions[2].parameters = [WasmText.i64, WasmText.i32, WasmText.i32]
        wrongType.functions[2].code = []
        var untyped = echo
        untyped.functions[2].code = [0x20, 9, 0x1a]
        let wasi = WasmText.map(imports: [("wasi_snapshot_preview1", "fd_write", [i32], [i32])], [])
        let misspelt = WasmText.map(imports: [("mr", "emitt", [i32, i32], [])], [])
        let wrongImport = WasmText.map(imports: [("mr", "emit", [i32], [])], [])
        var starts = echo
        starts.functions.append(.init(name: "_initialize", code: [0x00]))
        var emitsEarly = WasmText.map(imports: [emit], [])
        emitsEarly.functions.append(.init(code: [0x41, 0, 0x41, 0, 0x10, 0]))
        emitsEarly.start = emitsEarly.functions.count - 1
        let countless: [UInt8] = [0] + [UInt8](repeating: 0xff, count: 9) + [1]
        let magic: [UInt8] = [0, 0x61, 0x73, 0x6d]
        return [
            Invalid("no bytes", [], "the module has no bytes"),
            Invalid("only the magic", magic, "no WebAssembly module"),
            Invalid("a cut module", Array(echo.bytes.dropLast(3)), "no WebAssembly module"),
            Invalid("another binary version", magic + [2, 0, 0, 0], "no WebAssembly module"),
            Invalid("an empty module", magic + [1, 0, 0, 0], "does not export its memory"),
            Invalid("hidden memory", hidden.bytes, "does not export its memory"),
            Invalid(
                "huge memory",
                huge.bytes,
                "60000 pages of 64 KiB at first; the limit on memory is 512 MiB"
            ),
            Invalid(
                "another ABI",
                other.bytes,
                "another version of the interface, mr_abi_2; this is mr_abi_1"
            ),
            Invalid("no ABI", without("mr_abi_1"), "does not export the function mr_abi_1()"),
            Invalid("no buffer", without("mr_buffer"), "does not export the function mr_buffer(i32) -> i32"),
            Invalid("no map", without("mr_map"), "does not export the function mr_map(i32, i32, i32)"),
            Invalid("a map of another type", wrongType.bytes, "exports mr_map as a function (i64, i32, i32)"),
            Invalid(
                "imports of a system",
                wasi.bytes,
                "imports wasi_snapshot_preview1.fd_write, which is not here"
            ),
            Invalid("an import that is not there", misspelt.bytes, "imports mr.emitt, which is not here"),
            Invalid(
                "an import of another type",
                wrongImport.bytes,
                "imports mr.emit as a function (i32); it is (i32, i32)"
            ),
            Invalid("code that is not valid", untyped.bytes, "CompileError"),
            Invalid("a trap at the start", starts.bytes, "Unreachable code"),
            Invalid(
                "a start function that emits",
                emitsEarly.bytes,
                "emit was called before the module's start function had ended"
            ),
            Invalid(
                "memories of more pages than can be counted",
                magic + [1, 0, 0, 0, 5, 23, 2] + countless + countless,
                "does not export its memory"
            ),
        ]
    }

    @Test("A module that is no function is refused, and it is said why", arguments: invalidModules)
    func invalid(_ invalid: Invalid) throws {
        let fault = functionFault { _ = try WebAssemblyTests.helper(invalid.bytes) }
        #expect(fault?.code == .invalid)
        #expect(fault?.message.contains(invalid.message) == true, "\(String(describing: fault))")
    }

    @Test("A module over the limit on its size is refused with the limit named")
    func tooLarge() {
        let module = [UInt8](repeating: 0, count: (60 << 20) + 1)
        let fault = functionFault { _ = try WebAssemblyTests.helper(module) }
        #expect(fault?.message == "the module has 62914561 bytes; the limit is 62914560 bytes")
    }

    @Test("Pointers outside of the memory are refused")
    func pointers() throws {
        let far: [UInt8] = [0x41, 0x7f, 0x41, 8, 0x10, 0]  // emit(-1, 8)
        let emits = try WebAssemblyTests.helper(WasmText.map(imports: [WebAssemblyTests.emit], far).bytes)
        #expect(
            functionFault { _ = try emits.map("x") }?.message
                == "emit: 8 bytes at 4294967295 lie outside of the memory, which has 65536 bytes"
        )
        let buffer = try WebAssemblyTests.helper(WasmText.map(buffer: [0x41, 0x7f], []).bytes)
        #expect(
            functionFault { _ = try buffer.map("xy") }?.message.contains(
                "mr_buffer(2): 2 bytes at 4294967295"
            ) == true
        )
        let none = try WebAssemblyTests.helper(WasmText.map(buffer: [0x41, 0], []).bytes)
        #expect(functionFault { _ = try none.map("xy") }?.message == "mr_buffer(2) gave no room")
        #expect(none.process.isUsable)
    }

    @Test(
        "Emitted bytes that are no pairs are refused, with the function and the record",
        arguments: [0, 1] as [UInt64]
    )
    func halfPairs(skipLimit: UInt64) throws {
        let helper = try WebAssemblyTests.helper(WebAssemblyTests.echo.bytes, skipLimit: skipLimit)
        let records =
            skipLimit > 0 ? "skipped, as no pair\nthese are no pairs" : "these are no pairs\nnor is this"
        let fault = functionFault { _ = try helper.map(records, offset: 7) }
        #expect(fault?.message == "emit was given bytes that are no packed pairs")
        #expect(fault?.stack == "at function 3")
        #expect(fault?.offset == (skipLimit > 0 ? 27 : 7))
        #expect(fault?.excerpt == Array("these are no pairs".utf8))
        #expect(try helper.map("a\tb\n", .kv) == [Pair("a", "b")])
    }

    @Test("A module that fails without words is told to have done so", arguments: [0, 8] as [UInt8])
    func wordless(count: UInt8) throws {
        let fail = ("mr", "fail", [WasmText.i32, WasmText.i32], []) as (String, String, [UInt8], [UInt8])
        // Zeros, which nobody has written to.
        let module = WasmText.map(imports: [fail], [0x41, 0x80, 0x80, 0x02, 0x41, count, 0x10, 0])
        let helper = try WebAssemblyTests.helper(module.bytes)
        let fault = functionFault { _ = try helper.map("x") }
        #expect(fault?.message == "the function called fail without a message")
        #expect(fault?.stack == "at function 3")
    }

    /// Traps on records that begin with `!`, and else emits the pair at 16, whose key is the record's first byte.
    private static let picky = WasmText.map(
        imports: [emit],
        [0x20, 0, 0x2d, 0, 0, 0x41, 0x21, 0x46, 0x04, 0x40, 0x00, 0x0b]
            + [0x41, 16, 0x41, 1, 0x36, 2, 0, 0x41, 20, 0x41, 0x7f, 0x36, 2, 0]
            + [0x41, 24, 0x20, 0, 0x2d, 0, 0, 0x3a, 0, 0, 0x41, 16, 0x41, 9, 0x10, 0]
    )

    @Test("A trap tells the function and the record")
    func trap() throws {
        let helper = try WebAssemblyTests.helper(WebAssemblyTests.picky.bytes)
        let fault = functionFault { _ = try helper.map("!bad\nb", offset: 7) }
        #expect(fault?.code == .threw)
        #expect(fault?.message == "RuntimeError: Unreachable code should not be executed")
        #expect(fault?.stack.isEmpty == false)
        #expect(fault?.input == "in.txt")
        #expect(fault?.offset == 7)
        #expect(fault?.excerpt == Array("!bad".utf8))
        #expect(try helper.map("b") == [Pair("b")])
    }

    @Test("Records on which a module traps are skipped up to the limit, in a fresh instance")
    func skipping() throws {
        let helper = try WebAssemblyTests.helper(WebAssemblyTests.picky.bytes, skipLimit: 2)
        #expect(try helper.map("a\n!b\nc\n!d\ne") == [Pair("a"), Pair("c"), Pair("e")])
        #expect(helper.skipped.map(\.offset) == [2, 7])
        #expect(helper.skipped.map(\.excerpt) == [Array("!b".utf8), Array("!d".utf8)])
        #expect(functionFault { _ = try helper.map("!a\n!b\n!c") }?.offset == 6)
    }

    @Test("A load behind the end of the memory is a trap, also in code that checks no bounds")
    func outOfBounds() throws {
        // Byte after byte from the record on, for ever.
        let code: [UInt8] = [
            0x03, 0x40, 0x20, 0, 0x2d, 0, 0, 0x1a, 0x20, 0, 0x41, 1, 0x6a, 0x21, 0, 0x0c, 0, 0x0b,
        ]
        let helper = try WebAssemblyTests.helper(WasmText.map(code).bytes)
        for _ in 0..<30 {
            let fault = functionFault { _ = try helper.map("x") }
            #expect(fault?.code == .threw)
            #expect(fault?.message.contains("Out of bounds memory access") == true)
            #expect(helper.process.isUsable)
        }
    }

    @Test("Recursion without end is a fault of the function")
    func recursion() throws {
        let module = WasmText.map([0x20, 0, 0x20, 1, 0x20, 2, 0x10, 2])
        let helper = try WebAssemblyTests.helper(module.bytes)
        #expect(functionFault { _ = try helper.map("x") }?.message.contains("call stack") == true)
        #expect(helper.process.isUsable)
    }

    @Test("An endless loop ends at its limit")
    func endless() throws {
        let module = WasmText.map([0x03, 0x40, 0x0c, 0, 0x0b])
        let helper = try WebAssemblyTests.helper(module.bytes, limits: FunctionLimits(cpuMilliseconds: 200))
        #expect(functionFault { _ = try helper.map("x") }?.code == .limit)
    }

    @Test("Of a module that was killed the node knows the batch that it was at, of 32 KiB or so")
    func place() throws {
        // An endless loop where the first byte is `!`.
        let code: [UInt8] = [
            0x20, 0, 0x2d, 0, 0, 0x41, 0x21, 0x46, 0x04, 0x40, 0x03, 0x40, 0x0c, 0, 0x0b, 0x0b,
        ]
        let module = WasmText.map(code)
        let helper = try WebAssemblyTests.helper(module.bytes, limits: FunctionLimits(cpuMilliseconds: 200))
        let batch = String(repeating: String(repeating: "a", count: 1023) + "\n", count: 32)
        #expect(functionFault { _ = try helper.map(batch + "!\n" + batch, offset: 7) }?.code == .limit)
        #expect(helper.process.record?.frame == 1)
        #expect(helper.process.record?.offset == 7 + 32 * 1024)
    }

    @Test("A module that is killed at its end was at no record")
    func killedAtEnd() throws {
        var module = WasmText.map([])
        module.functions.append(
            .init(name: "mr_end", parameters: [WasmText.i32], code: [0x03, 0x40, 0x0c, 0, 0x0b])
        )
        let helper = try WebAssemblyTests.helper(module.bytes, limits: FunctionLimits(cpuMilliseconds: 200))
        #expect(functionFault { _ = try helper.map("a\n") }?.code == .limit)
        #expect(helper.process.record == nil)
    }

    @Test("Pairs come in pieces of 32 KiB or so, all of them")
    func pairPieces() throws {
        // Its memory has 64 KiB: all of them at once would find no room.
        let helper = try WebAssemblyTests.helper(WebAssemblyTests.echo.bytes)
        let keys = (0..<300).map { "\($0)" + String(repeating: "k", count: 300) }
        #expect(try helper.map(keys.map { $0 + "\tv\n" }.joined(), .kv) == keys.map { Pair($0, "v") })
    }

    @Test("A pair on which a module traps is shown as a line")
    func pairExcerpt() throws {
        let helper = try WebAssemblyTests.helper(WasmText.map([0x00]).bytes)
        let fault = functionFault { _ = try helper.map("key\tvalue\n", .kv) }
        #expect(fault?.excerpt == Array("key\tvalue".utf8))
    }

    @Test("Memory without end is stopped")
    func memory() throws {
        // loop: memory.grow(16), memory.fill(all of what is new), again
        let module = WasmText.map(
            [0x03, 0x40, 0x3f, 0, 0x41, 16, 0x74, 0x41, 0x80, 0x08, 0x41, 0x80, 0x80, 0x40]
                + [0x1a, 0x1a, 0x1a, 0x41, 16, 0x40, 0, 0x41, 0x7f, 0x46, 0x04, 0x40, 0x00, 0x0b]
                + [
                    0x3f, 0, 0x41, 16, 0x6b, 0x41, 16, 0x74, 0x41, 1, 0x41, 0x80, 0x80, 0xc0, 0, 0xfc, 0x0b,
                    0,
                ]
                + [0x0c, 0, 0x0b]
        )
        let helper = try WebAssemblyTests.helper(
            module.bytes,
            limits: FunctionLimits(memoryByteCount: 128 << 20)
        )
        #expect(functionFault { _ = try helper.map("x") }?.code == .limit)
    }
}
