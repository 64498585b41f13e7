import Engines
import MRProtocol
import Multiformats
import PeerNode

/// `function check`: what a function is, or what is wrong with it.
enum FunctionCommand {
    static let check = Verb(
        name: "function check",
        summary: "load a function and say what it can do, or what is wrong with it",
        operands: "FILE",
        details:
            "FILE is a JavaScript or WebAssembly file, or the CID of one. It is loaded in the sandbox and not called.",
        example: "peerctl function check wc.js",
        operandCount: 1...1
    ) { call in
        let name = call.operands[0]
        if let path = try? ContentPath(parsing: name) {  // no CID: a path of the file system
            return try await call.withNode { access in
                let store = NodeFunctionStore(call: call, node: access.service)
                show(
                    try await store.check(.file(try await store.find(path)), name: name, TaskLimits()),
                    name,
                    call
                )
            }
        }
        guard try FileTree.kind(name, follow: true) == .file else {
            throw NodeError(.file, "\(name) is not a regular file; a function is one file")
        }
        let trial = try FunctionTrial()
        defer { trial.close() }
        let bytes = try FunctionFile.read(name)
        show(try await trial.describe(.bytes(bytes), name: name, limits: TaskLimits()), name, call)
    }

    private static func show(_ description: FunctionDescription, _ name: String, _ call: Invocation) {
        let roles = FunctionDescription.Role.allCases.filter { description.roles.contains($0) }.map(
            \.rawValue
        )
        if call.wantsJSON {
            return call.print([
                "function": .string(name), "engine": .string(description.engine.rawValue),
                "roles": .array(roles.map(JSON.string)), "usesPosition": .bool(description.usesPosition),
                "missing": .array(description.missing.map(JSON.string)),
            ])
        }
        if call.isQuiet { return }
        var rows = [
            ["function", name], ["engine", description.engine.rawValue],
            ["can", roles.joined(separator: ", ")],
        ]
        if description.roles.contains(.map) {
            let text =
                description.usesPosition
                ? "yes: its output is remembered for that place of that file only"
                : "no: its output is remembered for equal blocks anywhere"
            rows.append(["uses keys", text])
        }
        let missing = description.missing.joined(separator: ", ")
        rows.append(["sandbox", missing.isEmpty ? "whole" : "this kernel lacks \(missing)"])
        for row in Table.aligned(rows) { call.streams.line(row) }
    }
}
