public import MRProtocol
import Synchronization

/// What user functions said in one attempt, beside their pairs and counters.
///
/// Written by the slot's thread, read by anyone.
public final class AttemptReport: Sendable {
    /// What was said so far.
    public struct Content: Hashable, Sendable {
        /// The log's first bytes, as far as they fit.
        public var log: [UInt8] = []
        /// Bytes of log that did not fit.
        public var droppedLogByteCount = 0
        /// What the attempt was doing last.
        public var status = ""
        /// The first records that were skipped, and why.
        public var skipped: [FunctionFailure] = []

        /// Nothing said.
        public init() {}

        /// Nothing was said.
        public var isEmpty: Bool { self == Content() }
    }

    /// Most bytes of log that are kept.
    public static let maxLogByteCount = 64 << 10
    /// Longest status, in UTF-8 bytes.
    public static let maxStatusByteCount = 256
    /// Most skipped records that are named.
    public static let maxSkippedCount = 20

    private let state = Mutex(Content())

    /// An empty report.
    public init() {}

    /// What was said so far.
    public var content: Content { state.withLock { $0 } }

    /// Takes in what another node's attempt said.
    package func replace(with content: Content) { state.withLock { $0 = content } }

    func log(_ text: UnsafeRawBufferPointer) {
        state.withLock { state in
            let room = AttemptReport.maxLogByteCount - state.log.count
            state.log += text.prefix(room)
            state.droppedLogByteCount += max(0, text.count - room)
        }
    }

    func status(_ text: String) {
        let cut = String(decoding: text.utf8.prefix(AttemptReport.maxStatusByteCount), as: UTF8.self)
        state.withLock { $0.status = cut }
    }

    func skipped(_ failure: FunctionFailure) {
        state.withLock { state in
            if state.skipped.count < AttemptReport.maxSkippedCount { state.skipped.append(failure) }
        }
    }
}
