import FunctionProtocol

/// The interface between a WebAssembly function and its host, version 1: docs/wasm-abi.md.
enum WasmInterface {
    typealias FunctionType = WasmModule.FunctionType

    /// Largest module in bytes: it comes in one frame.
    static let maxModuleByteCount = 60 << 20

    /// Module of all imports.
    static let importModule = "mr"
    /// Exported by every function of this version; others end in another number.
    static let versionPrefix = "mr_abi_"
    static let version = "mr_abi_1"

    static let imports: [String: FunctionType] = [
        "emit": FunctionType([.i32, .i32]),
        "log": FunctionType([.i32, .i32]),
        "counter": FunctionType([.i32, .i32, .i32, .i32, .i64]),
        "fail": FunctionType([.i32, .i32]),
        "random": FunctionType([], [.i64]),
        "input_name": FunctionType([.i32, .i32], [.i32]),
        "input_offset": FunctionType([], [.i64]),
    ]
    /// A map that imports one of these depends on where a record lies.
    static let positionImports: Set<String> = ["input_name", "input_offset"]

    static let roles: [(role: FunctionRoles, name: String, type: FunctionType)] = [
        (.map, "mr_map", FunctionType([.i32, .i32, .i32])),
        (.combine, "mr_combine", FunctionType([.i32, .i32])),
        (.reduce, "mr_reduce", FunctionType([.i32, .i32])),
    ]
    private static let required: [(name: String, type: FunctionType)] = [
        (version, FunctionType([])), ("mr_buffer", FunctionType([.i32], [.i32])),
    ]
    private static let optional: [(name: String, type: FunctionType)] = [
        ("mr_setup", FunctionType([.i32, .i32])), ("mr_end", FunctionType([.i32])),
        ("_initialize", FunctionType([])),
    ]

    /// Checks a module against the interface.
    ///
    /// - Throws: `invalid`, saying what is wrong.
    static func check(_ program: [UInt8], _ preparation: Preparation) throws(FunctionFault) -> Readiness {
        guard program.count <= maxModuleByteCount else {
            throw invalid("the module has \(program.count) bytes; the limit is \(maxModuleByteCount) bytes")
        }
        guard let module = WasmModule(program) else {
            throw invalid(
                program.isEmpty
                    ? "the module has no bytes"
                    : "these bytes are no WebAssembly module, or only the front of one"
            )
        }
        try check(imports: module.imports)
        try checkMemory(module, preparation.limits)
        try checkVersion(module)
        for (name, type) in required { try check(module, name, type, isRequired: true) }
        for (name, type) in optional { try check(module, name, type, isRequired: false) }
        var found: FunctionRoles = []
        for (role, name, type) in roles {
            try check(module, name, type, isRequired: preparation.roles.contains(role))
            if module.exports[name] != nil { found.insert(role) }
        }
        if found.isEmpty { throw invalid("the module exports none of mr_map, mr_combine and mr_reduce") }
        let usesPosition = module.imports.contains { positionImports.contains($0.name) }
        return Readiness(roles: found, usesPosition: usesPosition)
    }

    private static func check(imports: [WasmModule.Import]) throws(FunctionFault) {
        for item in imports {
            guard item.module == importModule, let type = self.imports[item.name] else {
                throw invalid(
                    "the module imports \(item.module).\(item.name), which is not here; a function imports only "
                        + self.imports.keys.sorted().map { "\(importModule).\($0)" }.joined(separator: ", ")
                )
            }
            guard item.item == .function(type) else {
                throw invalid(
                    "the module imports \(item.module).\(item.name) as \(text(item.item)); it is \(type)"
                )
            }
        }
    }

    private static func checkMemory(_ module: WasmModule, _ limits: FunctionLimits) throws(FunctionFault) {
        guard module.exports["memory"] == .memory else {
            throw invalid("the module does not export its memory as `memory`")
        }
        let limit = limits.memoryByteCount
        let (byteCount, isTooLarge) = module.initialPageCount.multipliedReportingOverflow(
            by: WasmModule.pageByteCount
        )
        guard !isTooLarge, limit == 0 || byteCount <= limit else {
            throw invalid(
                "the module's memory has \(module.initialPageCount) pages of 64 KiB at first; the limit on memory is \(limit >> 20) MiB"
            )
        }
    }

    private static func checkVersion(_ module: WasmModule) throws(FunctionFault) {
        guard module.exports[version] == nil,
            let other = module.exports.keys.filter({ $0.hasPrefix(versionPrefix) }).min()
        else { return }
        throw invalid("the module is for another version of the interface, \(other); this is \(version)")
    }

    private static func check(
        _ module: WasmModule,
        _ name: String,
        _ type: FunctionType,
        isRequired: Bool
    ) throws(FunctionFault) {
        guard let item = module.exports[name] else {
            if isRequired { throw invalid("the module does not export the function \(name)\(type)") }
            return
        }
        guard item == .function(type) else {
            throw invalid("the module exports \(name) as \(text(item)); it must be a function \(type)")
        }
    }

    private static func text(_ item: WasmModule.Item) -> String {
        if case .function(let type) = item { "a function \(type)" } else { "a \(item)" }
    }

    private static func invalid(_ message: String) -> FunctionFault { FunctionFault(.invalid, message) }
}
