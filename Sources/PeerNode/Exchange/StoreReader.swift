import BlockStore
import Multiformats

/// Reads from the store on a thread of its own.
actor StoreReader {
    private let executor = ThreadExecutor()
    private let store: any BlockStore

    nonisolated var unownedExecutor: UnownedSerialExecutor { executor.asUnownedSerialExecutor() }

    init(_ store: any BlockStore) { self.store = store }

    /// Lengths of blocks; `nil` for those that are not here or cannot be read.
    func byteCounts(of cids: [CID]) -> [(cid: CID, byteCount: Int?)] {
        // A store that cannot answer has nothing to offer to peers; the local reader will see the error itself.
        cids.map { ($0, try? store.byteCount(of: $0)) }
    }

    /// Verified bytes of blocks; `nil` for those that are gone or damaged.
    func load(_ cids: [CID]) -> [(cid: CID, data: ArraySlice<UInt8>?)] {
        cids.map { cid in (cid, try? store.block(cid)[...]) }
    }

    /// Verified bytes of one block; `nil` when it is not here, or damaged and quarantined.
    func block(_ cid: CID) throws(BlockStoreError) -> [UInt8]? {
        do throws(BlockStoreError) {
            return try store.block(cid)
        } catch {
            guard error.code == .notFound || error.code == .corrupt else { throw error }
            return nil
        }
    }

    /// Splits blocks into those that are missing and those that are here.
    func missing(among cids: [CID]) throws(BlockStoreError) -> (missing: [CID], present: [CID]) {
        var missing: [CID] = []
        var present: [CID] = []
        for cid in cids {
            if try store.contains(cid.multihash) { present.append(cid) } else { missing.append(cid) }
        }
        return (missing, present)
    }

    /// Looks at nodes of a DAG: those that are missing, and the links of those that are here.
    ///
    /// A node that turns out damaged is in quarantine then, and missing.
    func examine(_ cids: [CID]) throws(BlockStoreError) -> (missing: [CID], present: [CID], links: [CID]) {
        var (missing, present) = try self.missing(among: cids)
        var links: [CID] = []
        for cid in present where cid.mayHaveLinks {
            do {
                links += try store.withBlock(cid) { try DAGLinks.links(of: cid, $0) }
            } catch let error as BlockStoreError where error.code == .notFound || error.code == .corrupt {
                missing.append(cid)
            } catch let error as BlockStoreError {
                throw error
            } catch {
                throw BlockStoreError(.io, "\(error)", cid: cid, cause: error)
            }
        }
        present.removeAll { missing.contains($0) }
        return (missing, present, links)
    }

    /// Starts a lease.
    func makeIngest() throws(BlockStoreError) -> Ingest { try store.makeIngest() }
}

extension CID {
    /// Whether a block of this codec has to be read to find its children.
    var mayHaveLinks: Bool { codec == .dagPB || codec == .dagCBOR }
}
