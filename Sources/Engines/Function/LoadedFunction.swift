package import FunctionProtocol
package import MRProtocol
package import Multiformats

/// A user function with its program at hand.
package struct LoadedFunction: Sendable {
    package var reference: FunctionReference
    package var engine: EngineKind
    /// JavaScript text, a WebAssembly module, or a command line.
    package var program: [UInt8]

    /// Largest JavaScript file, in bytes.
    package static let maxScriptByteCount = 16 << 20
    /// Largest WebAssembly module, in bytes: it goes to its process in one frame.
    package static let maxModuleByteCount = 60 << 20

    /// The function in a file: what kind it is of its first bytes tell.
    package init(file: FunctionReference, bytes: [UInt8]) {
        reference = file
        engine = EngineKind(ofFile: bytes)
        program = bytes
    }

    /// A command line.
    package init(command line: String) {
        reference = .command(line)
        engine = .command
        program = Array(line.utf8)
    }

    /// Most bytes of a file that begins with `bytes`.
    package static func maxByteCount(ofFileBeginning bytes: some Collection<UInt8>) -> Int {
        isWebAssembly(fileBeginning: bytes) ? maxModuleByteCount : maxScriptByteCount
    }

    /// Whether a file that begins with `bytes` is a WebAssembly module; else it is taken for JavaScript.
    package static func isWebAssembly(fileBeginning bytes: some Collection<UInt8>) -> Bool {
        EngineKind(ofFile: bytes) == .webAssembly
    }

    /// What faults call the function until somebody knows a better name.
    package var label: String { reference.label }
}

extension FunctionReference {
    /// The name of a built-in, the CID of a file, or a command line.
    package var label: String {
        switch self {
        case .builtIn(let name): name
        case .file(let cid): cid.description
        case .command(let line): line
        }
    }
}

extension FunctionRole {
    /// `map`, `combine`, `reduce`.
    package var label: String {
        switch self {
        case .map: "map"
        case .combine: "combine"
        case .reduce: "reduce"
        }
    }
}

extension JobSpec {
    /// What a function does in the job; empty when it is not part of it.
    package func roles(of function: FunctionReference) -> FunctionRoles {
        var roles: FunctionRoles = []
        if map == function { roles.insert(.map) }
        if combine == function { roles.insert(.combine) }
        if reduce == function { roles.insert(.reduce) }
        return roles
    }

    /// The files of the job's functions, and those shipped with its commands.
    package var codeRoots: [CID] {
        userFunctions.compactMap { if case .file(let cid) = $0 { cid } else { nil } } + files.map(\.root)
    }

    /// The functions that are no part of this program, each once.
    package var userFunctions: [FunctionReference] {
        var functions: [FunctionReference] = []
        for function in self.functions where function.isUserFunction && !functions.contains(function) {
            functions.append(function)
        }
        return functions
    }
}
