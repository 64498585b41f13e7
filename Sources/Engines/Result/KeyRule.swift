public import MRProtocol

/// Where the key ends in a line of a result: parts are sorted by key, not by line.
///
/// Text alone cannot tell: a key of `count` may hold tabs, a value of `index` as well. The rule follows from the
/// specification of the job and is needed to merge its parts.
public enum KeyRule: String, Hashable, Sendable, CaseIterable {
    /// No value: the key is the line.
    case wholeLine
    /// The key may hold tabs, the value does not.
    case beforeLastTab
    /// The value may hold tabs, the key does not; a line without a tab is all key.
    case beforeFirstTab
    /// `kv`: the key ends at the only tab and has escapes.
    case escaped

    /// The rule for the result of a job; `nil`: a user's function decides what its lines are.
    public init?(of spec: JobSpec) {
        if spec.outputFormat == .kv {
            self = .escaped
            return
        }
        switch spec.reduce {
        case .builtIn("sum"), .builtIn("count"), .builtIn("top"): self = .beforeLastTab
        case .builtIn("aggregate"): return nil
        case .builtIn:
            guard case .builtIn = spec.map else { return nil }
            self = KeyRule(ofMap: spec)
        default: return nil
        }
    }

    /// The rule when the reduce hands on the values of the map.
    private init(ofMap spec: JobSpec) {
        switch spec.map {
        case .builtIn("sort"): self = .wholeLine
        case .builtIn("identity"): self = spec.recordFormat == .kv ? .beforeFirstTab : .wholeLine
        case .builtIn("grep"):
            self = spec.arguments["output"] == "count" ? .beforeLastTab : .wholeLine
        case .builtIn("count"), .builtIn("lines"): self = .beforeLastTab
        default: self = .beforeFirstTab
        }
    }
}
