import FunctionProtocol
import MRProtocol

/// Takes what a function says beside its pairs, and counts it.
final class FunctionTally {
    private let report: AttemptReport
    private(set) var user: [String: Int64] = [:]
    private(set) var badRecords: UInt64 = 0

    init(_ report: AttemptReport) { self.report = report }

    /// Takes an answer that is no output.
    ///
    /// - Throws: `TaskFault.userFunction` when there are too many counters or their names are too long.
    func take(_ answer: FunctionAnswer, of function: LoadedFunction, _ role: FunctionRole) throws(TaskFault) {
        switch answer {
        case .output: break
        case .counter(let increment): try count(increment, function, role)
        case .log(let text): report.log(text)
        case .status(let text): report.status(text)
        case .skipped(let fault):
            badRecords += 1
            report.skipped(FunctionFailure(fault, of: function, role: role))
        }
    }

    /// Adds what was counted to the attempt's counters.
    func add(to counters: inout TaskCounters) {
        counters.badRecords += badRecords
        counters.user.merge(user, uniquingKeysWith: TaskCounters.add)
    }

    private func count(
        _ increment: CounterIncrement,
        _ function: LoadedFunction,
        _ role: FunctionRole
    ) throws(TaskFault) {
        let name = FunctionTally.clean(increment.group) + "\t" + FunctionTally.clean(increment.name)
        guard name.utf8.count <= TaskCounters.maxUserNameByteCount else {
            throw .limit(
                "the name of a counter is longer than \(TaskCounters.maxUserNameByteCount) bytes",
                function,
                role
            )
        }
        guard user[name] != nil || user.count < TaskCounters.maxUserCount else {
            throw .limit("there are more than \(TaskCounters.maxUserCount) counters", function, role)
        }
        user[name] = TaskCounters.add(user[name] ?? 0, increment.amount)
    }

    /// Names are shown on terminals and joined by tabs.
    private static func clean(_ name: String) -> String {
        String(
            String.UnicodeScalarView(
                name.unicodeScalars.map { $0.value < 0x20 || 0x7f...0x9f ~= $0.value ? "?" : $0 }
            )
        )
    }
}

extension TaskFault {
    /// A function that passed a limit which its process does not know.
    static func limit(_ message: String, _ function: LoadedFunction, _ role: FunctionRole) -> TaskFault {
        .userFunction(
            FunctionFailure(.limit, function: function.label, role: role.label, message: message)
        )
    }
}
