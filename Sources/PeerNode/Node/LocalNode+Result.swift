internal import BlockStore
internal import Engines
internal import MRProtocol
public import Multiformats

extension LocalNode {
    /// As `NodeService` says.
    public func readResult(_ cid: CID, into sink: @escaping ByteSink) async throws {
        // Without the list of jobs the lines have to tell.
        let rule = (try? await jobs())?.first { $0.result == cid }.flatMap { KeyRule(of: $0.spec) }
        try await onBlocks(of: cid, isWhole: true) { store in
            let parts = try LocalNode.parts(of: cid, in: store)
            var stopped: (any Error)?
            do throws(TaskFault) {
                try ResultMerger.merge(parts, rule: rule) { (bytes) throws(TaskFault) in
                    do { try sink(bytes) } catch {
                        stopped = error
                        throw .cancelled
                    }
                }
            } catch {
                throw stopped ?? parts.lazy.compactMap(\.failure).first ?? NodeError(.corrupt, "\(error)")
            }
        }
    }

    /// The part files of a result, in order; a single file is its own part.
    private static func parts(of result: CID, in store: any BlockStore) throws -> [ResultPart] {
        if case .file = try UnixFSNode.read(result, in: store) { return [try ResultPart(result, in: store)] }
        let files = try DirectoryReader.entries(of: result, in: store).filter {
            $0.name.starts(with: "part-".utf8)
        }
        guard !files.isEmpty else {
            throw NodeError(.wrongKind, "\(result) is not the result of a job: it has no part files")
        }
        return try files.map { try ResultPart($0.cid, in: store) }
    }
}

/// One part file of a result, as the merger reads it.
private final class ResultPart: RunBytes, @unchecked Sendable {
    // Read by the one thread that merges.
    private let reader: FileReader
    let byteCount: UInt64
    /// Why a read failed, in the words of the store.
    private(set) var failure: BlockStoreError?

    init(_ cid: CID, in store: any BlockStore) throws(BlockStoreError) {
        reader = try FileReader(cid, in: store)
        byteCount = reader.byteCount
    }

    var residentByteCount: Int { 0 }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(TaskFault) {
        do throws(BlockStoreError) {
            _ = try reader.read(at: offset, into: buffer)
        } catch {
            failure = error
            throw .store(error.message)
        }
    }
}
