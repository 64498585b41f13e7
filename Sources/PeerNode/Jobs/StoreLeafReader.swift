import BlockStore
import Engines
import MRProtocol
import Multiformats

/// Reads the leaves of one assignment from the store, and notes how far behind it the attempt read.
final class StoreLeafReader: LeafReader {
    private let store: any BlockStore
    private let assignment: MapAssignment
    /// Leaves behind the last segment that were read.
    ///
    /// Only that segment can end inside a file.
    private(set) var lookaheadCount = 0

    init(store: any BlockStore, assignment: MapAssignment) {
        self.store = store
        self.assignment = assignment
    }

    func withLeaf(
        _ leaf: InputLeaf,
        _ body: (UnsafeRawBufferPointer) throws(TaskFault) -> Void
    ) throws(TaskFault) {
        note(leaf)
        do {
            try store.withLeafBytes(leaf.cid) { bytes in
                guard bytes.count == leaf.byteCount else {
                    throw unavailable(
                        leaf,
                        "it has \(bytes.count) bytes and its parent claims \(leaf.byteCount)"
                    )
                }
                try body(bytes)
            }
        } catch let fault as TaskFault {
            throw fault
        } catch let error as BlockStoreError {
            throw unavailable(leaf, error.message)
        } catch {
            throw unavailable(leaf, "\(error)")
        }
    }

    /// Counts lookahead, which is read in order.
    ///
    /// A leaf of the segment that is the same block as the next one behind it makes the count
    /// too large by that, which only makes the key of the output stricter.
    private func note(_ leaf: InputLeaf) {
        guard let lookahead = assignment.segments.last?.lookahead, lookaheadCount < lookahead.count else {
            return
        }
        if lookahead[lookaheadCount] == leaf { lookaheadCount += 1 }
    }

    private func unavailable(_ leaf: InputLeaf, _ reason: String) -> TaskFault {
        for segment in assignment.segments {
            var offset = segment.fileOffset
            for candidate in segment.leaves + segment.lookahead {
                if candidate == leaf {
                    return .blockUnavailable(leaf.cid, file: segment.fileName, offset: offset, reason: reason)
                }
                offset += UInt64(candidate.byteCount)
            }
        }
        return .blockUnavailable(leaf.cid, file: "", offset: 0, reason: reason)
    }
}
