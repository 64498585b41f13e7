package import MRProtocol
import Multiformats

/// Why a call over `/mapreduce/1` came to nothing.
package enum CallError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The other side says why.
    case failure(CallFailure)
    /// Nothing was heard for so long.
    case timeout(Duration)
    /// The peer cannot be reached, or the connection ended.
    case unreachable(String)
    /// The other side does not keep to the protocol.
    case violation(String)
    /// The caller's task was cancelled.
    case cancelled

    /// One line for a log or a user.
    package var description: String {
        switch self {
        case .failure(let failure):
            failure.message.isEmpty
                ? "the peer answered with failure \(failure.code.number)" : failure.message
        case .timeout(let limit): "nothing was heard for \(limit.components.seconds) s"
        case .unreachable(let reason): reason
        case .violation(let reason): "the peer broke the protocol: \(reason)"
        case .cancelled: "the call was cancelled"
        }
    }

    /// Any error that a stream throws as one of ours.
    static func wrap(_ error: any Error) -> CallError {
        switch error {
        case let error as CallError: error
        case let error as TimeoutError: .timeout(error.limit)
        case is CancellationError: .cancelled
        case is DelimitedFault, is MessageFault, is MessageStreamFault: .violation("\(error)")
        default: Task.isCancelled ? .cancelled : .unreachable("\(error)")
        }
    }
}
