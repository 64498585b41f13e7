import Multiformats
import Synchronization

/// The log of what single peers do, which none of them can fill: of each kind of event some are written, and then how
/// many were not.
final class PeerLog: Sendable {
    private let ration = Mutex(LogRation())
    private let log: Log

    init(_ log: Log) { self.log = log }

    func callAsFunction(_ level: LogLevel, _ message: String, of peer: PeerID, because reason: String) {
        // What is ordinary must not use up the lines of what is not.
        let untold = ration.withLock { $0.spend("\(level.rawValue)\n\(message)", now: .now) }
        guard let untold else { return }
        log(level, message, ["peer": peer.description, "reason": reason, "untold": "\(untold)"])
    }
}
