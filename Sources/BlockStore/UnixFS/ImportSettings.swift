/// How files and directories become blocks; other settings give other CIDs for the same bytes.
public struct ImportSettings: Hashable, Sendable {
    /// File bytes of a leaf.
    public var chunkByteCount: Int
    /// Links of an inner node.
    public var maxLinkCount: Int
    /// Leaves are raw blocks, not dag-pb nodes.
    public var hasRawLeaves: Bool
    /// dag-pb nodes get CIDv0 (`Qm…`); raw leaves are CIDv1 in any case.
    public var usesCIDv0: Bool
    /// How the size of a directory is estimated that decides about sharding.
    public var directoryEstimate: DirectoryEstimate
    /// Estimate in bytes above which a directory would have to be sharded.
    public var directoryByteLimit: Int

    /// How the size of a directory is estimated.
    public enum DirectoryEstimate: Hashable, Sendable {
        /// Names and binary CIDs.
        case links
        /// The encoded block.
        case block
    }

    /// What `ipfs add --cid-version=1` does, and our default.
    ///
    /// Raw leaves of 262,144 bytes, 174 links to a node, CIDv1.
    public static let standard = ImportSettings(
        chunkByteCount: 262_144,
        maxLinkCount: 174,
        hasRawLeaves: true,
        usesCIDv0: false,
        directoryEstimate: .links,
        directoryByteLimit: 262_144
    )

    /// IPIP-499 `unixfs-v0-2015`: what a plain `ipfs add` does.
    public static let unixFSv0 = ImportSettings(
        chunkByteCount: 262_144,
        maxLinkCount: 174,
        hasRawLeaves: false,
        usesCIDv0: true,
        directoryEstimate: .links,
        directoryByteLimit: 262_144
    )

    /// IPIP-499 `unixfs-v1-2025`: 1 MiB raw leaves, 1024 links, CIDv1.
    public static let unixFSv1 = ImportSettings(
        chunkByteCount: 1_048_576,
        maxLinkCount: 1024,
        hasRawLeaves: true,
        usesCIDv0: false,
        directoryEstimate: .block,
        directoryByteLimit: 262_144
    )

    /// Longest chunk: the node around a dag-pb leaf must still fit a block.
    public static let maxChunkByteCount = BlockLimits.maxByteCount - 256
    /// Most links of an inner node: about 100 bytes each stay below the block limit.
    public static let maxMaxLinkCount = 16_384

    /// Within the limits that `FileBuilder` demands.
    public var isValid: Bool {
        (1...Self.maxChunkByteCount).contains(chunkByteCount)
            && (2...Self.maxMaxLinkCount).contains(maxLinkCount)
    }
}
