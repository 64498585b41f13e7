// MARK: - Policy

extension LocalNode {
    /// As `NodeService` says.
    public func policy() async throws -> PolicyReport {
        let (gate, isDaemon) = (gate, options.isDaemon)
        return try await threads.run { try gate.report(asDaemon: isDaemon) }
    }

    /// As `NodeService` says.
    public func setPolicy(_ grant: PolicyGrant?, of subject: PolicySubject) async throws -> PolicyReport {
        try await changePolicy { gate throws(NodeError) in try gate.set(grant, for: subject) }
    }

    /// As `NodeService` says.
    public func resetPolicy() async throws -> PolicyReport {
        try await changePolicy { gate throws(NodeError) in try gate.reset() }
    }

    private func changePolicy(
        _ change: @escaping @Sendable (PolicyGate) throws(NodeError) -> Void
    ) async throws -> PolicyReport {
        let (gate, isDaemon) = (gate, options.isDaemon)
        let report = try await threads.run {
            try change(gate)
            return try gate.report(asDaemon: isDaemon)
        }
        await network?.policyChanged()
        return report
    }
}
