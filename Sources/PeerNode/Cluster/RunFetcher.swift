import BlockStore
import MRProtocol
import Multiformats

/// Fetches run files and parts of results, or just what one partition needs of them.
///
/// Reads of the store block, so they run on a thread of this actor's own.
actor RunFetcher {
    private let executor = ThreadExecutor()
    private let store: any BlockStore
    private let exchange: Exchange

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(store: any BlockStore, exchange: Exchange) {
        self.store = store
        self.exchange = exchange
    }

    /// Fetches a whole run file and checks that it is one.
    ///
    /// - Throws: `.mapOutputUnavailable`, or `.malformedMapOutput` when it is no run of `partitionCount` partitions.
    func fetchRun(_ run: RunReference, partitionCount: Int, into ingest: Ingest) async throws(TaskFault) {
        try await fetchAll(run, into: ingest)
        do {
            let reader = try FileReader(run.root, in: store)
            guard reader.byteCount == run.byteCount else { throw RunFault.truncated }
            let index = try Self.index(reader)
            guard index.partitionCount == partitionCount else { throw RunFault.badIndex }
        } catch {
            throw .malformedMapOutput(runIndex: 0, reason: "\(run.root): \(error)")
        }
    }

    /// Fetches whole run files at once, and checks that they are some.
    ///
    /// - Returns: what is wrong with those that could not be had, by root.
    nonisolated func fetchRuns(_ runs: [RunReference], partitionCount: Int, into ingest: Ingest) async
        -> [CID: TaskFault]
    {
        await withTaskGroup(of: [CID: TaskFault].self) { group in
            let shared = RunQueue(runs)
            for _ in 0..<min(runs.count, ClusterLimits.parallelRunFetches) {
                group.addTask {
                    var faults: [CID: TaskFault] = [:]
                    while let run = await shared.next() {
                        do throws(TaskFault) {
                            try await self.fetchRun(run, partitionCount: partitionCount, into: ingest)
                        } catch {
                            faults[run.root] = error
                        }
                    }
                    return faults
                }
            }
            return await group.reduce(into: [:]) { all, some in all.merge(some) { first, _ in first } }
        }
    }

    /// Fetches a part of a result.
    ///
    /// - Returns: the part as its directory needs to know it, measured here and not as the worker says.
    func fetchPart(_ part: RunReference, into ingest: Ingest) async throws(TaskFault) -> ImportedNode {
        try await fetchAll(part, into: ingest)
        do {
            return try measure(part.root)
        } catch {
            throw .mapOutputUnavailable(part.root, reason: "\(error)")
        }
    }

    /// Fetches of every run what the reduce of `partition` reads: the index, and the blocks of the partition.
    ///
    /// What cannot be had is left to the reduce, which meets it again and reports it.
    nonisolated func prefetch(_ partition: Int, of runs: [RunReference], into ingest: Ingest) async {
        await withDiscardingTaskGroup { group in
            let shared = RunQueue(runs.filter { $0.holder != nil })
            for _ in 0..<min(runs.count, ClusterLimits.parallelRunFetches) {
                group.addTask {
                    while let run = await shared.next() {
                        // Met again by the reduce.
                        try? await self.prefetch(partition, of: run, into: ingest)
                    }
                }
            }
        }
    }

    private func fetchAll(_ file: RunReference, into ingest: Ingest) async throws(TaskFault) {
        do throws(ExchangeError) {
            try await exchange.fetchDAG(file.root, ingest: ingest, options: Self.options(file))
        } catch {
            throw .mapOutputUnavailable(file.root, reason: error.message)
        }
    }

    private func prefetch(_ partition: Int, of run: RunReference, into ingest: Ingest) async throws {
        let options = Self.options(run)
        try await exchange.ensure([run.root], ingest: ingest, options: options)
        let reader = try FileReader(run.root, in: store)
        let index = try await fetching(ingest, options) { try Self.index(reader) }
        guard let entry = index.entry(for: partition) else { return }
        let range = entry.offset..<entry.offset + entry.byteCount
        let leaves = try await fetching(ingest, options) {
            try Self.leaves(of: run.root, holding: range, in: store)
        }
        try await exchange.ensure(leaves, ingest: ingest, options: options)
    }

    /// Repeats `body`, fetching the block that it misses, until it misses none.
    private func fetching<Value>(
        _ ingest: Ingest,
        _ options: FetchOptions,
        _ body: () throws -> Value
    ) async throws -> Value {
        while true {
            do {
                return try body()
            } catch let error as BlockStoreError where error.code == .notFound {
                guard let cid = error.cid else { throw error }
                try await exchange.ensure([cid], ingest: ingest, options: options)
            }
        }
    }

    /// The blocks that hold a range of a file's bytes.
    private static func leaves(of root: CID, holding range: Range<UInt64>, in store: any BlockStore) throws
        -> [CID]
    {
        var leaves: [CID] = []
        var iterator = try store.leaves(of: root)
        while let leaf = try iterator.next(), leaf.offset < range.upperBound {
            if leaf.offset + UInt64(leaf.byteCount) > range.lowerBound { leaves.append(leaf.cid) }
        }
        return leaves
    }

    private static func index(_ reader: FileReader) throws -> RunIndex {
        let size = reader.byteCount
        guard size >= UInt64(RunIndex.footerByteCount) else { throw RunFault.truncated }
        let end = size - UInt64(RunIndex.footerByteCount)
        let footer = try RunIndex.decodeFooter(
            try bytes(reader, from: end, count: RunIndex.footerByteCount),
            fileByteCount: size
        )
        return try RunIndex.decode(
            try bytes(reader, from: footer.indexOffset, count: footer.indexByteCount),
            footer: footer
        )
    }

    private static func bytes(_ reader: FileReader, from offset: UInt64, count: Int) throws -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: count)
        let filled = try bytes.withUnsafeMutableBytes { buffer throws(BlockStoreError) in
            try reader.read(at: offset, into: buffer)
        }
        guard filled == count else { throw RunFault.truncated }
        return bytes
    }

    private static func options(_ file: RunReference) -> FetchOptions {
        let holders = file.holder.map { [$0] } ?? []
        return FetchOptions(patience: ClusterLimits.inputPatience, holders: { _ in holders })
    }

    private func measure(_ root: CID) throws -> ImportedNode {
        let block = try store.block(root)
        guard root.codec == .dagPB else {
            let count = UInt64(block.count)
            return ImportedNode(cid: root, fileByteCount: count, totalByteCount: count)
        }
        let node = try block.withUnsafeBytes { try DagPBNode(decoding: $0) }
        let reader = try FileReader(root, in: store)
        return ImportedNode(
            cid: root,
            fileByteCount: reader.byteCount,
            totalByteCount: node.links.reduce(UInt64(block.count)) { $0 &+ ($1.totalByteCount ?? 0) }
        )
    }
}

/// Hands out runs to the tasks that fetch them.
private actor RunQueue {
    private var rest: ArraySlice<RunReference>
    init(_ runs: [RunReference]) { rest = runs[...] }
    func next() -> RunReference? { rest.popFirst() }
}
