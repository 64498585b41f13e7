internal import Engines
internal import FunctionProtocol
public import MRProtocol
public import Multiformats

/// Where the code of a user function is.
public enum FunctionSource: Hashable, Sendable {
    /// A file by its CID, here or with a peer.
    case file(CID)
    /// The bytes of a file.
    case bytes([UInt8])
    /// A command line; it is looked at, not run.
    case command(String)
}

/// What a user function is and can do, found by loading it in a sandbox.
public struct FunctionDescription: Hashable, Sendable {
    /// What runs functions.
    public enum Engine: String, Hashable, Sendable, CaseIterable {
        case javaScript = "javascript"
        case webAssembly = "webassembly"
        case command
    }

    /// What a function can be in a job.
    public enum Role: String, Hashable, Sendable, CaseIterable {
        case map
        case combine
        case reduce
    }

    /// What runs it.
    public var engine: Engine
    /// What it can be; a JavaScript file may hold all three.
    public var roles: Set<Role>
    /// The map's output depends on the name of the input or the offset of the record.
    public var usesPosition: Bool
    /// Parts of the sandbox that this node's kernel lacks; empty: it is confined in full.
    public var missing: [String]

    /// Describes a function.
    public init(engine: Engine, roles: Set<Role>, usesPosition: Bool, missing: [String] = []) {
        self.engine = engine
        self.roles = roles
        self.usesPosition = usesPosition
        self.missing = missing
    }
}

extension FunctionDescription {
    init(_ kind: EngineKind, _ readiness: FunctionProtocol.Readiness) {
        self.init(
            engine: Engine(kind),
            roles: Set(Role.allCases.filter { readiness.roles.contains($0.functionRole) }),
            usesPosition: readiness.usesPosition,
            missing: readiness.missing
        )
    }
}

extension FunctionDescription.Engine {
    init(_ kind: EngineKind) {
        self =
            switch kind {
            case .javaScript, .probe: .javaScript
            case .webAssembly: .webAssembly
            case .command: .command
            }
    }

    var kind: EngineKind {
        switch self {
        case .javaScript: .javaScript
        case .webAssembly: .webAssembly
        case .command: .command
        }
    }
}

extension FunctionDescription.Role {
    var functionRole: FunctionRoles {
        switch self {
        case .map: .map
        case .combine: .combine
        case .reduce: .reduce
        }
    }
}

/// The parts of a job that its user left open.
public struct FunctionDefaults: Hashable, Sendable {
    /// The combine; `nil`: none.
    public var combine: FunctionReference?
    /// The reduce.
    public var reduce: FunctionReference
    /// How files are cut into records.
    public var format: RecordFormat

    /// What goes with a map of the user's own.
    ///
    /// Without a chosen reduce the map's file is also the reduce, and the combine, if it can be; else `identity`. A built-in
    /// reduce brings its own combine, as with built-in maps; one of the user's own brings none.
    ///
    /// - Parameters:
    ///   - map: the map.
    ///   - description: what it can do.
    ///   - reduce: the reduce that the user chose, or `nil`.
    public init(map: FunctionReference, _ description: FunctionDescription, reduce: FunctionReference?) {
        format = .lines
        switch reduce {
        case .builtIn(let name)?:
            self.reduce = .builtIn(name)
            combine = BuiltInEngine.combine(forReduce: name).map(FunctionReference.builtIn)
        case let reduce?:
            self.reduce = reduce
            combine = reduce == map && description.roles.contains(.combine) ? map : nil
        case nil where description.engine != .command && description.roles.contains(.reduce):
            self.reduce = map
            combine = description.roles.contains(.combine) ? map : nil
        case nil:
            self.reduce = .builtIn("identity")
            combine = nil
        }
    }

    /// What goes with a built-in map.
    ///
    /// A reduce of the user's own brings no combine: only its author knows whether it can be one.
    ///
    /// - Parameters:
    ///   - map: the name of the map.
    ///   - arguments: the job's.
    ///   - reduce: the reduce that the user chose, or `nil`.
    public init(builtIn map: String, arguments: [String: String], reduce: FunctionReference?) {
        var chosen: String?
        if case .builtIn(let name)? = reduce { chosen = name }
        let known = BuiltInEngine.defaults(forMap: map, arguments: arguments, reduce: chosen)
        combine = reduce?.isUserFunction == true ? nil : known?.combine.map(FunctionReference.builtIn)
        self.reduce = reduce ?? .builtIn(known?.reduce ?? "identity")
        format = known?.format ?? .lines
    }
}
