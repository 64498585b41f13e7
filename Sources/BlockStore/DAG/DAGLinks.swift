public import Multiformats

/// The children of a block.
public enum DAGLinks: Sendable {
    /// The links of a block in block order, also repeated ones.
    ///
    /// Raw blocks and codecs that this node does not read have none.
    ///
    /// - Throws: `.badNode` when the block is not what its codec says.
    public static func links(of cid: CID, _ bytes: UnsafeRawBufferPointer) throws(BlockStoreError) -> [CID] {
        switch cid.codec {
        case .dagPB:
            do throws(DagPBFault) {
                return try DagPBNode(decoding: bytes).links.map(\.cid)
            } catch {
                throw .badNode(cid, "not a dag-pb node (\(error))", cause: error)
            }
        case .dagCBOR:
            do throws(DagCBORFault) {
                return try DagCBOR.links(inBlock: Array(bytes)[...])
            } catch {
                throw .badNode(cid, "not a dag-cbor object (\(error))", cause: error)
            }
        default:
            return []
        }
    }

    /// Whether a block of this codec may have children, so that it has to be read to find them.
    static func mayHaveLinks(_ cid: CID) -> Bool { cid.codec == .dagPB || cid.codec == .dagCBOR }
}
