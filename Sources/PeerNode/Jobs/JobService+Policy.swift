import MRProtocol
import Multiformats

// What this node's policy says of its own user's jobs, and other nodes' policies of them.

extension JobService {
    /// The submission with no limit above the policy's.
    ///
    /// - Throws: `JobServiceError.notAllowed` when the policy does not let this node's user run it.
    func admitted(_ submission: JobSubmission) throws(JobServiceError) -> JobSubmission {
        do throws(PolicyRefusal) {
            let grant = try policy.admit(submission.spec, from: nil)
            var submission = submission
            submission.spec.limits = grant.limits.bounding(submission.spec.limits)
            return submission
        } catch {
            throw notAllowed(error)
        }
    }

    /// What this node's own user is told.
    func notAllowed(_ refusal: PolicyRefusal) -> JobServiceError {
        JobServiceError(.notAllowed, "\(refusal.reason); `peerctl policy show` shows this node's policy")
    }

    /// A connected node gives this one no slots.
    func workerDeclined(_ peer: PeerID) {
        guard declining.count < ClusterLimits.maxWorkers else { return }
        declining.insert(peer)
    }

    /// What the user of a job should know about nodes that would not work for it; `nil`: nothing.
    func noteOnDecliningNodes(forInputOf byteCount: UInt64) -> String? {
        guard workers.isEmpty, !declining.isEmpty, byteCount >= ClusterLimits.localJobByteCount else {
            return nil
        }
        let names = declining.sorted().prefix(JobService.maxDecliningShown).map(\.description)
        let others = declining.count - names.count
        return "this node works alone: no connected node allows it jobs ("
            + names.joined(separator: ", ") + (others > 0 ? " and \(others) others" : "")
            + "); `peerctl policy allow` there, or a common swarm key, changes that"
    }

    /// Most nodes that the note names.
    static let maxDecliningShown = 3
}
