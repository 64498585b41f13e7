import Multiformats
import PeerNode

/// Jobs as users name them.
extension Invocation {
    /// Most ids that an error lists.
    private static let maxListedIDs = 5

    /// The job that an operand means: an id, or the name of one job.
    ///
    /// - Throws: `NodeError` when there is none, or when several jobs have the name.
    func job(_ text: String, of node: any NodeService) async throws -> JobStatus {
        do {
            return try await node.job(JobID(text))
        } catch let error as NodeError where error.code == .notFound {
            let named = try await node.jobs().filter { $0.name == text }
            guard let job = named.first else { throw error }
            guard named.count == 1 else { throw Invocation.ambiguous(text, named) }
            return job
        }
    }

    private static func ambiguous(_ name: String, _ jobs: [JobStatus]) -> NodeError {
        let listed = jobs.prefix(maxListedIDs).map { "\($0.id) (\($0.state.rawValue))" }
        let more = jobs.count > maxListedIDs ? " and \(jobs.count - maxListedIDs) older ones" : ""
        return NodeError(
            .conflict,
            "\(jobs.count) jobs are called \(name); say which by its id: \(listed.joined(separator: ", "))\(more)"
        )
    }

    /// Says on stderr that jobs wait for a daemon, which alone takes up what another process left unfinished.
    func noteWaiting(_ jobs: [JobStatus], _ access: NodeAccess) {
        guard access.local != nil, !isQuiet else { return }
        let count = jobs.count { !$0.state.isFinal }
        guard count > 0 else { return }
        streams.flush()
        streams.note(
            "peerctl: \(count == 1 ? "a job waits" : "\(count) jobs wait") for a daemon; "
                + "start peernode on \(home.path) to go on with \(count == 1 ? "it" : "them")"
        )
    }
}
