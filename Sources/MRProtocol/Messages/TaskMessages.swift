package import Multiformats

/// What every task says of itself.
package struct TaskHead: Equatable, Sendable {
    /// CID of the specification.
    package var job: CID
    /// The block of the specification.
    package var spec: [UInt8]
    /// The caller's number of this execution.
    package var attempt: UInt64
    /// The caller's name of the output, repeated in the receipt.
    package var key: [UInt8]
    /// Engine that has to run it, as `name/version`.
    package var engine: String

    /// Longest specification, in bytes.
    package static let maxSpecByteCount = 1 << 20
    /// Longest key, in bytes.
    package static let maxKeyByteCount = 64

    /// Heads a task.
    package init(job: CID, spec: [UInt8], attempt: UInt64, key: [UInt8], engine: String) {
        self.job = job
        self.spec = spec
        self.attempt = attempt
        self.key = key
        self.engine = engine
    }
}

/// Map the records of an assignment into one run file.
package struct MapTaskMessage: Equatable, Sendable {
    package var head: TaskHead
    package var assignment: MapAssignment
    /// The caller has the output merged with others on this very worker before anyone reads it, so it need not be stored.
    package var isMergedLater: Bool

    /// Most segments.
    package static let maxSegmentCount = 65_536
    /// Most leaves in the whole assignment, those of the lookahead included.
    package static let maxLeafCount = 131_072

    /// Describes a task.
    package init(head: TaskHead, assignment: MapAssignment, isMergedLater: Bool = false) {
        self.head = head
        self.assignment = assignment
        self.isMergedLater = isMergedLater
    }
}

/// Merge one partition of runs, and reduce it.
package struct ReduceTaskMessage: Equatable, Sendable {
    package var head: TaskHead
    package var partition: UInt32
    /// In input order.
    package var runs: [StoredFile]

    /// Describes a task.
    package init(head: TaskHead, partition: UInt32, runs: [StoredFile]) {
        self.head = head
        self.partition = partition
        self.runs = runs
    }
}

/// Merge whole runs into one.
package struct MergeTaskMessage: Equatable, Sendable {
    package var head: TaskHead
    /// In input order.
    package var runs: [StoredFile]

    /// Describes a task.
    package init(head: TaskHead, runs: [StoredFile]) {
        self.head = head
        self.runs = runs
    }
}

/// A file in somebody's block store, and who has it.
package struct StoredFile: Equatable, Sendable {
    package var root: CID
    package var byteCount: UInt64
    /// The likeliest first.
    package var holders: [PeerID]

    /// Most runs of a task.
    package static let maxRunCount = 4096
    /// Most holders of a file.
    package static let maxHolderCount = 16

    /// Describes a file.
    package init(root: CID, byteCount: UInt64, holders: [PeerID]) {
        self.root = root
        self.byteCount = byteCount
        self.holders = holders
    }
}

extension MapTaskMessage: MessageWritable {
    func write(to writer: inout Protobuf.Writer) {
        writer.part(1, HeadPart(head: head))
        for segment in assignment.segments { writer.part(2, SegmentPart(segment: segment)) }
        writer.flag(3, isMergedLater)
    }

    init(bytes: ArraySlice<UInt8>) throws(MessageFault) {
        let part = try TaskPart(bytes: bytes, kind: .map)
        self.init(
            head: try part.requiredHead(),
            assignment: MapAssignment(segments: part.segments),
            isMergedLater: part.isMergedLater
        )
        guard !assignment.segments.isEmpty else { throw .missing("segments") }
    }
}

extension ReduceTaskMessage: MessageWritable {
    func write(to writer: inout Protobuf.Writer) {
        writer.part(1, HeadPart(head: head))
        writer.number(2, partition)
        for run in runs { writer.part(3, FilePart(file: run)) }
    }

    init(bytes: ArraySlice<UInt8>) throws(MessageFault) {
        let part = try TaskPart(bytes: bytes, kind: .reduce)
        self.init(head: try part.requiredHead(), partition: part.partition, runs: part.runs)
    }
}

extension MergeTaskMessage: MessageWritable {
    func write(to writer: inout Protobuf.Writer) {
        writer.part(1, HeadPart(head: head))
        for run in runs { writer.part(2, FilePart(file: run)) }
    }

    init(bytes: ArraySlice<UInt8>) throws(MessageFault) {
        let part = try TaskPart(bytes: bytes, kind: .merge)
        self.init(head: try part.requiredHead(), runs: part.runs)
        guard !runs.isEmpty else { throw .missing("runs") }
    }
}

/// The fields of a task of any kind, before what it cannot do without was checked.
private struct TaskPart {
    enum Kind { case map, reduce, merge }

    var head: HeadPart?
    var segments: [MapSegment] = []
    var isMergedLater = false
    var partition: UInt32 = 0
    var runs: [StoredFile] = []

    init(bytes: ArraySlice<UInt8>, kind: Kind) throws(MessageFault) {
        var leafCount = 0
        for field in try FieldList(bytes: bytes).fields {
            switch (kind, field.number) {
            case (_, 1): head = try field.part(HeadPart.self) ?? head
            case (.map, 2):
                guard let segment = try field.part(SegmentPart.self)?.segment else { continue }
                leafCount += segment.leaves.count + segment.lookahead.count
                guard leafCount <= MapTaskMessage.maxLeafCount else { throw .value("leaves") }
                try segments.append(segment, limit: MapTaskMessage.maxSegmentCount, field: "segments")
            case (.map, 3): isMergedLater = (field.varint ?? 0) != 0
            case (.reduce, 2): partition = field.number() ?? partition
            case (.reduce, 3), (.merge, 2):
                guard let part = try field.part(FilePart.self) else { continue }
                try runs.append(try part.required(), limit: StoredFile.maxRunCount, field: "runs")
            case (.map, _), (.reduce, _), (.merge, _): break
            }
        }
    }

    func requiredHead() throws(MessageFault) -> TaskHead {
        guard let head else { throw .missing("head") }
        return try head.required()
    }
}

/// All fields of a message, for readers that are not built field by field.
private struct FieldList: MessageReadable {
    var fields: [Protobuf.Field] = []

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) { fields.append(field) }
}

struct HeadPart: MessagePart {
    private var job: CID?
    private var spec: [UInt8] = []
    private var attempt: UInt64 = 0
    private var key: [UInt8] = []
    private var engine = ""

    init() {}

    init(head: TaskHead) {
        job = head.job
        spec = head.spec
        attempt = head.attempt
        key = head.key
        engine = head.engine
    }

    func required() throws(MessageFault) -> TaskHead {
        guard let job else { throw .missing("job") }
        // The specification is what its CID says, or the task is not the one that was asked for.
        guard CID.of(spec, codec: .dagCBOR) == job else { throw .value("spec") }
        return TaskHead(job: job, spec: spec, attempt: attempt, key: key, engine: engine)
    }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        switch (field.number, field.value) {
        case (1, .bytes): job = try field.cid("job")
        case (2, .bytes(let bytes)):
            guard bytes.count <= TaskHead.maxSpecByteCount else { throw .value("spec") }
            spec = Array(bytes)
        case (3, .varint(let value)): attempt = value
        case (4, .bytes(let bytes)):
            guard bytes.count <= TaskHead.maxKeyByteCount else { throw .value("key") }
            key = Array(bytes)
        case (5, .bytes(let bytes)):
            guard bytes.count <= HelloMessage.maxNameByteCount else { throw .value("engine") }
            engine = try field.text("engine") ?? ""
        default: break
        }
    }

    func write(to writer: inout Protobuf.Writer) {
        if let job { writer.bytes(1, job.bytes) }
        writer.data(2, spec)
        writer.number(3, attempt)
        writer.data(4, key)
        writer.text(5, engine)
    }
}

private struct SegmentPart: MessagePart {
    var segment = MapSegment(
        fileIndex: 0,
        fileName: "",
        fileOffset: 0,
        leaves: [],
        lookahead: [],
        reachesEndOfFile: false
    )

    init() {}
    init(segment: MapSegment) { self.segment = segment }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        switch (field.number, field.value) {
        case (1, .varint):
            guard let index = field.number(UInt32.self) else { throw .value("file_index") }
            segment.fileIndex = Int(index)
        case (2, .bytes(let name)):
            guard name.count <= StoredFile.maxNameByteCount else { throw .value("file_name") }
            segment.fileName = try field.text("file_name") ?? ""
        case (3, .varint(let offset)): segment.fileOffset = offset
        case (4, .bytes):
            guard let leaf = try field.part(LeafPart.self) else { return }
            try segment.leaves.append(
                try leaf.required(),
                limit: MapTaskMessage.maxLeafCount,
                field: "leaves"
            )
        case (5, .bytes):
            guard let leaf = try field.part(LeafPart.self) else { return }
            try segment.lookahead.append(
                try leaf.required(),
                limit: MapTaskMessage.maxLeafCount,
                field: "lookahead"
            )
        case (6, .varint(let value)): segment.reachesEndOfFile = value != 0
        default: break
        }
    }

    func write(to writer: inout Protobuf.Writer) {
        writer.number(1, segment.fileIndex)
        writer.text(2, segment.fileName)
        writer.number(3, segment.fileOffset)
        for leaf in segment.leaves { writer.part(4, LeafPart(leaf: leaf)) }
        for leaf in segment.lookahead { writer.part(5, LeafPart(leaf: leaf)) }
        writer.flag(6, segment.reachesEndOfFile)
    }
}

extension StoredFile {
    /// Longest name of an input file, in bytes.
    package static let maxNameByteCount = 4096
}

private struct LeafPart: MessagePart {
    private var cid: CID?
    private var byteCount: UInt32 = 0

    init() {}

    init(leaf: InputLeaf) {
        cid = leaf.cid
        byteCount = UInt32(clamping: leaf.byteCount)
    }

    func required() throws(MessageFault) -> InputLeaf {
        guard let cid else { throw .missing("cid") }
        return InputLeaf(cid: cid, byteCount: Int(byteCount))
    }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        if field.number == 1 { cid = try field.cid("cid") }
        if field.number == 2, let varint = field.varint {
            guard let count = UInt32(exactly: varint) else { throw .value("byte_count") }
            byteCount = count
        }
    }

    func write(to writer: inout Protobuf.Writer) {
        if let cid { writer.bytes(1, cid.bytes) }
        writer.number(2, byteCount)
    }
}

struct FilePart: MessagePart {
    private var root: CID?
    private var byteCount: UInt64 = 0
    private var holders: [PeerID] = []

    init() {}

    init(file: StoredFile) {
        root = file.root
        byteCount = file.byteCount
        holders = file.holders
    }

    func required() throws(MessageFault) -> StoredFile {
        guard let root else { throw .missing("root") }
        return StoredFile(root: root, byteCount: byteCount, holders: holders)
    }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        switch field.number {
        case 1: root = try field.cid("root")
        case 2: byteCount = field.varint ?? byteCount
        case 3:
            guard let peer = try field.peer("holders") else { return }
            try holders.append(peer, limit: StoredFile.maxHolderCount, field: "holders")
        default: break
        }
    }

    func write(to writer: inout Protobuf.Writer) {
        if let root { writer.bytes(1, root.bytes) }
        writer.number(2, byteCount)
        for peer in holders { writer.bytes(3, peer.bytes) }
    }
}
