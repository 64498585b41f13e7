import FunctionProtocol

/// A function's file, ready to be evaluated in any number of contexts.
struct ScriptProgram {
    let name: String
    let source: ScriptSource
    let text: ScriptString
    let url: ScriptString
    let arguments: [(name: String, value: String)]
    let skipLimit: UInt64

    init(_ preparation: Preparation) throws(FunctionFault) {
        name = preparation.name
        source = try ScriptSource(preparation.program, name: preparation.name)
        text = source.units.withUnsafeBufferPointer { ScriptString(units: $0) }
        url = ScriptString(preparation.name)
        arguments = preparation.arguments
        skipLimit = preparation.skipLimit
    }

    /// The column of a syntax error, found by the token that its message quotes; 0 when it cannot be told.
    func column(ofSyntaxError message: String, inLine line: UInt32) -> UInt32 {
        let quoted = message.split(separator: "'", maxSplits: 2, omittingEmptySubsequences: false)
        guard message.hasPrefix("SyntaxError"), quoted.count == 3 else { return 0 }
        return source.column(of: String(quoted[1]), inLine: line)
    }
}
