public import MRProtocol

extension BuiltInEngine {
    /// What a job does unless the user says otherwise.
    public struct Defaults: Hashable, Sendable {
        /// The combine, or `nil` for none.
        public var combine: String?
        /// The reduce.
        public var reduce: String
        /// How files are cut into records.
        public var format: RecordFormat
    }

    /// Names of the built-in maps.
    public static let mapNames = ["count", "grep", "identity", "index", "lines", "sort", "top", "wc"]
    /// Names of the built-in reduces.
    public static let reduceNames = [
        "aggregate", "count", "distinct", "identity", "list", "max", "min", "sum", "top",
    ]

    /// Combine, reduce and record format that go with a built-in map.
    ///
    /// Of `arguments`, `output=count` changes the reduce of `grep`. `reduce` is what the user chose, or `nil`; the
    /// combine follows it.
    ///
    /// - Returns: `nil` when no map has that name.
    public static func defaults(
        forMap map: String,
        arguments: [String: String] = [:],
        reduce: String? = nil
    ) -> Defaults? {
        guard mapNames.contains(map) else { return nil }
        let chosen = reduce ?? defaultReduce(map, arguments)
        let format: RecordFormat = ["wc", "top", "index"].contains(map) ? .words : .lines
        return Defaults(combine: combine(forReduce: chosen), reduce: chosen, format: format)
    }

    /// The combine that changes nothing in the result of `reduce`, or `nil`.
    public static func combine(forReduce reduce: String) -> String? {
        if reduce == "top" { return "sum" }
        return FoldKind(name: reduce)?.isCombine == true ? reduce : nil
    }

    /// Whether runs that are not neighbours in input order may be merged, in any order: the values of a key are combined
    /// into one that does not depend on it.
    public static func mergesInAnyOrder(_ spec: JobSpec) -> Bool {
        guard case .builtIn(let name)? = spec.combine else { return false }
        // The sum of doubles depends on its order.
        return name != "aggregate" && FoldKind(name: name)?.isCombine == true
    }

    /// Whether the output of the map depends on the name of the file or the offset of the leaf in it.
    ///
    /// If not, a remembered output of the same leaves serves at any place of any file.
    public static func usesPosition(_ spec: JobSpec) -> Bool {
        switch spec.map {
        case .builtIn("index"), .builtIn("lines"): true
        case .builtIn("grep"): spec.arguments["output"].map { $0 != "lines" } ?? false
        default: false
        }
    }

    private static func defaultReduce(_ map: String, _ arguments: [String: String]) -> String {
        switch map {
        case "wc", "count", "lines": "sum"
        case "index": "distinct"
        case "top": "top"
        case "grep": arguments["output"] == "count" ? "sum" : "identity"
        default: "identity"
        }
    }
}
