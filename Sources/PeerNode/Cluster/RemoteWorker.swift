import MRProtocol
package import Multiformats

/// A run file, and the peer that has it.
struct RunReference: Hashable, Sendable {
    var root: CID
    var byteCount: UInt64
    /// `nil`: this node.
    var holder: PeerID?
}

/// Why a worker gave no output.
enum RemoteFailure: Error, Sendable {
    /// The attempt ran and failed, or the worker erred.
    case task(TaskFault)
    /// The worker has no room now, or is stopping: another time, or another worker.
    case busy(String)
    /// The worker's operator does not let this node run the job there.
    case notAllowed(String)
    /// The worker is gone, or of no use to this node.
    case lost(String)

    init(_ error: CallError) {
        switch error {
        case .failure(let failure):
            if failure.code == .busy || failure.code == .cancelled {
                // Who ends an attempt that was not to be stopped has something else to do, such as to stop itself.
                self = .busy(RemoteFailure.shown(error.description))
            } else if let fault = failure.taskFault {
                self = .task(fault)
            } else if failure.code == .notAllowed {
                self = .notAllowed(RemoteFailure.shown(failure.message))
            } else if failure.code == .unsupportedEngine || failure.code == .unsupportedVersion {
                self = .lost(failure.message)
            } else {
                self = .task(.store("the worker answered: \(error)"))
            }
        case .violation: self = .task(.store("\(error)"))
        case .timeout, .unreachable: self = .lost("\(error)")
        case .cancelled: self = .task(.cancelled)
        }
    }

    /// Longest reason of a peer that is shown, in characters.
    private static let maxReasonCount = 300

    /// What a peer says, fit for a terminal: one line of bounded length.
    private static func shown(_ reason: String) -> String {
        String(reason.prefix(maxReasonCount).map { $0.isASCII && !(" "..."~").contains($0) ? " " : $0 })
    }
}

/// The signature of a worker under its receipts.
package struct ReceiptSigner: Sendable {
    let publicKey: PublicKey
    let sign: @Sendable ([UInt8]) -> [UInt8]

    /// Signs with the node's key.
    package init(publicKey: PublicKey, sign: @escaping @Sendable ([UInt8]) -> [UInt8]) {
        self.publicKey = publicKey
        self.sign = sign
    }

    var peer: PeerID { PeerID(publicKey) }
}
