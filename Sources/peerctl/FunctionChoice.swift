import Engines
import MRProtocol
import PeerNode

/// What a user names as map, combine or reduce.
enum FunctionChoice: Hashable, Sendable {
    case builtIn(String)
    /// A JavaScript or WebAssembly file of the user's.
    case file(path: String)
    /// A file that a node has.
    case content(ContentPath)
    case command(String)

    /// What a function does, as options are called.
    enum Role: String {
        case map, combine, reduce
    }

    /// Reads `--ROLE` or `--ROLE-cmd`; a built-in's name comes before a CID, and that before a path.
    ///
    /// - Returns: `nil` when neither is given.
    init?(_ call: Invocation, _ role: Role, _ builtIns: [String]) throws {
        let (name, command) = (
            call.arguments.value(role.rawValue), call.arguments.value("\(role.rawValue)-cmd")
        )
        switch (name, command) {
        case (nil, nil): return nil
        case (_?, _?):
            throw UsageError("--\(role.rawValue) and --\(role.rawValue)-cmd exclude each other")
        case (nil, let line?):
            guard 1...FunctionReference.maxCommandByteCount ~= line.utf8.count else {
                throw UsageError(
                    "--\(role.rawValue)-cmd is a command of 1 to \(FunctionReference.maxCommandByteCount) bytes"
                )
            }
            self = .command(line)
        case (let name?, nil): self = try FunctionChoice.named(name, role, builtIns)
        }
    }

    var isCommand: Bool { if case .command = self { true } else { false } }

    /// The name of a built-in.
    var builtInName: String? { if case .builtIn(let name) = self { name } else { nil } }

    private static func named(_ name: String, _ role: Role, _ builtIns: [String]) throws -> FunctionChoice {
        if builtIns.contains(name) { return .builtIn(name) }
        // No CID: a path of the file system.
        if let path = try? ContentPath(parsing: name) { return .content(path) }
        // A word that is no file was meant to be a built-in; what looks like a path was meant to be one.
        let kind: FileTree.Kind
        do throws(NodeError) { kind = try FileTree.kind(name, follow: true) } catch {
            guard name.contains("/") || name.contains(".") else { throw unknown(name, role, builtIns) }
            throw error
        }
        guard kind == .file else {
            throw NodeError(
                .file,
                "--\(role.rawValue): \(name) is not a regular file; a function is one file"
            )
        }
        return .file(path: name)
    }

    private static func unknown(_ name: String, _ role: Role, _ builtIns: [String]) -> UsageError {
        let near = Spelling.nearest(to: name, among: builtIns).map { " (did you mean \($0)?)" } ?? ""
        return UsageError(
            "there is no \(role.rawValue) «\(name)»\(near), and no such file; there are "
                + builtIns.joined(separator: ", ")
        )
    }
}
