import FunctionProtocol

/// Runs functions written in JavaScript; what they find there is told in docs/functions.md.
final class JavaScriptRunner: Runner {
    /// Longest file, in bytes.
    static let maxProgramByteCount = 16 << 20

    private var program: ScriptProgram
    private(set) var readiness: Readiness
    /// A context for the next attempt, which takes longer to make than many attempts last.
    private var next: ScriptAttempt?

    /// Starts the virtual machine, and compiles what is the same for all functions.
    static func warmUp() {
        let preparation = Preparation(
            engine: .javaScript,
            roles: .map,
            name: "",
            program: Array("function map(_) {}".utf8)
        )
        guard let program = try? ScriptProgram(preparation) else { return }
        try? ScriptAttempt(program).evaluate(seed: [], nil)
    }

    init(_ preparation: Preparation) throws(FunctionFault) {
        let byteCount = preparation.program.count
        guard byteCount > 0 else { throw FunctionFault(.invalid, "the file is empty") }
        guard byteCount <= JavaScriptRunner.maxProgramByteCount else {
            throw FunctionFault(
                .invalid,
                "the file has \(byteCount) bytes; the limit is \(JavaScriptRunner.maxProgramByteCount) bytes"
            )
        }
        program = try ScriptProgram(preparation)
        readiness = try JavaScriptRunner.load(program, for: preparation.roles)
    }

    func reload(_ preparation: Preparation) throws(FunctionFault) {
        next = nil
        program.prepare(preparation)
        readiness = try JavaScriptRunner.load(program, for: preparation.roles)
    }

    func execute(_ start: TaskStart, _ channel: Channel) throws(FunctionFault) {
        let attempt = if let next { next } else { try ScriptAttempt(program) }
        next = nil
        try attempt.evaluate(seed: start.seed, channel)
        try attempt.run(start.role)
    }

    func lookAhead() { next = next ?? (try? ScriptAttempt(program)) }

    /// Evaluates the file once; nothing is left of it but what it can do.
    private static func load(_ program: ScriptProgram, for roles: FunctionRoles) throws(FunctionFault)
        -> Readiness
    {
        let attempt = try ScriptAttempt(program)
        try attempt.evaluate(seed: [], nil)
        let abilities = attempt.abilities
        try check(abilities.roles, for: roles)
        return Readiness(roles: abilities.roles, usesPosition: abilities.usesPosition)
    }

    private static func check(_ roles: FunctionRoles, for wanted: FunctionRoles) throws(FunctionFault) {
        if roles.isEmpty {
            throw FunctionFault(
                .invalid,
                "the file has no function map, combine or reduce; write `export function map(key, value, emit) { … }`"
            )
        }
        let names: [(FunctionRoles, String, String)] = [
            (.map, "map", "key, value, emit"), (.combine, "combine", "key, values, emit"),
            (.reduce, "reduce", "key, values, emit"),
        ]
        for (role, name, parameters) in names where wanted.contains(role) && !roles.contains(role) {
            throw FunctionFault(
                .invalid,
                "the file has no function \(name); write `export function \(name)(\(parameters)) { … }`"
            )
        }
    }
}
