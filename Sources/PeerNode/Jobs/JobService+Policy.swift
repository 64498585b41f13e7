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

    /// A connected node gives this one no slots, or does not any more.
    func workerDeclined(_ peer: PeerID) {
        workerLeft(peer, reason: "its policy allows this node no jobs")
        guard declining.count < ClusterLimits.maxWorkers else { return }
        declining.insert(peer)
    }

    /// What the user of a job should know about nodes that would not work for it; `nil`: nothing.
    func noteOnDecliningNodes(of spec: JobSpec, inputByteCount: UInt64) -> String? {
        guard inputByteCount >= ClusterLimits.localJobByteCount else { return nil }
        let engine = engineName(for: spec)
        let others = workers.values.filter { !$0.runs(engine) }.map(\.worker.peer)
        let idle = declining.union(others).sorted()
        guard others.count == workers.count, !idle.isEmpty else { return nil }
        let names = idle.prefix(JobService.maxDecliningShown).map(\.description).joined(separator: ", ")
        let more = max(0, idle.count - JobService.maxDecliningShown)
        let what =
            switch engine {
            case engineName: "any jobs"
            case commandEngineName: "commands"
            default: "JavaScript or WebAssembly"
            }
        return "this node works alone: no connected node runs \(what) for it (\(names)"
            + (more > 0 ? " and \(more) others" : "") + "); see `peerctl policy allow --help`"
    }

    /// Most nodes that the note names.
    static let maxDecliningShown = 3
}
