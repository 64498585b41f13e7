internal import Glibc

/// How a daemon runs: from its flags, else from `config.toml` in its home, else the defaults.
public struct NodeSettings: Hashable, Sendable {
    /// Multiaddrs to listen on.
    public var listen: [String] = []
    /// Multiaddrs of other nodes to meet first.
    public var bootstrap: [String] = []
    /// Attempts at once; `nil`: one a processor.
    public var slots: Int?
    /// Most bytes of blocks; `nil`: no limit.
    public var storeLimit: UInt64?
    /// Memory of all attempts together, in bytes.
    public var memory = JobConfiguration.defaultMemoryByteCount
    /// Path of a libp2p `swarm.key`.
    public var swarmKey: String?
    /// Speak the protocols that tests and benchmarks use.
    public var diagnostics = false
    /// The least that is logged.
    public var logLevel = LogLevel.info

    /// Where a node listens unless told otherwise.
    public static let defaultListen = ["/ip4/0.0.0.0/tcp/4001"]
    /// Longest settings file, in bytes.
    static let fileByteLimit = 64 << 10

    /// The defaults.
    public init() {}

    /// The slots to use: those asked for, else one for each processor.
    public var slotCount: Int { slots ?? max(sysconf(Int32(_SC_NPROCESSORS_ONLN)), 1) }

    /// Names of settings; flags have the same.
    public enum Name: String, CaseIterable, Sendable {
        case listen, bootstrap, slots, memory, diagnostics
        case storeLimit = "store-limit"
        case swarmKey = "swarm-key"
        case logLevel = "log-level"
    }

    /// Sets one setting from text; `listen` and `bootstrap` add to what is there.
    ///
    /// - Throws: `NodeError` with code `invalidArgument`.
    public mutating func set(_ name: Name, _ text: String) throws(NodeError) {
        switch name {
        case .listen: listen.append(text)
        case .bootstrap: bootstrap.append(text)
        case .slots: slots = try NodeSettings.slots(text)
        case .memory: memory = Int(try NodeSettings.size(text, "memory"))
        case .storeLimit: storeLimit = try NodeSettings.size(text, "store-limit")
        case .swarmKey: swarmKey = text
        case .diagnostics:
            guard let value = Bool(text) else {
                throw NodeError(.invalidArgument, "diagnostics is true or false, not «\(text)»")
            }
            diagnostics = value
        case .logLevel:
            guard let level = LogLevel(rawValue: text) else {
                let levels = LogLevel.allCases.map(\.rawValue).joined(separator: ", ")
                throw NodeError(.invalidArgument, "log-level is one of \(levels), not «\(text)»")
            }
            logLevel = level
        }
    }

    /// Reads a number of slots.
    public static func slots(_ text: String) throws(NodeError) -> Int {
        guard let slots = Int(text), (1...JobLimits.maxSlots).contains(slots) else {
            throw NodeError(
                .invalidArgument,
                "slots is a number from 1 to \(JobLimits.maxSlots), not «\(text)»"
            )
        }
        return slots
    }

    /// Reads a size in bytes.
    public static func size(_ text: String, _ name: String) throws(NodeError) -> UInt64 {
        guard let size = ByteSize.parse(text), size > 0 else {
            throw NodeError(.invalidArgument, "\(name) is a size such as 512M or 20GiB, not «\(text)»")
        }
        return size
    }

    // MARK: File

    /// Reads the settings file of a home; none gives the defaults.
    ///
    /// - Throws: `NodeError` naming the line.
    public static func load(_ home: HomeFolder) throws(NodeError) -> NodeSettings {
        guard let bytes = try TextFile.read(home.configuration, limit: fileByteLimit) else {
            return NodeSettings()
        }
        return try parse(String(decoding: bytes, as: UTF8.self), file: home.configuration)
    }

    /// Reads `key = value` lines: values bare, in double quotes, or a list of those in brackets; `#` starts a comment.
    public static func parse(_ text: String, file: String) throws(NodeError) -> NodeSettings {
        var settings = NodeSettings()
        let lines = text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline)
        for (index, line) in lines.enumerated() {
            let content = trim(stripComment(line))
            if content.isEmpty { continue }
            do {
                try settings.apply(content)
            } catch {
                throw NodeError(.invalidArgument, "\(file), line \(index + 1): \(error.message)")
            }
        }
        return settings
    }

    private mutating func apply(_ line: Substring) throws(NodeError) {
        guard let equals = line.firstIndex(of: "=") else {
            throw NodeError(.invalidArgument, "not «key = value»")
        }
        let key = String(NodeSettings.trim(line[..<equals]))
        guard let name = Name(rawValue: key) else {
            let known = Name.allCases.map(\.rawValue).joined(separator: ", ")
            throw NodeError(.invalidArgument, "unknown setting «\(key)»; there are \(known)")
        }
        for value in try NodeSettings.values(NodeSettings.trim(line[line.index(after: equals)...])) {
            try set(name, value)
        }
    }

    private static func values(_ text: Substring) throws(NodeError) -> [String] {
        guard text.hasPrefix("[") else { return [try unquote(text)] }
        guard text.hasSuffix("]") else { throw NodeError(.invalidArgument, "the list is not closed with ]") }
        var values: [String] = []
        for item in text.dropFirst().dropLast().split(separator: ",") {
            let item = trim(item)
            if !item.isEmpty { values.append(try unquote(item)) }
        }
        return values
    }

    private static func unquote(_ text: Substring) throws(NodeError) -> String {
        guard text.hasPrefix("\"") else {
            if text.isEmpty { throw NodeError(.invalidArgument, "the value is missing") }
            return String(text)
        }
        guard text.count >= 2, text.hasSuffix("\"") else {
            throw NodeError(.invalidArgument, "the text is not closed with a double quote")
        }
        return String(text.dropFirst().dropLast())
    }

    private static func stripComment(_ line: Substring) -> Substring {
        var isQuoted = false
        for index in line.indices {
            if line[index] == "\"" { isQuoted.toggle() }
            if line[index] == "#", !isQuoted { return line[..<index] }
        }
        return line
    }

    private static func trim(_ text: Substring) -> Substring {
        let isSpace: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\r" }
        var text = text.drop(while: isSpace)
        while let last = text.last, isSpace(last) { text.removeLast() }
        return text
    }
}

/// How much a daemon logs.
public enum LogLevel: String, Hashable, Sendable, CaseIterable, Comparable {
    case error, warning, info, debug

    /// Orders levels from terse to chatty.
    public static func < (left: LogLevel, right: LogLevel) -> Bool { left.rank < right.rank }

    private var rank: Int {
        switch self {
        case .error: 0
        case .warning: 1
        case .info: 2
        case .debug: 3
        }
    }
}
