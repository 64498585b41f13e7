/// How a user function failed, in the terms of its author.
public struct FunctionFailure: Hashable, Sendable {
    /// Kinds of failure.
    public enum Kind: String, Hashable, Sendable, CaseIterable {
        /// It does not compile, lacks a function that the job needs, or cannot be read.
        case invalid
        /// It threw, trapped, or ended with a status.
        case threw
        /// It passed a limit; the message names it.
        case limit
        /// Its process ended by itself.
        case crashed
        /// It emitted what it must not.
        case wrongOutput
        /// The node cannot run it: the helper program or a part of the sandbox is missing.
        case sandbox
    }

    /// What kind of failure it is.
    public var kind: Kind
    /// The CID of the function's file, or the command line; whoever knows a better name shows that.
    public var function: String
    /// `map`, `combine` or `reduce`.
    public var role: String
    /// One line.
    public var message: String
    /// Line in the program, from 1; 0: unknown.
    public var line: UInt32
    /// Column in the line, from 1; 0: unknown.
    public var column: UInt32
    /// The function's own stack, a frame a line, without its engine's.
    public var stack: String
    /// The record's input; empty where there was no record.
    public var input: String
    /// The record's offset in it.
    public var offset: UInt64
    /// The front of the record, or of the key.
    public var excerpt: [UInt8]

    /// Longest text of each kind, in UTF-8 bytes; longer ones are cut.
    public static let maxTextByteCount = 4_096
    /// Longest excerpt, in bytes.
    public static let maxExcerptByteCount = 80

    /// Describes a failure.
    public init(
        _ kind: Kind,
        function: String,
        role: String,
        message: String,
        line: UInt32 = 0,
        column: UInt32 = 0,
        stack: String = "",
        input: String = "",
        offset: UInt64 = 0,
        excerpt: [UInt8] = []
    ) {
        self.kind = kind
        self.function = function
        self.role = role
        self.message = message
        self.line = line
        self.column = column
        self.stack = stack
        self.input = input
        self.offset = offset
        self.excerpt = Array(excerpt.prefix(FunctionFailure.maxExcerptByteCount))
    }
}
