import BlockStore
import Engines
import MRProtocol
import Multiformats

/// A run file that another node has; read through the network, block by block as needed.
final class RemoteRun: RunBytes {
    let reference: RunReference
    /// Its worker keeps it in memory: it is merged over there before it can be read.
    let isKept: Bool
    private let run: StoredRun

    /// A run in somebody's store; blocks that are fetched are put under the lease `ingest`.
    init(
        _ reference: RunReference,
        store: any BlockStore,
        exchange: Exchange,
        ingest: Ingest,
        isKept: Bool = false
    ) {
        self.reference = reference
        self.isKept = isKept
        let holders = reference.holder.map { [$0] } ?? []
        run = StoredRun(
            root: reference.root,
            byteCount: reference.byteCount,
            store: FetchingStore(
                store,
                exchange: exchange,
                ingest: ingest,
                options: FetchOptions(patience: ClusterLimits.inputPatience, holders: { _ in holders })
            )
        )
    }

    var byteCount: UInt64 { run.byteCount }
    var residentByteCount: Int { 0 }

    func read(at offset: UInt64, into buffer: UnsafeMutableRawBufferPointer) throws(TaskFault) {
        try run.read(at: offset, into: buffer)
    }
}
