/// What runs a function.
package enum EngineKind: UInt8, Sendable, CaseIterable {
    case javaScript = 1
    case webAssembly = 2
    case command = 3
    /// Tries what is forbidden; tests of the sandbox only.
    case probe = 0x7f

    /// Every WebAssembly module begins with these bytes.
    package static let webAssemblyMagic: [UInt8] = [0x00, 0x61, 0x73, 0x6d]

    /// The engine that a shipped file is for: WebAssembly by its first bytes, else JavaScript.
    package init(ofFile bytes: some Collection<UInt8>) {
        self = bytes.starts(with: EngineKind.webAssemblyMagic) ? .webAssembly : .javaScript
    }
}

/// What a function does in a task.
package enum FunctionRole: UInt8, Sendable, CaseIterable {
    case map = 1
    case combine = 2
    case reduce = 4
}

/// A set of roles.
package struct FunctionRoles: OptionSet, Hashable, Sendable {
    package let rawValue: UInt8
    package init(rawValue: UInt8) { self.rawValue = rawValue }
    package init(_ role: FunctionRole) { rawValue = role.rawValue }

    package static let map = FunctionRoles(.map)
    package static let combine = FunctionRoles(.combine)
    package static let reduce = FunctionRoles(.reduce)
}

/// What one process may use in one attempt; 0: unlimited.
package struct FunctionLimits: Hashable, Sendable {
    /// Processor time in milliseconds.
    package var cpuMilliseconds: UInt64
    /// Wall time without any frame from the process while input waits, in milliseconds.
    package var stallMilliseconds: UInt64
    /// Resident memory in bytes.
    package var memoryByteCount: UInt64
    /// Bytes of emitted pairs, and `PackedPairs.headByteCount` more for each.
    package var outputByteCount: UInt64
    /// Emitted pairs.
    package var outputPairCount: UInt64
    /// Bytes of log.
    package var logByteCount: UInt64
    /// Processes and threads of a command.
    package var processCount: UInt64

    /// What a job gets unless node or job says less; of commands `standard(for:)` tells.
    package init(
        cpuMilliseconds: UInt64 = 600_000,
        stallMilliseconds: UInt64 = 60_000,
        memoryByteCount: UInt64 = 512 << 20,
        outputByteCount: UInt64 = 4 << 30,
        outputPairCount: UInt64 = 1 << 30,
        logByteCount: UInt64 = 64 << 10,
        processCount: UInt64 = 64
    ) {
        self.cpuMilliseconds = cpuMilliseconds
        self.stallMilliseconds = stallMilliseconds
        self.memoryByteCount = memoryByteCount
        self.outputByteCount = outputByteCount
        self.outputPairCount = outputPairCount
        self.logByteCount = logByteCount
        self.processCount = processCount
    }

    /// What a job gets for functions of `engine` unless node or job says less.
    ///
    /// Commands may be silent for as long as under Hadoop (`mapreduce.task.timeout`, 10 min): most hold back what they
    /// print until they have some KiB of it.
    package static func standard(for engine: EngineKind) -> FunctionLimits {
        engine == .command ? FunctionLimits(stallMilliseconds: 600_000) : FunctionLimits()
    }
}

/// A function, and how it will be called.
package struct Preparation: Hashable, Sendable {
    package var engine: EngineKind
    /// What it will be asked to do; `ready` or `failed` answers for all of these.
    package var roles: FunctionRoles
    /// What errors call the function, such as `wc.js`.
    package var name: String
    /// JavaScript text, a WebAssembly module, or a command line.
    package var program: [UInt8]
    /// Arguments by name, sorted by name.
    package var arguments: [(name: String, value: String)]
    /// Records on which the function fails are skipped, up to this many an attempt.
    package var skipLimit: UInt64
    package var limits: FunctionLimits
    /// Folder a command works in; empty for the others.
    package var folder: String
    /// Folder of which a command sees nothing but the one it works in: the node's home; empty: none.
    package var hiddenFolder: String
    /// The job is another node's: a command sees no temporary files of the machine.
    package var isForeign: Bool

    package init(
        engine: EngineKind,
        roles: FunctionRoles,
        name: String,
        program: [UInt8],
        arguments: [(name: String, value: String)] = [],
        skipLimit: UInt64 = 0,
        limits: FunctionLimits = FunctionLimits(),
        folder: String = "",
        hiddenFolder: String = "",
        isForeign: Bool = false
    ) {
        self.engine = engine
        self.roles = roles
        self.name = name
        self.program = program
        self.arguments = arguments
        self.skipLimit = skipLimit
        self.limits = limits
        self.folder = folder
        self.hiddenFolder = hiddenFolder
        self.isForeign = isForeign
    }

    package static func == (left: Preparation, right: Preparation) -> Bool { left.body == right.body }
    package func hash(into hasher: inout Hasher) { hasher.combine(body) }

    /// **Layout** engine, roles (1 byte each), name, skip limit (64 bits), the seven limits (64 bits each), folder, hidden
    /// folder, is foreign (1 byte), number of arguments (32 bits), name and value of each, program (the rest).
    package var body: [UInt8] {
        var body = [engine.rawValue, roles.rawValue]
        body.appendField(name)
        body.appendLittleEndian(skipLimit)
        for limit in limits.all { body.appendLittleEndian(limit) }
        body.appendField(folder)
        body.appendField(hiddenFolder)
        body.append(isForeign ? 1 : 0)
        body.appendLittleEndian(UInt32(arguments.count))
        for argument in arguments {
            body.appendField(argument.name)
            body.appendField(argument.value)
        }
        return body + program
    }

    /// Reads a body; `nil` when it is malformed.
    package init?(body: [UInt8]) {
        var reader = FieldReader(body)
        guard let engine = reader.byte().flatMap(EngineKind.init), let roles = reader.byte(),
            let name = reader.text(), let skipLimit = reader.uint64(), let limits = FunctionLimits(&reader),
            let folder = reader.text(), let hiddenFolder = reader.text(), let isForeign = reader.flag(),
            let count = reader.uint32()
        else { return nil }
        var arguments: [(name: String, value: String)] = []
        for _ in 0..<count {
            guard let name = reader.text(), let value = reader.text() else { return nil }
            arguments.append((name, value))
        }
        self.init(
            engine: engine,
            roles: FunctionRoles(rawValue: roles),
            name: name,
            program: reader.rest(),
            arguments: arguments,
            skipLimit: skipLimit,
            limits: limits,
            folder: folder,
            hiddenFolder: hiddenFolder,
            isForeign: isForeign
        )
    }
}

extension FunctionLimits {
    fileprivate var all: [UInt64] {
        [
            cpuMilliseconds, stallMilliseconds, memoryByteCount, outputByteCount, outputPairCount,
            logByteCount,
            processCount,
        ]
    }

    fileprivate init?(_ reader: inout FieldReader) {
        guard let cpu = reader.uint64(), let stall = reader.uint64(), let memory = reader.uint64(),
            let output = reader.uint64(), let pairs = reader.uint64(), let log = reader.uint64(),
            let processes = reader.uint64()
        else { return nil }
        self.init(
            cpuMilliseconds: cpu,
            stallMilliseconds: stall,
            memoryByteCount: memory,
            outputByteCount: output,
            outputPairCount: pairs,
            logByteCount: log,
            processCount: processes
        )
    }
}

/// The function is loaded.
package struct Readiness: Hashable, Sendable {
    /// What the function can do: a file may hold map, combine and reduce.
    package var roles: FunctionRoles
    /// The map's output depends on the record's key (input name and offset).
    package var usesPosition: Bool
    /// Parts of the sandbox that this kernel lacks, such as `landlock`; empty: confined in full.
    package var missing: [String]

    package init(roles: FunctionRoles, usesPosition: Bool, missing: [String] = []) {
        self.roles = roles
        self.usesPosition = usesPosition
        self.missing = missing
    }

    /// **Layout** roles, uses position (1 byte each), number of missing parts (32 bits), each.
    package var body: [UInt8] {
        var body = [roles.rawValue, usesPosition ? 1 : 0]
        body.appendLittleEndian(UInt32(missing.count))
        for part in missing { body.appendField(part) }
        return body
    }

    /// Reads a body; `nil` when it is malformed.
    package init?(body: [UInt8]) {
        var reader = FieldReader(body)
        guard let roles = reader.byte(), let usesPosition = reader.flag(), let count = reader.uint32() else {
            return nil
        }
        var missing: [String] = []
        for _ in 0..<count {
            guard let part = reader.text() else { return nil }
            missing.append(part)
        }
        guard reader.isAtEnd else { return nil }
        self.init(roles: FunctionRoles(rawValue: roles), usesPosition: usesPosition, missing: missing)
    }
}

/// An attempt begins: nothing that an attempt before it left behind is seen.
package struct TaskStart: Hashable, Sendable {
    package var role: FunctionRole
    /// What `Math.random` depends on, and nothing else.
    package var seed: [UInt8]
    /// Partition of a reduce, else 0.
    package var partition: UInt32
    /// What a command finds in its environment, such as `mapreduce_map_input_file`; sorted by name.
    package var environment: [(name: String, value: String)]

    package init(
        role: FunctionRole,
        seed: [UInt8],
        partition: UInt32 = 0,
        environment: [(name: String, value: String)] = []
    ) {
        self.role = role
        self.seed = seed
        self.partition = partition
        self.environment = environment
    }

    package static func == (left: TaskStart, right: TaskStart) -> Bool { left.body == right.body }
    package func hash(into hasher: inout Hasher) { hasher.combine(body) }

    /// **Layout** role (1 byte), partition (32 bits), seed, number of variables (32 bits), name and value of each.
    package var body: [UInt8] {
        var body = [role.rawValue]
        body.appendLittleEndian(partition)
        body.appendField(seed)
        body.appendLittleEndian(UInt32(environment.count))
        for variable in environment {
            body.appendField(variable.name)
            body.appendField(variable.value)
        }
        return body
    }

    /// Reads a body; `nil` when it is malformed.
    package init?(body: [UInt8]) {
        var reader = FieldReader(body)
        guard let role = reader.byte().flatMap(FunctionRole.init), let partition = reader.uint32(),
            let seed = reader.field(), let count = reader.uint32()
        else { return nil }
        var environment: [(name: String, value: String)] = []
        for _ in 0..<count {
            guard let name = reader.text(), let value = reader.text() else { return nil }
            environment.append((name, value))
        }
        guard reader.isAtEnd else { return nil }
        self.init(role: role, seed: seed, partition: partition, environment: environment)
    }
}

/// Whole records of one input, each with its delimiter (the last of a file may lack it).
package struct RecordChunk: Hashable, Sendable {
    /// How records are told apart.
    package enum Format: UInt8, Sendable, CaseIterable {
        case lines = 0
        case crlf = 1
        case words = 2
        /// Escaped `key TAB value` lines of an earlier result; a map gets key and value themselves.
        case kv = 3
    }

    package var format: Format
    package var input: String
    /// Offset of the first byte in the input.
    package var offset: UInt64
    package var bytes: [UInt8]

    package init(format: Format, input: String, offset: UInt64, bytes: [UInt8]) {
        self.format = format
        self.input = input
        self.offset = offset
        self.bytes = bytes
    }

    /// What lies in front of the records' bytes.
    ///
    /// **Layout** format (1 byte), offset (64 bits), input, the records (the rest).
    package var head: [UInt8] {
        var head = [format.rawValue]
        head.appendLittleEndian(offset)
        head.appendField(input)
        return head
    }

    /// Reads a body; `nil` when it is malformed.
    package init?(body: [UInt8]) {
        var reader = FieldReader(body)
        guard let format = reader.byte().flatMap(Format.init), let offset = reader.uint64(),
            let input = reader.text()
        else { return nil }
        self.init(format: format, input: input, offset: offset, bytes: reader.rest())
    }
}

/// A user counter grows.
package struct CounterIncrement: Hashable, Sendable {
    package var group: String
    package var name: String
    package var amount: Int64

    package init(group: String, name: String, amount: Int64) {
        self.group = group
        self.name = name
        self.amount = amount
    }

    /// **Layout** amount (64 bits), group, name.
    package var body: [UInt8] {
        var body: [UInt8] = []
        body.appendLittleEndian(amount)
        body.appendField(group)
        body.appendField(name)
        return body
    }

    /// Reads a body; `nil` when it is malformed.
    package init?(body: [UInt8]) {
        var reader = FieldReader(body)
        guard let amount = reader.int64(), let group = reader.text(), let name = reader.text(), reader.isAtEnd
        else { return nil }
        self.init(group: group, name: name, amount: amount)
    }
}

/// Why a function failed, in the terms of its author.
package struct FunctionFault: Error, Hashable, Sendable {
    package enum Code: UInt8, Sendable, CaseIterable {
        /// The program does not compile, lacks an export, or is for another version.
        case invalid = 1
        /// The function threw, trapped, or ended with a status.
        case threw = 2
        /// A limit was passed; `message` names it.
        case limit = 3
        /// One side sent what the protocol does not allow.
        case protocolViolation = 4
        /// The sandbox could not be built.
        case sandbox = 5
    }

    package var code: Code
    package var message: String
    /// Line and column in the program, from 1; 0: unknown.
    package var line: UInt32
    package var column: UInt32
    /// Frames of the function's stack, one a line, without the engine's own.
    package var stack: String
    /// The record's input and offset, when it was a map; empty and 0 else.
    package var input: String
    package var offset: UInt64
    /// The front of the record or of the key.
    package var excerpt: [UInt8]

    /// Longest excerpt in bytes.
    package static let maxExcerptByteCount = 80

    package init(
        _ code: Code,
        _ message: String,
        line: UInt32 = 0,
        column: UInt32 = 0,
        stack: String = "",
        input: String = "",
        offset: UInt64 = 0,
        excerpt: some Collection<UInt8> = []
    ) {
        self.code = code
        self.message = message
        self.line = line
        self.column = column
        self.stack = stack
        self.input = input
        self.offset = offset
        self.excerpt = Array(excerpt.prefix(FunctionFault.maxExcerptByteCount))
    }

    /// **Layout** code (1 byte), line, column (32 bits each), offset (64 bits), message, stack, input, excerpt.
    package var body: [UInt8] {
        var body = [code.rawValue]
        body.appendLittleEndian(line)
        body.appendLittleEndian(column)
        body.appendLittleEndian(offset)
        body.appendField(message)
        body.appendField(stack)
        body.appendField(input)
        body.appendField(excerpt)
        return body
    }

    /// Reads a body; `nil` when it is malformed.
    package init?(body: [UInt8]) {
        var reader = FieldReader(body)
        guard let code = reader.byte().flatMap(Code.init), let line = reader.uint32(),
            let column = reader.uint32(), let offset = reader.uint64(), let message = reader.text(),
            let stack = reader.text(), let input = reader.text(), let excerpt = reader.field(), reader.isAtEnd
        else { return nil }
        self.init(
            code,
            message,
            line: line,
            column: column,
            stack: stack,
            input: input,
            offset: offset,
            excerpt: excerpt
        )
    }
}
