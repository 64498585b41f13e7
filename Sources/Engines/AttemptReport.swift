public import MRProtocol
import Synchronization

/// Gathers what user functions say in one attempt.
///
/// Written by the slot's thread, read by anyone.
public final class AttemptReport: Sendable {
    private let state = Mutex(TaskReport())

    /// An empty report.
    public init() {}

    /// What was said so far.
    public var content: TaskReport { state.withLock { $0 } }

    /// Takes in what another node's attempt said.
    package func replace(with content: TaskReport) { state.withLock { $0 = content } }

    func log(_ text: UnsafeRawBufferPointer) {
        state.withLock { state in
            let room = TaskReport.maxLogByteCount - state.log.count
            state.log += text.prefix(room)
            state.droppedLogByteCount += UInt64(max(0, text.count - room))
        }
    }

    func status(_ text: String) {
        let cut = String(decoding: text.utf8.prefix(TaskReport.maxStatusByteCount), as: UTF8.self)
        state.withLock { $0.status = cut }
    }

    func skipped(_ failure: FunctionFailure) {
        state.withLock { state in
            if state.skipped.count < TaskReport.maxSkippedCount { state.skipped.append(failure) }
        }
    }
}
