internal import BlockStore
public import Multiformats

// MARK: - Adding

extension LocalNode {
    /// As `NodeService` says.
    public func beginAdd(onlyHash: Bool, profile: ImportProfile) async throws -> AddSession {
        let ingest = onlyHash ? Ingest.discarding() : try await onStore { try $0.makeIngest() }
        return try adds.begin(ingest, profile.settings, now: LocalNode.now())
    }

    /// As `NodeService` says.
    public func addFile(_ source: any ByteSource, in session: AddSession) async throws -> AddedNode {
        let add = try adds.beginUse(session, now: LocalNode.now())
        defer { adds.endUse(session, now: LocalNode.now()) }
        return try await onStore { _ in
            let builder = FileBuilder(ingest: add.ingest, settings: add.settings)
            while try builder.fill({ try source.read(into: $0) }) {}
            if let expected = source.byteCount, builder.byteCount != expected {
                throw NodeError(
                    .file,
                    "the file changed while it was added: \(builder.byteCount) of \(expected) bytes"
                )
            }
            return AddedNode(try builder.finish())
        }
    }

    /// As `NodeService` says.
    public func addDirectory(_ entries: [NewEntry], in session: AddSession) async throws -> AddedNode {
        let add = try adds.beginUse(session, now: LocalNode.now())
        defer { adds.endUse(session, now: LocalNode.now()) }
        return try await onStore { _ in
            let nodes = entries.map { (name: Array($0.name.utf8), node: ImportedNode($0.node)) }
            return AddedNode(try DirectoryBuilder.directory(nodes, into: add.ingest, settings: add.settings))
        }
    }

    /// As `NodeService` says.
    public func addSymlink(target: String, in session: AddSession) async throws -> AddedNode {
        let add = try adds.beginUse(session, now: LocalNode.now())
        defer { adds.endUse(session, now: LocalNode.now()) }
        return try await onStore { _ in
            AddedNode(
                try DirectoryBuilder.symlink(Array(target.utf8), into: add.ingest, settings: add.settings)
            )
        }
    }

    /// As `NodeService` says.
    public func finishAdd(_ session: AddSession, pins: [PinInfo]) async throws {
        for pin in pins { try PinInfo.checkName(pin.name) }
        let add = try adds.end(session)
        try await onStore { _ in
            if pins.isEmpty {
                try add.ingest.flush(durable: true)
                try add.ingest.close()
            } else {
                try add.ingest.pin(pins.map(Pin.init), closing: true)
            }
        }
    }

    /// As `NodeService` says.
    public func abandonAdd(_ session: AddSession) async throws {
        guard let ingest = try adds.abandon(session) else { return }
        try await onStore { _ in try ingest.abandon() }
    }

    /// As `NodeService` says.
    public func holdAdd(_ session: AddSession) async throws { try adds.hold(session) }
}

extension AddedNode {
    init(_ node: ImportedNode) {
        self.init(cid: node.cid, dagSize: node.totalByteCount, size: node.fileByteCount)
    }
}

extension ImportedNode {
    init(_ node: AddedNode) {
        self.init(cid: node.cid, fileByteCount: node.size, totalByteCount: node.dagSize)
    }
}

extension ImportProfile {
    /// Largest block of a file's content, in bytes.
    public var blockByteCount: Int { settings.chunkByteCount }

    fileprivate var settings: ImportSettings {
        switch self {
        case .standard: .standard
        case .unixFSv0: .unixFSv0
        case .unixFSv1: .unixFSv1
        }
    }
}

extension Pin {
    /// A pin without a name is called by its root.
    init(_ pin: PinInfo) {
        self.init(name: pin.name.isEmpty ? pin.cid.description : pin.name, root: pin.cid)
    }
}

// MARK: - Reading

extension LocalNode {
    /// As `NodeService` says.
    public func resolve(_ path: ContentPath) async throws -> ContentInfo {
        try await onBlocks(of: path.root, isWhole: false) {
            try LocalNode.info(try LocalNode.follow(path, in: $0), in: $0)
        }
    }

    /// As `NodeService` says.
    public func list(_ path: ContentPath) async throws -> [ContentEntry] {
        let (info, links) = try await onBlocks(of: path.root, isWhole: false) { store in
            let cid = try LocalNode.follow(path, in: store)
            let info = try LocalNode.info(cid, in: store)
            return (info, info.kind == .directory ? try DirectoryReader.entries(of: cid, in: store) : [])
        }
        guard info.kind == .directory else {
            return [ContentEntry(name: "", cid: info.cid, size: info.size, kind: info.kind)]
        }
        await fetchNodes(links.map(\.cid))
        return try await onStore { store in try links.map { try LocalNode.entry($0, in: store) } }
    }

    /// Fetches nodes that say what a child is; those that cannot be had are listed by what their directory says.
    private func fetchNodes(_ cids: [CID]) async {
        guard let network, let lease = try? await onStore({ try $0.makeIngest() }) else { return }
        let nodes = cids.filter { $0.codec == .dagPB }
        _ = try? await network.exchange.ensure(
            nodes,
            ingest: lease,
            options: FetchOptions(patience: .seconds(5))
        )
        // What cannot be released now is released with the process.
        _ = try? await onStore { _ in try lease.close() }
    }

    /// As `NodeService` says.
    public func read(
        _ path: ContentPath,
        offset: UInt64,
        length: UInt64?,
        into sink: @escaping ByteSink
    ) async throws {
        let cid =
            path.names.isEmpty
            ? path.root
            : try await onBlocks(of: path.root, isWhole: false) { try LocalNode.follow(path, in: $0) }
        try await onBlocks(of: cid, isWhole: offset == 0 && length == nil) { store in
            let kind = try LocalNode.info(cid, in: store).kind
            guard kind == .file else {
                throw NodeError(
                    .wrongKind,
                    "\(path) is a \(kind.rawValue), not a file\(LocalNode.hint(kind))"
                )
            }
            try FileReader(cid, in: store).forEachPiece(from: offset, length: length) { try sink($0) }
        }
    }

    private static func hint(_ kind: ContentKind) -> String {
        switch kind {
        case .directory: "; list it with `peerctl ls` or take it whole with `peerctl get`"
        case .file, .symlink, .other: ""
        }
    }

    private static func follow(_ path: ContentPath, in store: any BlockStore) throws(BlockStoreError) -> CID {
        try UnixFSPath(path.description).resolve(in: store)
    }

    /// What a block is; raw blocks are files.
    private static func info(_ cid: CID, in store: any BlockStore) throws(BlockStoreError) -> ContentInfo {
        guard let byteCount = try store.byteCount(of: cid) else {
            throw BlockStoreError(
                .notFound,
                "block \(cid) is not in the store; no peer is connected that could have it",
                cid: cid
            )
        }
        switch cid.codec {
        case .raw: return ContentInfo(cid: cid, kind: .file, size: UInt64(byteCount))
        case .dagPB:
            switch try UnixFSNode.read(cid, in: store) {
            case .file(let file): return ContentInfo(cid: cid, kind: .file, size: file.byteCount)
            case .directory, .shard: return ContentInfo(cid: cid, kind: .directory, size: 0)
            case .symlink(let target):
                let text = String(decoding: target, as: UTF8.self)
                return ContentInfo(cid: cid, kind: .symlink, size: UInt64(target.count), target: text)
            }
        default: return ContentInfo(cid: cid, kind: .other, size: UInt64(byteCount))
        }
    }

    /// An entry of a directory; a child that is not here is listed by what the link says.
    private static func entry(
        _ link: UnixFSNode.DirectoryEntry,
        in store: any BlockStore
    ) throws(BlockStoreError) -> ContentEntry {
        let name = String(decoding: link.name, as: UTF8.self)
        do throws(BlockStoreError) {
            let info = try info(link.cid, in: store)
            return ContentEntry(name: name, cid: link.cid, size: info.size, kind: info.kind)
        } catch  where error.code == .notFound || error.code == .unsupported {
            let kind: ContentKind = link.cid.codec == .raw ? .file : .other
            return ContentEntry(name: name, cid: link.cid, size: link.totalByteCount, kind: kind)
        }
    }
}

// MARK: - Blocks and DAGs

extension LocalNode {
    /// As `NodeService` says.
    public func block(_ cid: CID) async throws -> [UInt8] {
        try await onBlocks(of: cid, isWhole: false) { try $0.block(cid) }
    }

    /// As `NodeService` says.
    public func putBlock(_ bytes: [UInt8], codec: UInt64) async throws -> BlockInfo {
        try await onStore { store in
            let ingest = try store.makeIngest()
            let cid = try ingest.put(bytes, codec: CID.Codec(code: codec))
            try ingest.flush(durable: true)
            try ingest.close()
            return BlockInfo(cid: cid, size: bytes.count)
        }
    }

    /// As `NodeService` says.
    public func blockInfo(_ cid: CID) async throws -> BlockInfo {
        try await onStore { store in
            guard let byteCount = try store.byteCount(of: cid) else {
                throw NodeError(.notFound, "block \(cid) is not in the store")
            }
            return BlockInfo(cid: cid, size: byteCount)
        }
    }

    /// As `NodeService` says.
    public func removeBlock(_ cid: CID) async throws { try await onStore { try $0.remove(cid) } }
}

// MARK: - Pins and the repository

extension LocalNode {
    /// As `NodeService` says.
    public func addPin(_ cid: CID, name: String) async throws {
        try PinInfo.checkName(name)
        // Blocks that are not here are fetched; they stay until they are pinned unless a collection comes between.
        if network != nil {
            try await onBlocks(of: cid, isWhole: true) { try BlockWalk.forEach(cid, in: $0) { _, _ in } }
        }
        try await onStore { store in
            let ingest = try store.makeIngest()
            do {
                try ingest.protectDAG(cid, in: store)
                let old = try store.pins().filter {
                    $0.root == cid && $0.name == cid.description && !name.isEmpty
                }
                try ingest.pin([Pin(PinInfo(cid: cid, name: name))], closing: true)
                for pin in old { _ = try store.unpin(pin.name) }
            } catch {
                try? ingest.close()  // the first error is the one to show
                throw error
            }
        }
    }

    /// As `NodeService` says.
    public func removePin(_ cid: CID) async throws {
        try await onStore { store in
            let names = try LocalNode.userPins(store).filter { $0.root.multihash == cid.multihash }.map(
                \.name
            )
            guard !names.isEmpty else {
                throw NodeError(.notFound, "\(cid) is not pinned; `peerctl pin ls` lists what is")
            }
            for name in names { _ = try store.unpin(name) }
        }
    }

    /// As `NodeService` says.
    public func pins() async throws -> [PinInfo] {
        try await onStore { store in
            try LocalNode.userPins(store).map {
                PinInfo(cid: $0.root, name: $0.name == $0.root.description ? "" : $0.name)
            }
        }
    }

    /// Prefix of the names of the node's own pins.
    static let ownPinPrefix = "~"

    /// The pins that are not the node's own, such as those of remembered outputs.
    private static func userPins(_ store: any BlockStore) throws -> [Pin] {
        try store.pins().filter { !$0.name.hasPrefix(LocalNode.ownPinPrefix) }
    }

    /// As `NodeService` says.
    public func repositoryStatistics() async throws -> RepositoryStatistics {
        let path = home.path
        let remembered = rememberedOutputs
        return try await onStore { store in
            let figures = try store.statistics()
            let ownCount = try store.pins().count { $0.name.hasPrefix(LocalNode.ownPinPrefix) }
            return RepositoryStatistics(
                blockCount: UInt64(figures.blockCount),
                byteCount: figures.blockByteCount,
                byteLimit: figures.limitByteCount,
                pinCount: UInt64(max(0, figures.pinCount - ownCount)),
                rememberedCount: UInt64(ownCount),
                rememberedByteCount: ownCount == 0 ? 0 : remembered.byteCount,
                quarantinedCount: UInt64(figures.quarantinedBlockCount),
                path: path
            )
        }
    }

    /// As `NodeService` says.
    public func collectGarbage(
        forgetsOutputs: Bool,
        removed: @escaping @Sendable (CID) throws -> Void
    ) async throws -> CollectionReport {
        adds.dropIdle(now: LocalNode.now())
        let remembered = rememberedOutputs
        if forgetsOutputs {
            try await threads.run { try remembered.forgetAll() }
        } else {
            await jobService().storage.removeStrayPins()
        }
        return try await onStore { store in
            // A reader that goes away does not stop the collection; there is no one to tell.
            let report = try store.collectGarbage { try? removed(CID(codec: .raw, multihash: $0)) }
            return CollectionReport(
                removedCount: UInt64(report.removedBlockCount),
                removedByteCount: report.removedByteCount,
                warnings: report.damagedPins.map {
                    "pin \($0.pin.name) cannot be followed (\($0.reason)): add it again, fetch the block, or unpin it"
                }
            )
        }
    }

    /// As `NodeService` says.
    public func verify(progress: @escaping @Sendable (UInt64) throws -> Void) async throws
        -> VerificationReport
    {
        try await onStore { store in
            let report = try store.verify { if $0 % 1024 == 0 { try? progress(UInt64($0)) } }
            let bad = try BlockWalk.missing(under: try LocalNode.pinsForReport(store), in: store)
            let known = Dictionary(
                bad.map { ($0.cid.multihash, $0.cid) },
                uniquingKeysWith: { one, _ in one }
            )
            // A block is called by the CID that a pin needs it under, if one does.
            let corrupt = report.corrupt.map { known[$0] ?? CID(codec: .raw, multihash: $0) }
            let isCorrupt = Set(report.corrupt)
            return VerificationReport(
                checkedCount: UInt64(report.checkedBlockCount),
                corrupt: corrupt,
                missing: bad.map(\.cid).filter { !isCorrupt.contains($0.multihash) },
                neededBy: Dictionary(bad.map { ($0.cid, $0.pin) }, uniquingKeysWith: { one, _ in one })
            )
        }
    }

    /// All pins, those of the user first: their names say most.
    private static func pinsForReport(_ store: any BlockStore) throws -> [Pin] {
        let pins = try store.pins()
        return pins.filter { !$0.name.hasPrefix(ownPinPrefix) }
            + pins.filter { $0.name.hasPrefix(ownPinPrefix) }
    }
}
