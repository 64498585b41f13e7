import BlockStore
import Foundation
import Multiformats
import PeerCrypto
import Testing

/// One entry of vectors.json.
struct Vector: CustomTestStringConvertible, @unchecked Sendable {
    // Plain JSON values that nobody changes.
    let json: [String: Any]

    var name: String { json["name"] as? String ?? "" }
    var what: String? { json["what"] as? String }
    var input: [String: Any] { json["input"] as? [String: Any] ?? [:] }
    var kind: String { input["kind"] as? String ?? "" }
    var cid: String? { json["cid"] as? String }
    var isLarge: Bool { json["large"] as? Bool ?? false }
    var testDescription: String { name }

    static let all: [Vector] = {
        let data = try? Data(contentsOf: VectorInputs.folder.appending(path: "vectors.json"))
        let list = data.flatMap { try? JSONSerialization.jsonObject(with: $0) } as? [[String: Any]] ?? []
        return list.map(Vector.init)
    }()

    static func of(_ what: String?) -> [Vector] { all.filter { $0.what == what } }

    var settings: ImportSettings {
        let options = json["options"] as? [String: Any] ?? [:]
        var settings: ImportSettings =
            switch options["profile"] as? String {
            case "unixfs-v0-2015": .unixFSv0
            case "unixfs-v1-2025": .unixFSv1
            default: .standard
            }
        if let chunk = options["chunk"] as? Int { settings.chunkByteCount = chunk }
        if let links = options["max_links"] as? Int { settings.maxLinkCount = links }
        if let raw = options["raw_leaves"] as? Bool { settings.hasRawLeaves = raw }
        if let limit = options["hamt_threshold"] as? Int { settings.directoryByteLimit = limit }
        return settings
    }
}

private let generated = ["utf8", "hex", "repeat", "xorshift64", "chacha20", "go-math-rand"]
private let files = Vector.of(nil).filter { generated.contains($0.kind) }
private let trees = Vector.of(nil).filter { ["tree", "numbered-files", "chacha20-names"].contains($0.kind) }
/// `PEERNODE_LARGE_VECTORS=1` adds the inputs that the list calls large.
private let runsLargeVectors = ProcessInfo.processInfo.environment["PEERNODE_LARGE_VECTORS"] != nil
/// Inputs up to this many bytes are also stored and read back; longer ones are only hashed.
private let storedByteCount = 64 << 20

@Suite struct VectorTests {
    @Test func everyVectorHasATest() {
        #expect(Vector.all.count == 184)
        #expect(files.count == 64)
        #expect(files.filter(\.isLarge).map(\.name) == ["zeros-174x174-chunks-plus-1-7.9GB"])
        #expect(trees.count == 23)
        let tested = [
            "symlink", "cid", "block", "dag-cbor", "refuse-cid", "refuse-dag-pb", "refuse-dag-cbor",
            "refuse-car", "car",
        ]
        let cars = Vector.of(nil).filter { $0.kind == "car-file" }
        #expect(files.count + trees.count + cars.count + tested.reduce(0) { $0 + Vector.of($1).count } == 184)
    }

    @Test(arguments: files.filter { runsLargeVectors || !$0.isLarge })
    func fileHasTheCIDThatIPFSGives(_ vector: Vector) throws {
        let input = VectorInputs.stream(vector.input)
        let store = input.byteCount > storedByteCount ? nil : MemoryBlockStore()
        let ingest = store?.makeIngest() ?? .discarding()
        let builder = FileBuilder(ingest: ingest, settings: vector.settings)
        var known: [UInt8] = []
        try input.forEachPiece { piece in
            try builder.write(piece)
            if store != nil { known += piece }
        }
        let node = try builder.finish()
        try ingest.flush()
        #expect(node.cid.description == vector.cid)
        #expect(node.fileByteCount == UInt64(input.byteCount))
        guard let store else { return }

        if let leaves = vector.json["leaves"] as? [String], !leaves.isEmpty, !known.isEmpty {
            var found: [String] = []
            var iterator = try store.leaves(of: node.cid)
            while let leaf = try iterator.next() { found.append(leaf.cid.description) }
            #expect(found == leaves)
        }
        var read: [UInt8] = []
        try FileReader(node.cid, in: store).forEachPiece { read += $0 }
        #expect(read.count == known.count && memcmp(read, known, known.count) == 0)
    }

    @Test(
        .enabled(if: VectorInputs.fixtures != nil),
        arguments: Vector.of(nil).filter { $0.kind == "car-file" }
    )
    func fileInsideACARIsReadAndAddsToTheSameCID(_ vector: Vector) throws {
        let store = MemoryBlockStore()
        let car = try #require(VectorInputs.fixture(vector.input["path"] as? String ?? ""))
        _ = try CARImporter.run(into: store, pinName: { $0.description }, read: reader(car))
        let root = try CID(parsing: vector.input["cid"] as? String ?? "")
        let again = MemoryBlockStore()
        let builder = FileBuilder(ingest: again.makeIngest(), settings: vector.settings)
        try FileReader(root, in: store).forEachPiece { try builder.write($0) }
        #expect(try builder.finish().cid.description == vector.cid)
    }

    @Test(arguments: trees)
    func directoryHasTheCIDThatIPFSGives(_ vector: Vector) throws {
        #expect(try tree(vector, .discarding()).cid.description == vector.cid)
    }

    @Test(arguments: Vector.of("symlink"))
    func symlinkHasTheCIDThatIPFSGives(_ vector: Vector) throws {
        let target = VectorInputs.bytes(vector.input)
        let node = try DirectoryBuilder.symlink(target, into: .discarding(), settings: vector.settings)
        #expect(node.cid.description == vector.cid)
    }

    @Test(arguments: Vector.of("cid"))
    func cidTextIsReadInEveryForm(_ vector: Vector) throws {
        let cid = try CID(parsing: vector.input["value"] as? String ?? "")
        #expect(cid.asV1.description == vector.cid)
    }

    @Test(arguments: Vector.of("block"))
    func blockHasItsCIDAndDecodes(_ vector: Vector) throws {
        let bytes = VectorInputs.bytes(vector.input)
        #expect(vector.json["codec"] as? String == "dag-pb")
        #expect(CID.of(bytes, codec: .dagPB).description == vector.cid)
        #expect(try DagPBNode(decoding: bytes[...]).encoded() == bytes)
    }

    @Test(arguments: Vector.of("dag-cbor"))
    func valueEncodesToItsBlockAndBack(_ vector: Vector) throws {
        let value = dagJSON(vector.input["value"] as Any)
        let bytes = value.encoded()
        #expect(CID.of(bytes, codec: .dagCBOR).description == vector.cid)
        if let hex = vector.json["hex"] as? String { #expect(Base16.encode(bytes) == hex) }
        #expect(try DagCBOR(decoding: bytes) == value)
    }

    @Test(arguments: Vector.of("refuse-cid"))
    func badCIDIsRefused(_ vector: Vector) {
        #expect(throws: CIDFault.self) { try CID(parsing: vector.input["value"] as? String ?? "") }
    }

    @Test(arguments: Vector.of("refuse-dag-pb"))
    func badDagPBIsRefused(_ vector: Vector) {
        #expect(throws: DagPBFault.self) { try DagPBNode(decoding: VectorInputs.bytes(vector.input)[...]) }
    }

    @Test(arguments: Vector.of("refuse-dag-cbor"))
    func badDagCBORIsRefused(_ vector: Vector) {
        #expect(throws: DagCBORFault.self) { try DagCBOR(decoding: VectorInputs.bytes(vector.input)) }
    }

    @Test(.enabled(if: VectorInputs.fixtures != nil), arguments: Vector.of("refuse-car"))
    func badCARImportsNothing(_ vector: Vector) throws {
        let car = try #require(VectorInputs.fixture(vector.input["path"] as? String ?? ""))
        let store = MemoryBlockStore()
        #expect(throws: BlockStoreError.self) {
            try CARImporter.run(into: store, pinName: { _ in nil }, read: reader(car))
        }
        #expect(store.statistics().blockCount == 0)
    }

    @Test(.enabled(if: VectorInputs.fixtures != nil), arguments: Vector.of("car"))
    func carHoldsWhatItShould(_ vector: Vector) throws {
        let car = try #require(VectorInputs.fixture(vector.input["path"] as? String ?? ""))
        let expected = try #require(vector.json["expect"] as? [String: Any])
        var cids: [String] = []
        var byteCount = 0
        var file = try CARReader(reader(car))
        while let (cid, bytes, _) = try file.next() {
            cids.append(cid.description)
            byteCount += bytes.count
        }
        #expect(file.version == expected["version"] as? Int)
        #expect(file.roots.map(\.description) == expected["roots"] as? [String])
        #expect(cids.count == expected["blocks"] as? Int)
        #expect(Set(cids).count == expected["distinct"] as? Int)
        #expect(byteCount == expected["payload_bytes"] as? Int)
        let hash = SHA256.hash(Array(cids.joined(separator: "\n").utf8))
        #expect(Base16.encode(hash) == expected["cids_sha256"] as? String)
    }
}

/// Gives out an array in pieces of odd sizes, as a pipe would.
func reader(_ bytes: [UInt8]) -> (UnsafeMutableRawBufferPointer) throws -> Int {
    var rest = bytes[...]
    var size = 1
    return { buffer in
        size = size * 7 % 9973 + 1
        let piece = rest.prefix(min(size, buffer.count))
        buffer.copyBytes(from: piece)
        rest = rest.dropFirst(piece.count)
        return piece.count
    }
}

private func tree(_ vector: Vector, _ ingest: Ingest) throws(BlockStoreError) -> ImportedNode {
    let settings = vector.settings
    func file(_ bytes: [UInt8]) throws(BlockStoreError) -> ImportedNode {
        let builder = FileBuilder(ingest: ingest, settings: settings)
        try builder.write(bytes)
        return try builder.finish()
    }
    func make(_ node: [String: Any]) throws(BlockStoreError) -> ImportedNode {
        if let entries = node["dir"] as? [String: Any] {
            var made: [(name: [UInt8], node: ImportedNode)] = []
            for (name, child) in entries {
                made.append((Array(name.utf8), try make(child as? [String: Any] ?? [:])))
            }
            return try DirectoryBuilder.directory(made, into: ingest, settings: settings)
        }
        if let target = node["symlink"] as? String {
            return try DirectoryBuilder.symlink(Array(target.utf8), into: ingest, settings: settings)
        }
        return try file(VectorInputs.bytes(node["file"] as? [String: Any] ?? [:]))
    }
    let input = vector.input
    var entries: [(name: [UInt8], node: ImportedNode)] = []
    switch vector.kind {
    case "tree": return try make(input["root"] as? [String: Any] ?? [:])
    case "numbered-files":
        for number in (input["from"] as? Int ?? 0)...(input["to"] as? Int ?? 0) {
            let fill = { (key: String) in
                Array((input[key] as? String ?? "").replacingOccurrences(of: "{i}", with: "\(number)").utf8)
            }
            entries.append((fill("name"), try file(fill("content"))))
        }
    default:
        let alphabet = Array("abcdefghijklmnopqrstuvwxyz01234567890-_".utf8)
        let count = input["count"] as? Int ?? 0
        let length = input["len"] as? Int ?? 0
        let last = input["last_len"] as? Int ?? 0
        var stream: [UInt8] = []
        InputStream.chaCha20(seed: input["seed"] as? String ?? "", count * max(length, last))
            .forEachPiece { stream += $0 }
        let leaf = try file(Array((input["content"] as? String ?? "").utf8))
        for index in 0..<count {
            let name = stream[(index * length)...].prefix(index == count - 1 ? last : length)
            entries.append((name.map { alphabet[Int($0) % 39] }, leaf))
        }
    }
    return try DirectoryBuilder.directory(entries, into: ingest, settings: settings)
}

private func dagJSON(_ value: Any) -> DagCBOR {
    switch value {
    case is NSNull: return .null
    case let text as String: return .string(text)
    case let list as [Any]: return .array(list.map(dagJSON))
    case let map as [String: Any]:
        if map.count == 1, let link = map["/"] as? String, let cid = CID(link) { return .link(cid) }
        if map.count == 1, let inner = map["/"] as? [String: Any], let text = inner["bytes"] as? String {
            let padded = text + String(repeating: "=", count: (4 - text.count % 4) % 4)
            return .bytes(Data(base64Encoded: padded).map { [UInt8]($0) } ?? [])
        }
        return .map(map.mapValues(dagJSON))
    case let number as NSNumber:
        let kind = String(cString: number.objCType)
        if kind == "c" || kind == "B" { return .bool(number.boolValue) }
        // JSONSerialization makes a double of the least 64-bit integer; no float among the vectors has that value.
        if number.doubleValue == -0x1p63 { return .integer(.min) }
        if kind == "d" || kind == "f" { return .float(number.doubleValue) }
        return kind == "Q" ? .unsigned(number.uint64Value) : .integer(number.int64Value)
    default: preconditionFailure("no dag-json: \(value)")
    }
}
