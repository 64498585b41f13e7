import BlockStore
import Multiformats
import Testing

/// Files whose DAGs other programs made, and wrong ones.
@Suite struct LayoutTests {
    private let store = MemoryBlockStore()

    private typealias Part = (cid: CID, byteCount: UInt64)

    private func put(_ bytes: [UInt8], _ codec: CID.Codec) throws -> CID {
        let ingest = store.makeIngest()
        let cid = try ingest.put(bytes, codec: codec)
        try ingest.flush()
        return cid
    }

    private func raw(_ text: String) throws -> Part {
        (try put(Array(text.utf8), .raw), UInt64(text.utf8.count))
    }

    private func node(
        _ inline: String? = nil,
        _ parts: [Part] = [],
        kind: UnixFSData.Kind = .file,
        claims: UInt64? = nil,
        name: String = ""
    ) throws -> Part {
        let count = parts.reduce(UInt64(inline?.utf8.count ?? 0)) { $0 &+ $1.byteCount }
        let message = UnixFSData(
            kind: kind,
            data: inline.map { Array($0.utf8) },
            fileByteCount: claims ?? count,
            blockByteCounts: parts.map(\.byteCount)
        )
        let links = parts.map { DagPBNode.Link(cid: $0.cid, name: Array(name.utf8), totalByteCount: 0) }
        return (try put(DagPBNode(links: links, data: message.encoded()).encoded(), .dagPB), count)
    }

    /// Leaves at three depths, dag-pb leaves of both kinds, bytes in inner nodes, an empty part, a repeated part.
    private func mixed() throws -> Part {
        let leaf = try node("cd")
        let old = try node("jk", kind: .raw)
        let deep = try node("e", [try raw("f"), try node(nil, [try raw("gh")])])
        return try node("ab", [leaf, deep, try raw(""), try raw("i"), old, leaf])
    }

    @Test func mixedLayoutReadsInOrder() throws {
        let root = try mixed().cid
        let reader = try FileReader(root, in: store)
        #expect(reader.byteCount == 13)
        var bytes: [UInt8] = []
        try reader.forEachPiece { bytes += $0 }
        #expect(String(decoding: bytes, as: UTF8.self) == "abcdefghijkcd")
    }

    @Test func mixedLayoutHasItsLeavesInOrder() throws {
        var leaves = try store.leaves(of: try mixed().cid)
        var text = ""
        var offsets: [UInt64] = []
        while let leaf = try leaves.next() {
            offsets.append(leaf.offset)
            text += try store.withLeafBytes(leaf.cid) { String(decoding: $0, as: UTF8.self) } + "|"
        }
        #expect(text == "ab|cd|e|f|gh|i|jk|cd|")
        #expect(offsets == [0, 2, 4, 5, 6, 8, 9, 11])
    }

    @Test func everyRangeOfAMixedLayoutIsRight() throws {
        let reader = try FileReader(try mixed().cid, in: store)
        let whole = Array("abcdefghijkcd".utf8)
        for start in (0...14).reversed() {
            for length in 0...14 {
                var buffer = [UInt8](repeating: 0, count: length)
                let count = try buffer.withUnsafeMutableBytes { try reader.read(at: UInt64(start), into: $0) }
                #expect(Array(buffer[..<count]) == Array(whole.dropFirst(start).prefix(length)))
            }
        }
    }

    @Test func randomRangesEqualTheFile() throws {
        let whole = VectorInputs.xorshift(77, 500_003)
        var settings = ImportSettings.standard
        settings.chunkByteCount = 1009
        settings.maxLinkCount = 7
        let ingest = store.makeIngest()
        let builder = FileBuilder(ingest: ingest, settings: settings)
        try builder.write(whole)
        let root = try builder.finish().cid
        try ingest.flush()
        let reader = try FileReader(root, in: store)
        var random = SplitMix(state: 5)
        for _ in 0..<200 {
            let start = Int.random(in: 0...whole.count, using: &random)
            let length = Int.random(in: 0...5000, using: &random)
            let expected = Array(whole[start..<min(whole.count, start + length)])
            var buffer = [UInt8](repeating: 0, count: length)
            let count = try buffer.withUnsafeMutableBytes { try reader.read(at: UInt64(start), into: $0) }
            #expect(Array(buffer[..<count]) == expected, "\(start), \(length)")
            var pieces: [UInt8] = []
            try reader.forEachPiece(from: UInt64(start), length: UInt64(length)) { pieces += $0 }
            #expect(pieces == expected, "\(start), \(length)")
        }
        #expect(try reader.read(at: .max, into: UnsafeMutableRawBufferPointer(start: nil, count: 0)) == 0)
    }

    @Test func missingPartIsNamedWithItsOffsetAndReadingGoesOnWithIt() throws {
        let lost = CID.of(Array("gh".utf8), codec: .raw)
        let inner = try node(nil, [(lost, 2), try raw("i")])
        let root = try node("ab", [inner])
        let reader = try FileReader(root.cid, in: store)
        var bytes: [UInt8] = []
        let error = #expect(throws: BlockStoreError.self) { try reader.forEachPiece { bytes += $0 } }
        #expect(error?.code == .notFound)
        #expect(error?.cid == lost)
        #expect(error?.offset == 2)
        _ = try raw("gh")
        try reader.forEachPiece(from: UInt64(bytes.count)) { bytes += $0 }
        #expect(String(decoding: bytes, as: UTF8.self) == "abghi")
    }

    /// What is wrong with the root, or with a part of it that the root describes wrongly.
    private enum Damage: CaseIterable {
        case wrongTotal, wrongPartSize, namedPart, hugeLeaf, overflow, tooDeep, noUnixFS, partIsDirectory
    }

    @Test(arguments: Damage.allCases)
    private func wrongLayoutIsRefused(_ damage: Damage) throws {
        let leaf = try node("cd")
        let one = try raw("x")
        let root: Part =
            switch damage {
            case .wrongTotal: try node("ab", [leaf], claims: 5)
            case .wrongPartSize: try node(nil, [(leaf.cid, 3)])
            case .namedPart: try node(nil, [leaf], name: "part")
            case .hugeLeaf: try node(nil, [(one.cid, 3 << 20)])
            case .overflow: try node(nil, [(one.cid, .max), (one.cid, 2)], claims: 1)
            case .tooDeep: try (0..<70).reduce(one) { part, _ in try node(nil, [part]) }
            case .noUnixFS: (try put([0x0a, 0x01, 0xff], .dagPB), 1)
            case .partIsDirectory:
                try node(nil, [try node(nil, [], kind: .directory, claims: 1)].map { ($0.cid, 1) })
            }
        let error = #expect(throws: BlockStoreError.self) {
            let reader = try FileReader(root.cid, in: store)
            try reader.forEachPiece { _ in }
        }
        #expect(error?.code == (damage == .partIsDirectory ? .notAFile : .badNode))
        let listed = #expect(throws: BlockStoreError.self) {
            var leaves = try store.leaves(of: root.cid)
            while let leaf = try leaves.next() {
                try store.withLeafBytes(leaf.cid) { _ in }
            }
        }
        #expect(listed?.code == error?.code)
    }

    /// 2^40 references to one empty node, which a naive reader would visit one by one.
    @Test func nodesOfNoBytesCostNothing() throws {
        var part = try node(nil, [])
        for _ in 0..<40 { part = try node(nil, [part, part]) }
        let root = try node("ab", [part])
        var leaves = try store.leaves(of: root.cid)
        #expect(try leaves.next()?.byteCount == 2)
        #expect(try leaves.next() == nil)
    }
}
