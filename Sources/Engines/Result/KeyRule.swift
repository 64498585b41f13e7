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

    /// The rule for the result of a job; `nil`: its input or a user's function decides what its lines are, so the
    /// lines have to tell (`KeyRuleEvidence`).
    public init?(of spec: JobSpec) {
        if spec.outputFormat == .kv {
            self = .escaped
            return
        }
        switch spec.reduce {
        case .builtIn("sum"), .builtIn("count"), .builtIn("top"): self = .beforeLastTab
        case .builtIn("aggregate"): return nil
        case .builtIn:
            guard let rule = KeyRule.ofMap(spec) else { return nil }
            self = rule
        default: return nil
        }
    }

    /// The rule when the reduce hands on the values of the map, or of the combine.
    private static func ofMap(_ spec: JobSpec) -> KeyRule? {
        guard case .builtIn(let map) = spec.map else { return nil }
        // Words hold no tab, whatever becomes of their values.
        if ["wc", "top", "index"].contains(map) { return .beforeFirstTab }
        guard keepsKindOfValue(spec.combine) else { return nil }
        switch map {
        case "sort": return .wholeLine
        // Pairs of a file: keys and values may hold tabs, and values may be missing.
        case "identity": return spec.recordFormat == .kv ? nil : .wholeLine
        case "grep": return spec.arguments["output"] == "count" ? .beforeLastTab : .wholeLine
        case "count", "lines": return .beforeLastTab
        default: return nil
        }
    }

    /// Whether a combine makes numbers of numbers and nothing of nothing.
    private static func keepsKindOfValue(_ combine: FunctionReference?) -> Bool {
        switch combine {
        case nil: true
        case .builtIn(let name): name != "aggregate"
        default: false
        }
    }
}
