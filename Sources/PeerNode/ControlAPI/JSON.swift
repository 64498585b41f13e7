internal import CJansson

/// A JSON value.
///
/// Objects keep the order of their members, so that output is stable; numbers without a fraction are `integer`.
public indirect enum JSON: Hashable, Sendable {
    case null
    case bool(Bool)
    case integer(Int64)
    case number(Double)
    case string(String)
    case array([JSON])
    case object([Member])

    /// One member of an object.
    public struct Member: Hashable, Sendable {
        /// The member's name.
        public var name: String
        /// The member's value.
        public var value: JSON

        /// Pairs a name with a value.
        public init(_ name: String, _ value: JSON) {
            self.name = name
            self.value = value
        }
    }

    /// Deepest nesting of arrays and objects that is read.
    public static let depthLimit = 64
}

/// Why bytes are not JSON that we read.
public enum JSONFault: Error, Equatable, Sendable {
    /// The text is longer than `limit` bytes.
    case tooLong(byteCount: Int, limit: Int)
    /// Arrays and objects nest deeper than `JSON.depthLimit`.
    case tooDeep(limit: Int)
    /// The text is not JSON; `line` and `column` count from 1.
    case malformed(line: Int, column: Int, reason: String)
}

extension JSONFault: CustomStringConvertible {
    /// What is wrong, and where.
    public var description: String {
        switch self {
        case .tooLong(let byteCount, let limit): "it has \(byteCount) bytes, over the limit of \(limit)"
        case .tooDeep(let limit): "it nests deeper than \(limit)"
        case .malformed(let line, let column, let reason): "line \(line), column \(column): \(reason)"
        }
    }
}

// MARK: - Access

extension JSON {
    /// The member `name` of an object; `nil` when there is none or this is no object.
    public subscript(name: String) -> JSON? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.name == name }?.value
    }

    /// The text of a string.
    public var text: String? {
        if case .string(let text) = self { text } else { nil }
    }

    /// The value of an integer.
    public var int: Int? {
        if case .integer(let value) = self { Int(value) } else { nil }
    }

    /// The value of a number that is not negative.
    public var unsigned: UInt64? {
        if case .integer(let value) = self { UInt64(exactly: value) } else { nil }
    }

    /// The value of any number.
    public var double: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .number(let value): value
        default: nil
        }
    }

    /// The value of a boolean.
    public var flag: Bool? {
        if case .bool(let value) = self { value } else { nil }
    }

    /// The elements of an array.
    public var elements: [JSON]? {
        if case .array(let elements) = self { elements } else { nil }
    }

    /// The members of an object.
    public var members: [Member]? {
        if case .object(let members) = self { members } else { nil }
    }

    /// An integer of any width; values over `Int64.max` become that.
    public static func count(_ value: some BinaryInteger) -> JSON { .integer(Int64(clamping: value)) }

    /// A string, or `null`.
    public static func string(orNull text: String?) -> JSON { text.map(JSON.string) ?? .null }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByIntegerLiteral, ExpressibleByBooleanLiteral,
    ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    /// A string.
    public init(stringLiteral value: String) { self = .string(value) }
    /// An integer.
    public init(integerLiteral value: Int64) { self = .integer(value) }
    /// A boolean.
    public init(booleanLiteral value: Bool) { self = .bool(value) }
    /// An array.
    public init(arrayLiteral elements: JSON...) { self = .array(elements) }
    /// An object.
    public init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(elements.map { Member($0, $1) })
    }
    /// `null`.
    public init(nilLiteral: ()) { self = .null }
}

// MARK: - Text

extension JSON {
    /// Reads one JSON text.
    ///
    /// Duplicate member names and anything after the value are refused.
    ///
    /// `byteLimit` is the longest text read, in bytes.
    ///
    /// - Throws: `JSONFault` with the place of the first error, or what limit was passed.
    public init(parsing text: some Collection<UInt8>, byteLimit: Int) throws(JSONFault) {
        guard text.count <= byteLimit else { throw .tooLong(byteCount: text.count, limit: byteLimit) }
        var error = json_error_t()
        let flags = Int(JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL)
        let parsed = Array(text).withUnsafeBytes {
            json_loadb($0.baseAddress?.assumingMemoryBound(to: CChar.self), $0.count, flags, &error)
        }
        guard let parsed else {
            let reason = withUnsafeBytes(of: error.text) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            throw .malformed(line: max(Int(error.line), 1), column: max(Int(error.column), 1), reason: reason)
        }
        defer { peernode_json_release(parsed) }
        self = try JSON(converting: parsed, depth: 0)
    }

    /// The compact text, in UTF-8.
    public var encoded: [UInt8] { encoded(indent: 0) }

    /// The text with members on lines of their own, for people.
    public var pretty: String { String(decoding: encoded(indent: 2), as: UTF8.self) }

    private func encoded(indent: Int) -> [UInt8] {
        guard let tree = makeTree() else { return Array("null".utf8) }
        defer { peernode_json_release(tree) }
        let flags = Int(JSON_ENCODE_ANY) | (indent > 0 ? indent : Int(JSON_COMPACT))
        let byteCount = json_dumpb(tree, nil, 0, flags)
        let text = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            let start = UnsafeMutableRawPointer(buffer.baseAddress)?.assumingMemoryBound(to: CChar.self)
            count = min(json_dumpb(tree, start, byteCount, flags), byteCount)
        }
        return JSON.escapingControls(text)
    }

    /// DEL and U+0080 … U+009F as escapes: JSON allows them as they are, but terminals obey them.
    ///
    /// In `text` they stand in strings only, and the other control characters are escaped already.
    private static func escapingControls(_ text: [UInt8]) -> [UInt8] {
        guard text.contains(where: { $0 == 0x7f || $0 == 0xc2 }) else { return text }
        var escaped: [UInt8] = []
        escaped.reserveCapacity(text.count + 64)
        var rest = text[...]
        while let byte = rest.popFirst() {
            if byte == 0x7f {
                escaped += Array("\\u007F".utf8)
            } else if byte == 0xc2, let next = rest.first, next < 0xa0 {
                escaped += Array("\\u00\(String(next, radix: 16, uppercase: true))".utf8)
                rest.removeFirst()
            } else {
                escaped.append(byte)
            }
        }
        return escaped
    }
}

// MARK: - Jansson trees

extension JSON {
    private init(converting tree: UnsafeMutablePointer<json_t>, depth: Int) throws(JSONFault) {
        guard depth <= JSON.depthLimit else { throw .tooDeep(limit: JSON.depthLimit) }
        switch json_type(rawValue: UInt32(peernode_json_type(tree))) {
        case JSON_OBJECT: self = .object(try JSON.members(of: tree, depth: depth))
        case JSON_ARRAY:
            var elements: [JSON] = []
            for index in 0..<json_array_size(tree) {
                guard let element = json_array_get(tree, index) else { continue }
                elements.append(try JSON(converting: element, depth: depth + 1))
            }
            self = .array(elements)
        case JSON_STRING: self = .string(JSON.string(of: tree))
        case JSON_INTEGER: self = .integer(Int64(json_integer_value(tree)))
        case JSON_REAL: self = .number(json_real_value(tree))
        case JSON_TRUE: self = .bool(true)
        case JSON_FALSE: self = .bool(false)
        default: self = .null
        }
    }

    private static func members(
        of tree: UnsafeMutablePointer<json_t>,
        depth: Int
    ) throws(JSONFault) -> [Member] {
        var members: [Member] = []
        var iterator = json_object_iter(tree)
        while let current = iterator {
            if let name = json_object_iter_key(current), let value = json_object_iter_value(current) {
                members.append(Member(String(cString: name), try JSON(converting: value, depth: depth + 1)))
            }
            iterator = json_object_iter_next(tree, current)
        }
        return members
    }

    private static func string(of tree: UnsafeMutablePointer<json_t>) -> String {
        guard let start = json_string_value(tree) else { return "" }
        let bytes = UnsafeRawBufferPointer(start: start, count: json_string_length(tree))
        return String(decoding: bytes, as: UTF8.self)
    }

    private func makeTree() -> UnsafeMutablePointer<json_t>? {
        switch self {
        case .null: return json_null()
        case .bool(let value): return value ? json_true() : json_false()
        case .integer(let value): return json_integer(json_int_t(value))
        case .number(let value): return value.isFinite ? json_real(value) : json_null()
        case .string(let text):
            var text = text
            return text.withUTF8 { utf8 in
                utf8.withMemoryRebound(to: CChar.self) { characters in
                    guard let start = characters.baseAddress else { return json_string("") }
                    return json_stringn_nocheck(start, characters.count)
                }
            }
        case .array(let elements):
            let array = json_array()
            for element in elements { json_array_append_new(array, element.makeTree()) }
            return array
        case .object(let members):
            let object = json_object()
            for member in members {
                json_object_set_new_nocheck(object, member.name, member.value.makeTree())
            }
            return object
        }
    }
}
