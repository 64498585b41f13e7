public import Multiformats

/// One node of a sharded directory (HAMT): names are spread over its slots by their hash.
///
/// **Layout** a dag-pb node of UnixFS type 5 with fanout and hash type. A link is called by its slot as upper-case hex
/// digits; behind them the name of the one entry of the slot, or nothing when the slot leads to a shard of the next
/// level. **Source** ipfs specs, unixfs, «HAMT»; FORMATS section 6.
public struct DirectoryShard: Sendable {
    /// What lies in a slot.
    public enum Slot: Sendable {
        case entry(UnixFSNode.DirectoryEntry)
        case shard(CID)
    }

    /// Slots in use, with their numbers, in the order of the links.
    public let slots: [(number: Int, content: Slot)]
    /// Bits of the hash that choose a slot.
    let levelBitCount: Int

    /// Multihash code of MurmurHash3 x64, first 64 bits: the only hash in use.
    static let hashType: UInt64 = 0x22
    /// Slots of the shards that are written.
    static let fanout = 256
    /// Most shards that reading one directory visits.
    public static let maxShardCount = 1 << 18
    /// Most entries of a sharded directory that are read.
    public static let maxEntryCount = 1 << 22
    /// Bits of a name's hash.
    static let hashBitCount = 64

    /// Reads a shard.
    init(_ cid: CID, _ node: DagPBNode, _ message: UnixFSData) throws(BlockStoreError) {
        guard let fanout = message.fanout, fanout > 1 else { throw .badNode(cid, "a shard without a fanout") }
        guard message.hashType == DirectoryShard.hashType else {
            throw BlockStoreError(.unsupported, "\(cid) places names by a hash that is not known", cid: cid)
        }
        levelBitCount = fanout.trailingZeroBitCount
        let digitCount = String(fanout - 1, radix: 16).count
        slots = try node.links.map { (link) throws(BlockStoreError) in
            let name = link.name ?? []
            let digits = String(decoding: name.prefix(digitCount), as: UTF8.self)
            guard name.count >= digitCount, let number = Int(digits, radix: 16), number < fanout else {
                throw .badNode(cid, "a link of the shard names no slot")
            }
            if name.count == digitCount { return (number, .shard(link.cid)) }
            return (number, .entry(try .init(name: Array(name[digitCount...]), link, of: cid)))
        }
    }

    /// The slot that a hash chooses `depth` shards below the root; `nil` when its bits are used up.
    func slot(of hash: UInt64, depth: Int) -> Int? {
        let used = depth * levelBitCount
        guard used + levelBitCount <= DirectoryShard.hashBitCount else { return nil }
        return Int((hash << UInt64(used)) >> UInt64(DirectoryShard.hashBitCount - levelBitCount))
    }
}

/// Builds the shards of a directory that is too large for one block.
struct ShardBuilder {
    let ingest: Ingest
    let settings: ImportSettings

    typealias Entry = (name: [UInt8], node: ImportedNode)

    /// Puts the shards of all entries; gives the root shard.
    func root(_ entries: [Entry]) throws(BlockStoreError) -> ImportedNode {
        try shard(entries.map { ($0, MurmurHash3.hash64($0.name)) }, depth: 0)
    }

    private func shard(_ entries: [(entry: Entry, hash: UInt64)], depth: Int) throws(BlockStoreError)
        -> ImportedNode
    {
        guard depth < DirectoryShard.hashBitCount / 8 else {
            let name = entries.first.map { String(decoding: $0.entry.name, as: UTF8.self) } ?? ""
            throw BlockStoreError(.unsupported, "two names have the same hash, one of them \"\(name)\"")
        }
        var slots: [[(entry: Entry, hash: UInt64)]] = Array(repeating: [], count: DirectoryShard.fanout)
        for entry in entries { slots[Int(entry.hash >> UInt64(56 - 8 * depth) & 0xff)].append(entry) }
        var links: [DagPBNode.Link] = []
        var total: UInt64 = 0
        for (number, content) in slots.enumerated() where !content.isEmpty {
            let isEntry = content.count == 1
            let node = isEntry ? content[0].entry.node : try shard(content, depth: depth + 1)
            let name = ShardBuilder.digits(number) + (isEntry ? content[0].entry.name : [])
            links.append(DagPBNode.Link(cid: node.cid, name: name, totalByteCount: node.totalByteCount))
            total += node.totalByteCount
        }
        var message = UnixFSData(kind: .hamtShard, data: ShardBuilder.bitField(slots.map { !$0.isEmpty }))
        message.hashType = DirectoryShard.hashType
        message.fanout = UInt64(DirectoryShard.fanout)
        let (cid, byteCount) = try ingest.put(DagPBNode(links: links, data: message.encoded()), settings)
        return ImportedNode(cid: cid, fileByteCount: 0, totalByteCount: total + byteCount)
    }

    private static func digits(_ slot: Int) -> [UInt8] {
        let text = String(slot, radix: 16, uppercase: true)
        return Array((slot < 16 ? "0" + text : text).utf8)
    }

    /// Bit *i* for slot *i*, as a big-endian number without zero bytes in front.
    private static func bitField(_ isUsed: [Bool]) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: isUsed.count / 8)
        for (slot, isUsed) in isUsed.enumerated() where isUsed {
            bytes[bytes.count - 1 - slot / 8] |= 1 << UInt8(slot % 8)
        }
        return Array(bytes.drop { $0 == 0 })
    }
}
