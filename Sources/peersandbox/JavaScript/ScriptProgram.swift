import FunctionProtocol

/// A function's file, ready to be evaluated in any number of contexts.
struct ScriptProgram {
    let name: String
    let source: ScriptSource
    let text: ScriptString
    let url: ScriptString
    /// Reads what the file exports or declares, once it is evaluated: `{ map, combine, reduce, setup, encoding, default }`.
    let exports: ScriptString
    private(set) var arguments: [(name: String, value: String)]
    private(set) var skipLimit: UInt64

    init(_ preparation: Preparation) throws(FunctionFault) {
        name = preparation.name
        source = try ScriptSource(preparation.program, name: preparation.name)
        text = source.units.withUnsafeBufferPointer { ScriptString(units: $0) }
        url = ScriptString(preparation.name)
        exports = ScriptProgram.exports(of: source)
        arguments = preparation.arguments
        skipLimit = preparation.skipLimit
    }

    /// Takes what another preparation says of the same file.
    mutating func prepare(_ preparation: Preparation) {
        arguments = preparation.arguments
        skipLimit = preparation.skipLimit
    }

    private static let exportNames = ["map", "combine", "reduce", "setup", "encoding", "default"]

    private static func exports(of source: ScriptSource) -> ScriptString {
        let properties = exportNames.map { name in
            let local = source.aliases[name] ?? (name == "default" ? ScriptSource.defaultName : name)
            return "\(name): typeof \(local) === 'undefined' ? undefined : \(local)"
        }
        // No name of ours is in its way.
        return ScriptString("({ \(properties.joined(separator: ", ")) })")
    }

    /// The column of a syntax error, found by the token that its message quotes; 0 when it cannot be told.
    func column(ofSyntaxError message: String, inLine line: UInt32) -> UInt32 {
        let quoted = message.split(separator: "'", maxSplits: 2, omittingEmptySubsequences: false)
        guard message.hasPrefix("SyntaxError"), quoted.count == 3 else { return 0 }
        return source.column(of: String(quoted[1]), inLine: line)
    }
}
