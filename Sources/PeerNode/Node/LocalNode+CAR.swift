internal import BlockStore
public import Multiformats

// MARK: - Whole DAGs

extension LocalNode {
    public func exportCAR(_ cid: CID, into sink: @escaping ByteSink) async throws {
        throw NodeError(.internal, "not built yet")
    }

    public func importCAR(_ source: any ByteSource, pinsRoots: Bool) async throws -> ImportReport {
        throw NodeError(.internal, "not built yet")
    }

    public func dagStatistics(_ cid: CID) async throws -> DAGStatistics {
        try await onStore { store in
            var statistics = DAGStatistics(blockCount: 0, byteCount: 0)
            try DAGWalk.forEach(cid, in: store) { _, byteCount in
                statistics.blockCount += 1
                statistics.byteCount += UInt64(byteCount)
            }
            return statistics
        }
    }
}
