/// A value of the IPLD data model, as dag-cbor carries it.
///
/// **Source** ipld dag-cbor; FORMATS section 9.
public indirect enum DagCBOR: Equatable, Sendable {
    case null
    case bool(Bool)
    /// An integer from 0 up.
    case unsigned(UInt64)
    /// The integer −1 − n.
    case negative(UInt64)
    case float(Double)
    case bytes([UInt8])
    case string(String)
    case array([DagCBOR])
    /// Entries in any order; encoding sorts them by key length, then bytewise.
    case map([String: DagCBOR])
    case link(CID)

    /// Deepest nesting of arrays and maps that is decoded.
    public static let maxDepth = 128

    /// An integer of either sign.
    public static func integer(_ value: Int64) -> DagCBOR {
        value >= 0 ? .unsigned(UInt64(value)) : .negative(UInt64(-1 - value))
    }

    /// The canonical block of this value.
    ///
    /// - Precondition: floats are finite.
    public func encoded() -> [UInt8] {
        var bytes: [UInt8] = []
        append(to: &bytes)
        return bytes
    }

    private func append(to bytes: inout [UInt8]) {
        switch self {
        case .null: bytes.append(0xf6)
        case .bool(let value): bytes.append(value ? 0xf5 : 0xf4)
        case .unsigned(let value): Self.appendHead(0, value, to: &bytes)
        case .negative(let value): Self.appendHead(1, value, to: &bytes)
        case .float(let value):
            precondition(value.isFinite, "dag-cbor has no \(value)")
            bytes.append(0xfb)
            for shift in stride(from: 56, through: 0, by: -8) {
                bytes.append(UInt8(truncatingIfNeeded: value.bitPattern >> UInt64(shift)))
            }
        case .bytes(let value): Self.appendString(2, value, to: &bytes)
        case .string(let value): Self.appendString(3, Array(value.utf8), to: &bytes)
        case .array(let values):
            Self.appendHead(4, UInt64(values.count), to: &bytes)
            for value in values { value.append(to: &bytes) }
        case .map(let entries):
            Self.appendHead(5, UInt64(entries.count), to: &bytes)
            let sorted = entries.map { (key: Array($0.key.utf8), value: $0.value) }
                .sorted { Self.precedes($0.key, $1.key) }
            for entry in sorted {
                Self.appendString(3, entry.key, to: &bytes)
                entry.value.append(to: &bytes)
            }
        case .link(let cid):
            bytes += [0xd8, 0x2a]
            Self.appendString(2, [0] + cid.bytes, to: &bytes)
        }
    }

    private static func appendString(_ major: UInt8, _ value: [UInt8], to bytes: inout [UInt8]) {
        appendHead(major, UInt64(value.count), to: &bytes)
        bytes += value
    }

    private static func appendHead(_ major: UInt8, _ value: UInt64, to bytes: inout [UInt8]) {
        let byteCount: Int
        switch value {
        case ..<24:
            bytes.append(major << 5 | UInt8(value))
            return
        case ..<0x100: (byteCount, _) = (1, bytes.append(major << 5 | 24))
        case ..<0x1_0000: (byteCount, _) = (2, bytes.append(major << 5 | 25))
        case ..<0x1_0000_0000: (byteCount, _) = (4, bytes.append(major << 5 | 26))
        default: (byteCount, _) = (8, bytes.append(major << 5 | 27))
        }
        for index in (0..<byteCount).reversed() {
            bytes.append(UInt8(truncatingIfNeeded: value >> UInt64(index * 8)))
        }
    }

    static func precedes(_ left: [UInt8], _ right: [UInt8]) -> Bool {
        left.count != right.count ? left.count < right.count : left.lexicographicallyPrecedes(right)
    }

    /// Every link in the value, in the order of the block.
    public var links: [CID] {
        switch self {
        case .link(let cid): [cid]
        case .array(let values): values.flatMap(\.links)
        case .map(let entries):
            entries.sorted { Self.precedes(Array($0.key.utf8), Array($1.key.utf8)) }.flatMap {
                $0.value.links
            }
        default: []
        }
    }
}

extension DagCBOR {
    /// Decodes a block that must be canonical, to the last byte.
    ///
    /// - Throws: `DagCBORFault` for anything that `encoded()` would have written otherwise.
    public init(decoding bytes: ArraySlice<UInt8>) throws(DagCBORFault) {
        var decoder = DagCBORDecoder(rest: bytes)
        self = try decoder.value(depth: 0)
        guard decoder.rest.isEmpty else { throw .trailingBytes(decoder.rest.count) }
    }

    /// The links of a block, in its order; also of one that is not canonical (key order, short forms, float width).
    public static func links(inBlock bytes: ArraySlice<UInt8>) throws(DagCBORFault) -> [CID] {
        var decoder = DagCBORDecoder(rest: bytes, isStrict: false)
        _ = try decoder.value(depth: 0)
        guard decoder.rest.isEmpty else { throw .trailingBytes(decoder.rest.count) }
        return decoder.links
    }

    /// Decodes a block that must be canonical, to the last byte.
    public init(decoding bytes: [UInt8]) throws(DagCBORFault) { try self.init(decoding: bytes[...]) }
}

/// Why a block is not canonical dag-cbor.
public enum DagCBORFault: Error, Equatable, Sendable {
    case truncated
    case trailingBytes(Int)
    case notShortest
    case indefiniteLength
    case tag(UInt64)
    case simpleValue(UInt8)
    case notFinite
    case utf8
    case keyNotString
    case keyOrder
    case depth(limit: Int)
    case link(CIDFault?)
}

private struct DagCBORDecoder {
    var rest: ArraySlice<UInt8>
    var isStrict = true
    private(set) var links: [CID] = []

    init(rest: ArraySlice<UInt8>, isStrict: Bool = true) {
        self.rest = rest
        self.isStrict = isStrict
    }

    mutating func value(depth: Int) throws(DagCBORFault) -> DagCBOR {
        guard depth <= DagCBOR.maxDepth else { throw .depth(limit: DagCBOR.maxDepth) }
        guard let first = rest.first else { throw .truncated }
        if first >> 5 == 7 { return try simple() }
        let (major, argument) = try head()
        switch major {
        case 0: return .unsigned(argument)
        case 1: return .negative(argument)
        case 2: return .bytes(Array(try take(argument)))
        case 3: return .string(try string(argument))
        case 4: return try array(argument, depth: depth)
        case 5: return try map(argument, depth: depth)
        default: return try link(tag: argument)
        }
    }

    private mutating func head() throws(DagCBORFault) -> (major: UInt8, argument: UInt64) {
        guard let first = rest.popFirst() else { throw .truncated }
        let major = first >> 5
        let info = first & 31
        guard info >= 24 else { return (major, UInt64(info)) }
        guard info < 28 else { throw .indefiniteLength }
        let value = try take(UInt64(1) << UInt64(info - 24)).reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
        let least: UInt64 = [24, 0x100, 0x1_0000, 0x1_0000_0000][Int(info) - 24]
        guard value >= least || !isStrict else { throw .notShortest }
        return (major, value)
    }

    private mutating func take(_ count: UInt64) throws(DagCBORFault) -> ArraySlice<UInt8> {
        guard count <= UInt64(rest.count) else { throw .truncated }
        defer { rest = rest.dropFirst(Int(count)) }
        return rest.prefix(Int(count))
    }

    private mutating func string(_ count: UInt64) throws(DagCBORFault) -> String {
        guard let text = String(validating: try take(count), as: UTF8.self) else { throw .utf8 }
        return text
    }

    private mutating func array(_ count: UInt64, depth: Int) throws(DagCBORFault) -> DagCBOR {
        // Every item takes a byte, so a count past the end is caught before anything is allocated for it.
        guard count <= UInt64(rest.count) else { throw .truncated }
        var values: [DagCBOR] = []
        for _ in 0..<count { values.append(try value(depth: depth + 1)) }
        return .array(values)
    }

    private mutating func map(_ count: UInt64, depth: Int) throws(DagCBORFault) -> DagCBOR {
        guard count <= UInt64(rest.count) else { throw .truncated }
        var entries: [String: DagCBOR] = [:]
        var last: [UInt8]?
        for _ in 0..<count {
            guard let first = rest.first else { throw .truncated }
            guard first >> 5 == 3 else { throw .keyNotString }
            let key = try string(try head().argument)
            let bytes = Array(key.utf8)
            if isStrict, let last, !DagCBOR.precedes(last, bytes) { throw .keyOrder }
            last = bytes
            // Keys that Unicode holds equal are one dictionary key; such maps have no place in our objects.
            let replaced = entries.updateValue(try value(depth: depth + 1), forKey: key)
            guard replaced == nil || !isStrict else { throw .keyOrder }
        }
        return .map(entries)
    }

    private mutating func link(tag: UInt64) throws(DagCBORFault) -> DagCBOR {
        guard tag == 42 else { throw .tag(tag) }
        guard let first = rest.first else { throw .truncated }
        guard first >> 5 == 2 else { throw .link(nil) }
        let bytes = try take(try head().argument)
        guard bytes.first == 0 else { throw .link(nil) }
        do throws(CIDFault) {
            let cid = try CID(bytes: bytes.dropFirst())
            links.append(cid)
            return .link(cid)
        } catch {
            throw .link(error)
        }
    }

    private mutating func simple() throws(DagCBORFault) -> DagCBOR {
        guard let first = rest.popFirst() else { throw .truncated }
        switch first {
        case 0xf4: return .bool(false)
        case 0xf5: return .bool(true)
        case 0xf6: return .null
        case 0xfb:
            let value = Double(bitPattern: try take(8).reduce(UInt64(0)) { $0 << 8 | UInt64($1) })
            guard value.isFinite else { throw .notFinite }
            return .float(value)
        case 0xf9, 0xfa:
            guard !isStrict else { throw .notShortest }
            _ = try take(first == 0xf9 ? 2 : 4)
            return .float(0)  // only links are wanted of such a block
        case 0xff: throw .indefiniteLength
        default: throw .simpleValue(first & 31)
        }
    }
}
