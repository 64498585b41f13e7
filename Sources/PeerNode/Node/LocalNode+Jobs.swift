internal import Multiformats

// MARK: - Jobs

extension LocalNode {
    /// As `NodeService` says.
    public func submit(_ submission: JobSubmission) async throws -> JobID {
        try await asking { try await $0.submit(submission) }
    }

    /// As `NodeService` says.
    public func jobs() async throws -> [JobStatus] { try await asking { try await $0.jobs() } }

    /// As `NodeService` says.
    public func job(_ id: JobID) async throws -> JobStatus {
        try await asking { try await $0.status(of: id) }
    }

    /// As `NodeService` says.
    public func watchJob(
        _ id: JobID,
        update: @escaping @Sendable (JobStatus) throws -> Void
    ) async throws -> JobStatus {
        try await asking { service in
            for await status in try await service.updates(of: id) {
                try update(status)
                if status.state.isFinal { return status }
            }
            let status = try await service.status(of: id)
            guard status.state.isFinal else {
                throw NodeError(.unreachable, "the node stopped before job \(id) ended")
            }
            return status
        }
    }

    /// As `NodeService` says.
    public func cancelJob(_ id: JobID) async throws { try await asking { try await $0.cancel(id) } }

    /// As `NodeService` says.
    public func jobLog(_ id: JobID) async throws -> [JobLogEntry] {
        try await asking { try await $0.log(of: id) }
    }

    private func asking<Value: Sendable>(_ body: (JobService) async throws -> Value) async throws -> Value {
        do { return try await body(jobService()) } catch { throw NodeError.wrap(error) }
    }
}
