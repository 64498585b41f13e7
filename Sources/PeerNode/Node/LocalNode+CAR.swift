internal import BlockStore
public import Multiformats

// MARK: - Whole DAGs

extension LocalNode {
    /// As `NodeService` says.
    public func exportCAR(_ cid: CID, into sink: @escaping ByteSink) async throws {
        try await onStore { try CARWriter.export(cid, from: $0) { try sink($0) } }
    }

    /// As `NodeService` says.
    public func importCAR(_ source: any ByteSource, pinsRoots: Bool) async throws -> ImportReport {
        try await onStore { store in
            let report = try CARImporter.run(into: store, pinName: { pinsRoots ? $0.description : nil }) {
                try source.read(into: $0)
            }
            return ImportReport(
                roots: report.roots,
                blockCount: UInt64(report.blockCount),
                byteCount: report.byteCount,
                isPinned: pinsRoots
            )
        }
    }

    /// As `NodeService` says.
    public func dagStatistics(_ cid: CID) async throws -> DAGStatistics {
        try await onStore { store in
            var statistics = DAGStatistics(blockCount: 0, byteCount: 0)
            try BlockWalk.forEach(cid, in: store) { _, byteCount in
                statistics.blockCount += 1
                statistics.byteCount += UInt64(byteCount)
            }
            return statistics
        }
    }
}
