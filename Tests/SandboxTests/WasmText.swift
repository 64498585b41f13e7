/// Writes small WebAssembly modules, byte by byte as the specification has them.
struct WasmText {
    static let i32: UInt8 = 0x7f
    static let i64: UInt8 = 0x7e

    struct Function {
        var name: String?
        var parameters: [UInt8] = []
        var results: [UInt8] = []
        /// Instructions without the final `end`.
        var code: [UInt8] = []
    }

    var imports: [(module: String, name: String, parameters: [UInt8], results: [UInt8])] = []
    var functions: [Function] = []
    var memoryPages = 1
    var exportsMemory = true
    /// The function that runs when an instance is made, by its index behind the imports.
    var start: Int?

    /// A map that emits the first `emitted` bytes of what it was given, or runs `code`; input goes to `buffer`.
    static func map(
        imports: [(module: String, name: String, parameters: [UInt8], results: [UInt8])] = [],
        buffer: [UInt8] = [0x41, 0x80, 0x08],
        _ code: [UInt8]
    ) -> WasmText {
        WasmText(
            imports: imports,
            functions: [
                Function(name: "mr_abi_1"),
                Function(name: "mr_buffer", parameters: [i32], results: [i32], code: buffer),
                Function(name: "mr_map", parameters: [i32, i32, i32], code: code),
            ]
        )
    }

    var bytes: [UInt8] {
        var exports: [[UInt8]] = []
        for (index, function) in functions.enumerated() {
            if let name = function.name { exports.append(text(name) + [0] + number(imports.count + index)) }
        }
        if exportsMemory { exports.append(text("memory") + [2, 0]) }
        let types =
            imports.map { ($0.parameters, $0.results) } + functions.map { ($0.parameters, $0.results) }
        return [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0]
            + section(1, types.map { [0x60] + vector($0.0) + vector($0.1) })
            + section(2, imports.enumerated().map { text($1.module) + text($1.name) + [0] + number($0) })
            + section(3, functions.indices.map { number(imports.count + $0) })
            + section(5, [[0] + number(memoryPages)]) + section(7, exports)
            + (start.map { [8, 1] + number(imports.count + $0) } ?? [])
            + section(10, functions.map { [0] + $0.code + [0x0b] }.map { number($0.count) + $0 })
    }

    private func section(_ kind: UInt8, _ elements: [[UInt8]]) -> [UInt8] {
        guard !elements.isEmpty else { return [] }
        let body = number(elements.count) + elements.flatMap { $0 }
        return [kind] + number(body.count) + body
    }

    private func vector(_ types: [UInt8]) -> [UInt8] { number(types.count) + types }
    private func text(_ name: String) -> [UInt8] { number(name.utf8.count) + Array(name.utf8) }

    /// Unsigned LEB128.
    private func number(_ number: Int) -> [UInt8] {
        var left = number
        var bytes: [UInt8] = []
        repeat {
            bytes.append(UInt8(left & 0x7f) | (left > 0x7f ? 0x80 : 0))
            left >>= 7
        } while left > 0
        return bytes
    }
}
