import Engines
import FunctionProtocol
import MRProtocol
import PeerTestKit
import Testing

/// A helper with one function, and what it has answered.
final class FunctionHelper {
    struct Pair: Hashable, CustomStringConvertible {
        let key: [UInt8]
        let value: [UInt8]?

        init(_ key: String, _ value: String? = nil) {
            self.init(Array(key.utf8), value.map { Array($0.utf8) })
        }

        init(_ key: [UInt8], _ value: [UInt8]?) {
            self.key = key
            self.value = value
        }

        var description: String {
            String(decoding: key, as: UTF8.self)
                + (value.map { "=" + String(decoding: $0, as: UTF8.self) } ?? "")
        }
    }

    let process: FunctionProcess
    private(set) var readiness: Readiness
    private var preparation: Preparation
    private(set) var pairs: [Pair] = []
    private(set) var counters: [CounterIncrement] = []
    private(set) var skipped: [FunctionFault] = []
    private(set) var log = ""

    init(
        _ engine: EngineKind,
        _ program: [UInt8],
        roles: FunctionRoles = .map,
        name: String,
        arguments: [(name: String, value: String)] = [],
        skipLimit: UInt64 = 0,
        limits: FunctionLimits = FunctionLimits()
    ) throws {
        let executable: String = try #require(BuiltHelper.path)
        process = try FunctionProcess(
            engine,
            executable: executable,
            memoryByteLimit: limits.memoryByteCount
        )
        preparation = Preparation(
            engine: engine,
            roles: roles,
            name: name,
            program: program,
            arguments: arguments,
            skipLimit: skipLimit,
            limits: limits
        )
        readiness = try process.prepare(preparation)
    }

    /// Prepares the process once more, with what `change` makes of the preparation.
    func prepareAgain(_ change: (inout Preparation) -> Void) throws(FunctionProcess.Fault) {
        change(&preparation)
        readiness = try process.prepare(preparation)
    }

    /// A function of this text.
    static func script(
        _ text: String,
        _ roles: FunctionRoles = .map,
        arguments: [(name: String, value: String)] = [],
        skipLimit: UInt64 = 0,
        limits: FunctionLimits = FunctionLimits()
    ) throws -> FunctionHelper {
        try FunctionHelper(
            .javaScript,
            Array(text.utf8),
            roles: roles,
            name: "f.js",
            arguments: arguments,
            skipLimit: skipLimit,
            limits: limits
        )
    }
}

// MARK: - Attempts

extension FunctionHelper {
    /// The pairs that a map emits for these records.
    func map(
        _ text: String,
        _ format: RecordChunk.Format = .lines,
        input: String = "in.txt",
        offset: UInt64 = 0,
        seed: [UInt8] = []
    ) throws(FunctionProcess.Fault) -> [Pair] {
        try map(Array(text.utf8), format, input: input, offset: offset, seed: seed)
    }

    func map(
        _ bytes: [UInt8],
        _ format: RecordChunk.Format = .lines,
        input: String = "in.txt",
        offset: UInt64 = 0,
        seed: [UInt8] = []
    ) throws(FunctionProcess.Fault) -> [Pair] {
        try attempt(.map, seed: seed) { () throws(FunctionProcess.Fault) in
            let head = RecordChunk(format: format, input: input, offset: offset, bytes: []).head
            try self.send(.records, head: head, bytes)
        }
    }

    /// The pairs that a combine or reduce emits for these, which are sorted; each batch is a frame.
    func reduce(
        _ batches: [[Pair]],
        _ role: FunctionRole = .reduce
    ) throws(FunctionProcess.Fault) -> [Pair] {
        try attempt(role) { () throws(FunctionProcess.Fault) in
            for batch in batches { try self.send(.input, FunctionHelper.packed(batch)) }
        }
    }

    func attempt(
        _ role: FunctionRole,
        seed: [UInt8] = [],
        _ body: () throws(FunctionProcess.Fault) -> Void
    ) throws(FunctionProcess.Fault) -> [Pair] {
        pairs = []
        try process.begin(TaskStart(role: role, seed: seed))
        try body()
        try process.end(onAnswer: take)
        return pairs
    }

    func send(
        _ kind: Frame.Kind,
        head: [UInt8] = [],
        _ bytes: [UInt8]
    ) throws(FunctionProcess.Fault) {
        try bytes.withUnsafeBufferPointer { bytes throws(FunctionProcess.Fault) in
            try process.send(kind, head: head, bytes: UnsafeRawBufferPointer(bytes), onAnswer: take)
        }
    }

    static func packed(_ pairs: [Pair]) -> [UInt8] {
        var bytes: [UInt8] = []
        for pair in pairs { PackedPairs.append(key: pair.key, value: pair.value, to: &bytes) }
        return bytes
    }

    private func take(_ answer: FunctionAnswer) throws(TaskFault) {
        switch answer {
        case .output(let packed):
            _ = PackedPairs.forEach(in: packed) { pairs.append(Pair(Array($0), $1.map { Array($0) })) }
        case .counter(let increment): counters.append(increment)
        case .log(let text): log += String(decoding: text, as: UTF8.self)
        case .skipped(let fault): skipped.append(fault)
        case .status: break
        }
    }
}

/// The function's fault that `body` throws; another name for it where a constant is called `fault`.
func functionFault(of body: () throws -> Void) -> FunctionFault? { fault(of: body) }
