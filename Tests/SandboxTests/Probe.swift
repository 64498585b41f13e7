import Engines
import FunctionProtocol
import Glibc
import MRProtocol
import PeerTestKit
import Testing

/// A helper with the probe, and what it has answered.
final class Probe {
    let process: FunctionProcess
    private(set) var keys: [String] = []
    private(set) var counters: [CounterIncrement] = []
    private(set) var log = ""

    init(
        program: String = "",
        limits: FunctionLimits = FunctionLimits(),
        isCancelled: @escaping () -> Bool = { false }
    ) throws {
        let helper: String = try #require(BuiltHelper.path)
        process = try FunctionProcess(
            .probe,
            executable: helper,
            isCancelled: isCancelled
        )
        _ = try process.prepare(
            Preparation(
                engine: .probe,
                roles: .map,
                name: "probe",
                program: Array(program.utf8),
                limits: limits
            )
        )
    }

    /// One attempt over these records.
    func attempt(_ records: [String]) throws(FunctionProcess.Fault) {
        try process.begin(TaskStart(role: .map, seed: []))
        for record in records { try send(record + "\n") }
        try process.end(onAnswer: take)
    }

    func send(_ text: String) throws(FunctionProcess.Fault) {
        let head = RecordChunk(format: .lines, input: "input", offset: 0, bytes: []).head
        try Array(text.utf8).withUnsafeBufferPointer { bytes throws(FunctionProcess.Fault) in
            try process.send(.records, head: head, bytes: UnsafeRawBufferPointer(bytes), onAnswer: take)
        }
    }

    func take(_ answer: FunctionAnswer) throws(TaskFault) {
        switch answer {
        case .output(let pairs):
            _ = PackedPairs.forEach(in: pairs) { key, _ in keys.append(String(decoding: key, as: UTF8.self)) }
        case .counter(let increment): counters.append(increment)
        case .log(let text): log += String(decoding: text, as: UTF8.self)
        case .status, .skipped: break
        }
    }
}

/// The fault that `body` throws.
func fault(of body: () throws -> Void) -> FunctionProcess.Fault? {
    do {
        try body()
        return nil
    } catch {
        return error as? FunctionProcess.Fault
    }
}

/// The limit or error that a function's fault names.
func message(of fault: FunctionProcess.Fault?) -> String? {
    if case .function(let fault) = fault { fault.message } else { nil }
}
