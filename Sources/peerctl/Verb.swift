import Multiformats
import PeerNode

/// One command: what it is called, takes and does.
struct Verb: Sendable {
    /// One word, or two such as `block get`.
    var name: String
    /// One line for the list of verbs.
    var summary: String
    /// Operands, as help shows them.
    var operands: String
    var options: [OptionSpec] = []
    /// More that a user should know, in whole lines.
    var details: String = ""
    /// A command line to try, and what it is for.
    var example: String
    /// How many operands there must be.
    var operandCount: ClosedRange<Int>
    /// Not in the list of verbs.
    var isHidden = false
    var run: @Sendable (Invocation) async throws -> Void
}

/// A verb with its arguments, ready to run.
struct Invocation: Sendable {
    var verb: Verb
    var arguments: ParsedArguments
    var session: Session

    var operands: [String] { arguments.operands }
    var isQuiet: Bool { arguments.flag("quiet") || arguments.flag("quieter") }
    var wantsJSON: Bool { arguments.flag("json") }
    var streams: StandardStreams { session.streams }
    var home: HomeFolder { HomeFolder(path: arguments.value("home")) }

    func perform() async throws { try await verb.run(self) }

    /// Prints a value as JSON on one line.
    func print(_ json: JSON) { streams.line(String(decoding: json.encoded, as: UTF8.self)) }

    /// An operand as a CID.
    func cid(_ text: String) throws -> CID {
        do { return try CID(parsing: text) } catch { throw UsageError("«\(text)» is not a CID") }
    }

    /// An operand as a CID or CID/path.
    func path(_ text: String) throws -> ContentPath {
        do { return try ContentPath(parsing: text) } catch { throw UsageError(error.message) }
    }

    /// The value of an option that is a number.
    func number(_ name: String) throws(UsageError) -> UInt64? {
        guard let text = arguments.value(name) else { return nil }
        guard let value = UInt64(text) else {
            throw UsageError("--\(name) is a number that is not negative, not «\(text)»")
        }
        return value
    }

    /// The value of an option that is a size.
    func size(_ name: String) throws(UsageError) -> UInt64? {
        guard let text = arguments.value(name) else { return nil }
        guard let value = ByteSize.parse(text) else {
            throw UsageError("--\(name) is a size such as 4096, 64K or 2GiB, not «\(text)»")
        }
        return value
    }

    /// Refuses values of an `ipfs` option other than the one that we work by.
    func require(_ name: String, _ only: String) throws(UsageError) {
        guard let text = arguments.value(name), text != only else { return }
        throw UsageError("--\(name)=\(text) is not supported; only --\(name)=\(only)")
    }
}
