public import Multiformats

/// Writes a DAG as a CAR version 1, byte for byte like `ipfs dag export`.
///
/// **Layout** section* with section = varint(n) ‖ n bytes; first the header, then CID ‖ block. **Source** FORMATS section 8.
public enum CARWriter {
    /// Writes the header and every block under `root`, each CID once, parents first.
    ///
    /// - Parameters:
    ///   - root: the one root of the file.
    ///   - store: where the blocks are.
    ///   - write: takes the bytes in order; a pointer is valid only inside the call.
    /// - Throws: `.notFound` for a missing block, and what `write` throws.
    public static func export(
        _ root: CID,
        from store: any BlockStore,
        write: (UnsafeRawBufferPointer) throws -> Void
    ) throws {
        try header(roots: [root]).withUnsafeBytes(write)
        var walker = DAGWalker(root: root, in: store)
        while let step = try walker.next() {
            if step.cid.multihash.code == Multihash.identityCode { continue }
            try store.withBlock(step.cid) { block in
                let cid = step.cid.bytes
                try (Varint.encode(UInt64(cid.count + block.count)) + cid).withUnsafeBytes(write)
                try write(block)
            }
        }
    }

    /// The first section of a CAR.
    static func header(roots: [CID]) -> [UInt8] {
        let header = DagCBOR.map(["roots": .array(roots.map { .link($0) }), "version": .unsigned(1)])
            .encoded()
        return Varint.encode(UInt64(header.count)) + header
    }
}
