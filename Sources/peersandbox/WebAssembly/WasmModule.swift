/// What a WebAssembly module takes and gives, read from its binary form (WebAssembly core specification, chapter 5).
///
/// Only what the interface of functions is about; the engine validates the rest.
struct WasmModule {
    enum ValueType: UInt8 {
        case i32 = 0x7f
        case i64 = 0x7e
        case f32 = 0x7d
        case f64 = 0x7c
        case other = 0
    }

    struct FunctionType: Equatable, CustomStringConvertible {
        var parameters: [ValueType]
        var results: [ValueType]

        init(_ parameters: [ValueType], _ results: [ValueType] = []) {
            self.parameters = parameters
            self.results = results
        }

        var description: String {
            let list = { (types: [ValueType]) in types.map { "\($0)" }.joined(separator: ", ") }
            return "(\(list(parameters)))" + (results.isEmpty ? "" : " -> \(list(results))")
        }
    }

    enum Item: Equatable {
        case function(FunctionType)
        case memory
        case table, global, tag
    }

    struct Import {
        let module: String
        let name: String
        let item: Item
    }

    /// One page of memory in bytes.
    static let pageByteCount: UInt64 = 64 << 10

    private(set) var imports: [Import] = []
    private(set) var exports: [String: Item] = [:]
    /// Pages that the module's own memory has at first.
    private(set) var initialPageCount: UInt64 = 0

    private var types: [FunctionType] = []
    /// Types of all functions, the imported first.
    private var functions: [FunctionType] = []

    /// Reads a module; `nil` when it is malformed.
    init?(_ bytes: [UInt8]) {
        var reader = WasmReader(bytes[...])
        guard reader.take(8).map(Array.init) == [0, 0x61, 0x73, 0x6d, 1, 0, 0, 0] else { return nil }
        while !reader.isAtEnd {
            guard let section = reader.byte(), let count = reader.number(), let body = reader.take(count)
            else {
                return nil
            }
            var inner = WasmReader(body)
            guard [1, 2, 3, 5, 7].contains(section) else { continue }
            guard let elementCount = inner.number() else { return nil }
            for _ in 0..<elementCount {
                guard readElement(of: section, &inner) != nil else { return nil }
            }
        }
    }

    private mutating func readElement(of section: UInt8, _ reader: inout WasmReader) -> Void? {
        switch section {
        case 1: reader.functionType().map { types.append($0) }
        case 2: readImport(&reader).map { imports.append($0) }
        case 3: reader.number().map { functions.append(type($0)) }
        case 5:
            reader.limits().map {
                let (sum, isTooLarge) = initialPageCount.addingReportingOverflow($0)
                initialPageCount = isTooLarge ? .max : sum
            }
        default: readExport(&reader)
        }
    }

    /// A type that no interface has stands for one that is not there.
    private func type(_ index: Int) -> FunctionType {
        types.indices.contains(index) ? types[index] : FunctionType([.other], [.other])
    }

    private mutating func readImport(_ reader: inout WasmReader) -> Import? {
        guard let module = reader.name(), let name = reader.name(), let kind = reader.byte() else {
            return nil
        }
        switch kind {
        case 0:
            guard let index = reader.number() else { return nil }
            functions.append(type(index))
            return Import(module: module, name: name, item: .function(type(index)))
        case 1:
            return reader.byte() != nil && reader.limits() != nil
                ? Import(module: module, name: name, item: .table) : nil
        case 2:
            return reader.limits().map { _ in Import(module: module, name: name, item: .memory) }
        case 3:
            return reader.take(2).map { _ in Import(module: module, name: name, item: .global) }
        case 4:
            return reader.byte() != nil && reader.number() != nil
                ? Import(module: module, name: name, item: .tag) : nil
        default:
            return nil
        }
    }

    private mutating func readExport(_ reader: inout WasmReader) -> Void? {
        guard let name = reader.name(), let kind = reader.byte(), let index = reader.number() else {
            return nil
        }
        switch kind {
        case 0:
            exports[name] = .function(
                functions.indices.contains(index) ? functions[index] : FunctionType([.other], [.other])
            )
        case 1: exports[name] = .table
        case 2: exports[name] = .memory
        case 3: exports[name] = .global
        default: exports[name] = .tag
        }
        return ()
    }
}

/// Reads the binary form; `nil` where it ends early.
struct WasmReader {
    private var bytes: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>) { self.bytes = bytes }

    var isAtEnd: Bool { bytes.isEmpty }

    mutating func byte() -> UInt8? { bytes.popFirst() }

    mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
        guard bytes.count >= count else { return nil }
        defer { bytes = bytes.dropFirst(count) }
        return bytes.prefix(count)
    }

    /// An unsigned LEB128 number of at most 64 bits.
    mutating func long() -> UInt64? {
        var number: UInt64 = 0
        for shift in stride(from: UInt64(0), to: 64, by: 7) {
            guard let byte = byte() else { return nil }
            number |= UInt64(byte & 0x7f) << shift
            if byte < 0x80 { return number }
        }
        return nil
    }

    /// A number of 32 bits.
    mutating func number() -> Int? { long().flatMap { $0 <= UInt32.max ? Int($0) : nil } }

    mutating func name() -> String? {
        number().flatMap { take($0) }.map { String(decoding: $0, as: UTF8.self) }
    }

    mutating func functionType() -> WasmModule.FunctionType? {
        guard byte() == 0x60, let parameters = valueTypes(), let results = valueTypes() else { return nil }
        return WasmModule.FunctionType(parameters, results)
    }

    private mutating func valueTypes() -> [WasmModule.ValueType]? {
        number().flatMap { take($0) }.map { $0.map { WasmModule.ValueType(rawValue: $0) ?? .other } }
    }

    /// Limits of a memory or table; returns the smallest size.
    mutating func limits() -> UInt64? {
        guard let flags = byte(), let minimum = long(), flags & 1 == 0 || long() != nil else { return nil }
        return minimum
    }
}
