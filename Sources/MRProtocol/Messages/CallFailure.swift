package import Multiformats

/// Why a call came to nothing; the last message of its stream.
package struct CallFailure: Error, Equatable, Sendable {
    /// What kind of failure it is; codes of later versions are kept as they are.
    package struct Code: Hashable, Sendable {
        package let number: UInt64

        /// A code by its number.
        package init(number: UInt64) { self.number = number }

        package static let unspecified = Code(number: 0)
        package static let unknownCall = Code(number: 1)
        package static let unsupportedVersion = Code(number: 2)
        package static let malformed = Code(number: 3)
        package static let tooLarge = Code(number: 4)
        package static let busy = Code(number: 5)
        /// The operator does not allow what was asked; `message` says what, and asking again does not help.
        package static let notAllowed = Code(number: 6)
        package static let unknownJob = Code(number: 7)
        package static let unsupportedEngine = Code(number: 8)
        package static let `internal` = Code(number: 9)
        package static let recordTooLong = Code(number: 32)
        package static let blockUnavailable = Code(number: 33)
        package static let mapOutputUnavailable = Code(number: 34)
        package static let argument = Code(number: 35)
        package static let function = Code(number: 36)
        package static let malformedInput = Code(number: 37)
        package static let malformedValue = Code(number: 38)
        package static let store = Code(number: 39)
        package static let cancelled = Code(number: 40)
        package static let malformedMapOutput = Code(number: 41)
        package static let userFunction = Code(number: 42)
    }

    package var code: Code
    /// For people.
    package var message: String
    package var file = ""
    package var offset: UInt64 = 0
    package var cid: CID?
    package var limit: UInt64 = 0
    package var name = ""
    package var key: [UInt8] = []
    /// What a user function says of its failure; of meaning with `userFunction` only.
    package var function = FunctionPart()
    /// The end of the log of the attempt that failed.
    package var log: [UInt8] = []

    /// Where and how a user function failed.
    package struct FunctionPart: Equatable, Sendable {
        package var kind = ""
        package var role = ""
        package var line: UInt32 = 0
        package var column: UInt32 = 0
        package var stack = ""
        package var excerpt: [UInt8] = []
    }

    /// Longest text or key, in bytes; longer ones are cut before they are sent.
    package static let maxTextByteCount = 4096

    /// A failure of the call itself.
    package init(_ code: Code, message: String) {
        self.code = code
        self.message = message
    }

    /// A failure of the task that the call asked for.
    package init(_ fault: TaskFault) {
        self.init(.unspecified, message: "")
        switch fault {
        case .recordTooLong(let file, let offset, let limit):
            code = .recordTooLong
            (self.file, self.offset, self.limit) = (file, offset, UInt64(clamping: limit))
        case .blockUnavailable(let cid, let file, let offset, let reason):
            code = .blockUnavailable
            (self.cid, self.file, self.offset, message) = (cid, file, offset, reason)
        case .mapOutputUnavailable(let cid, let reason):
            code = .mapOutputUnavailable
            (self.cid, message) = (cid, reason)
        case .malformedMapOutput(let runIndex, let reason):
            code = .malformedMapOutput
            (offset, message) = (UInt64(clamping: runIndex), reason)
        case .argument(let name, let reason):
            code = .argument
            (self.name, message) = (name, reason)
        case .function(let name, let file, let offset, let reason):
            code = .function
            (self.name, self.file, self.offset, message) = (name, file, offset, reason)
        case .userFunction(let failure):
            code = .userFunction
            (name, file, offset, message) = (
                failure.function, failure.input, failure.offset, failure.message
            )
            function = FunctionPart(failure)
        case .malformedInput(let file, let offset, let reason):
            code = .malformedInput
            (self.file, self.offset, message) = (file, offset, reason)
        case .malformedValue(let key, let reason):
            code = .malformedValue
            (self.key, message) = (key, reason)
        case .store(let reason):
            code = .store
            message = reason
        case .cancelled: code = .cancelled
        }
    }

    /// The fault of the task; `nil` when the call failed rather than the task, or for a code that is not known here.
    package var taskFault: TaskFault? {
        switch code {
        case .recordTooLong: .recordTooLong(file: file, offset: offset, limit: Int(clamping: limit))
        case .blockUnavailable: cid.map { .blockUnavailable($0, file: file, offset: offset, reason: message) }
        case .mapOutputUnavailable: cid.map { .mapOutputUnavailable($0, reason: message) }
        case .malformedMapOutput: .malformedMapOutput(runIndex: Int(clamping: offset), reason: message)
        case .argument: .argument(name: name, reason: message)
        case .function: .function(name: name, file: file, offset: offset, reason: message)
        case .userFunction: .userFunction(userFunctionFailure)
        case .malformedInput: .malformedInput(file: file, offset: offset, reason: message)
        case .malformedValue: .malformedValue(key: key, reason: message)
        case .store: .store(message)
        case .cancelled: .cancelled
        default: nil
        }
    }
}

extension CallFailure: MessagePart {
    init() { self.init(.unspecified, message: "") }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        if let bytes = field.bytes, bytes.count > Self.maxTextByteCount { throw .value("text") }
        switch field.number {
        case 1: code = field.varint.map(Code.init) ?? code
        case 2: message = try field.text("message") ?? message
        case 3: file = try field.text("file") ?? file
        case 4: offset = field.varint ?? offset
        case 5: cid = try field.cid("cid")
        case 6: limit = field.varint ?? limit
        case 7: name = try field.text("name") ?? name
        case 8: key = field.bytes.map(Array.init) ?? key
        case 9: function = try field.part(FunctionPart.self) ?? function
        case 10: log = field.bytes.map(Array.init) ?? log
        default: break
        }
    }

    func write(to writer: inout Protobuf.Writer) {
        writer.number(1, code.number)
        writer.text(2, Self.cut(message))
        writer.text(3, Self.cut(file))
        writer.number(4, offset)
        if let cid { writer.bytes(5, cid.bytes) }
        writer.number(6, limit)
        writer.text(7, Self.cut(name))
        writer.data(8, Array(key.prefix(Self.maxTextByteCount)))
        // What came is written as it came, whatever its code.
        if code == .userFunction || function != FunctionPart() { writer.part(9, function) }
        writer.data(10, Array(log.suffix(Self.maxTextByteCount)))
    }

    /// The text up to the last whole character within the limit.
    fileprivate static func cut(_ text: String) -> String {
        guard text.utf8.count > maxTextByteCount else { return text }
        var end = text.utf8.index(text.startIndex, offsetBy: maxTextByteCount)
        while end.samePosition(in: text.unicodeScalars) == nil { end = text.utf8.index(before: end) }
        return String(text[..<end])
    }
}

extension CallFailure {
    private var userFunctionFailure: FunctionFailure {
        FunctionFailure(
            FunctionFailure.Kind(rawValue: function.kind) ?? .threw,
            function: name,
            role: function.role,
            message: message,
            line: function.line,
            column: function.column,
            stack: function.stack,
            input: file,
            offset: offset,
            excerpt: function.excerpt
        )
    }
}

extension CallFailure.FunctionPart: MessagePart {
    fileprivate init(_ failure: FunctionFailure) {
        self.init(
            kind: failure.kind.rawValue,
            role: failure.role,
            line: failure.line,
            column: failure.column,
            stack: failure.stack,
            excerpt: failure.excerpt
        )
    }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        if let bytes = field.bytes, bytes.count > CallFailure.maxTextByteCount { throw .value("text") }
        switch field.number {
        case 1: kind = try field.text("kind") ?? kind
        case 2: role = try field.text("role") ?? role
        case 3: line = field.number() ?? line
        case 4: column = field.number() ?? column
        case 5: stack = try field.text("stack") ?? stack
        case 6: excerpt = field.bytes.map(Array.init) ?? excerpt
        default: break
        }
    }

    func write(to writer: inout Protobuf.Writer) {
        writer.text(1, kind)
        writer.text(2, role)
        writer.number(3, line)
        writer.number(4, column)
        writer.text(5, CallFailure.cut(stack))
        writer.data(6, excerpt)
    }
}
