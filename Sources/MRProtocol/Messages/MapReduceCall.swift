package import Multiformats

/// What a caller asks on a stream of `/mapreduce/1`.
///
/// **Source** docs/mapreduce.proto, docs/protocols/mapreduce.md.
package enum MapReduceRequest: Equatable, Sendable {
    case hello(HelloMessage)
    case gossip(GossipMessage)
    case have([CID])
    case map(MapTaskMessage)
    case reduce(ReduceTaskMessage)
    case merge(MergeTaskMessage)
    case cancel(attempt: UInt64)
    case jobStatus(CID)
    /// The caller's job is over: what is kept for it may go.
    case endJob(CID)
    /// A call that is not known here: answered with `CallFailure.Code.unknownCall`.
    case unknown

    /// Protocol id.
    package static let protocolID = "/mapreduce/1"
    /// Longest request, in bytes.
    package static let maxByteCount = 4 << 20
    /// Most CIDs in one `have`.
    package static let maxHaveCount = 16_384

    /// Reads a request, without its length.
    package init(bytes: [UInt8]) throws(MessageFault) {
        guard bytes.count <= Self.maxByteCount else { throw .tooLong(bytes.count, limit: Self.maxByteCount) }
        self = try RequestPart(bytes: bytes[...]).request ?? .unknown
    }

    /// The request, without its length.
    package var bytes: [UInt8] {
        var writer = Protobuf.Writer()
        switch self {
        case .hello(let message): writer.part(1, message)
        case .gossip(let message): writer.part(2, message)
        case .have(let cids): writer.part(3, HavePart(cids: cids))
        case .map(let task): writer.part(4, task)
        case .reduce(let task): writer.part(5, task)
        case .cancel(let attempt): writer.part(6, NumberPart(value: attempt))
        case .jobStatus(let job): writer.part(7, CIDPart(cid: job))
        case .merge(let task): writer.part(8, task)
        case .endJob(let job): writer.part(9, CIDPart(cid: job))
        case .unknown: break
        }
        return writer.bytes
    }
}

/// What comes back on the stream of a call; `progress` may come any number of times before the last.
package enum MapReduceResponse: Equatable, Sendable {
    case failure(CallFailure)
    case hello(HelloMessage)
    case gossip(GossipMessage)
    /// Whether each block of the request is stored; as many as asked, rounded up to whole bytes.
    case have(bitmap: [UInt8])
    case progress(byteCount: UInt64)
    /// A sealed `Receipt`, and what user functions said.
    case result(receipt: [UInt8], report: TaskReport = TaskReport())
    case cancelled(wasRunning: Bool)
    case jobStatus(JobStatusMessage)
    /// An answer of a kind that is not known here; to be passed over.
    case unknown

    /// Longest answer, in bytes.
    package static let maxByteCount = 1 << 20

    /// Reads an answer, without its length.
    package init(bytes: [UInt8]) throws(MessageFault) {
        guard bytes.count <= Self.maxByteCount else { throw .tooLong(bytes.count, limit: Self.maxByteCount) }
        self = try ResponsePart(bytes: bytes[...]).response ?? .unknown
    }

    /// The answer, without its length.
    package var bytes: [UInt8] {
        var writer = Protobuf.Writer()
        switch self {
        case .failure(let failure): writer.part(1, failure)
        case .hello(let message): writer.part(2, message)
        case .gossip(let message): writer.part(3, message)
        case .have(let bitmap): writer.part(4, BytesPart(value: bitmap))
        case .progress(let count): writer.part(5, NumberPart(value: count))
        case .result(let receipt, let report):
            writer.part(6, TaskResultPart(receipt: receipt, report: report))
        case .cancelled(let wasRunning): writer.part(7, NumberPart(value: wasRunning ? 1 : 0))
        case .jobStatus(let status): writer.part(8, status)
        case .unknown: break
        }
        return writer.bytes
    }

    /// The bitmap of a `have`: block *i* is bit *i mod 8*, least significant first, of byte *i / 8*.
    package static func bitmap(_ held: some Collection<Bool>) -> [UInt8] {
        var bitmap = [UInt8](repeating: 0, count: (held.count + 7) / 8)
        for (index, isHeld) in held.enumerated() where isHeld { bitmap[index / 8] |= 1 << UInt8(index % 8) }
        return bitmap
    }

    /// The first `count` flags of a bitmap; bytes that are missing count as not held.
    package static func flags(of bitmap: [UInt8], count: Int) -> [Bool] {
        (0..<count).map { $0 / 8 < bitmap.count && bitmap[$0 / 8] >> UInt8($0 % 8) & 1 == 1 }
    }
}

private struct RequestPart: MessageReadable {
    var request: MapReduceRequest?

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        guard let bytes = field.bytes else { return }
        switch field.number {
        case 1: request = .hello(try HelloMessage(bytes: bytes))
        case 2: request = .gossip(try GossipMessage(bytes: bytes))
        case 3: request = .have(try HavePart(bytes: bytes).cids)
        case 4: request = .map(try MapTaskMessage(bytes: bytes))
        case 5: request = .reduce(try ReduceTaskMessage(bytes: bytes))
        case 6: request = .cancel(attempt: try NumberPart(bytes: bytes).value)
        case 7:
            guard let job = try CIDPart(bytes: bytes).cid else { throw .missing("job") }
            request = .jobStatus(job)
        case 8: request = .merge(try MergeTaskMessage(bytes: bytes))
        case 9:
            guard let job = try CIDPart(bytes: bytes).cid else { throw .missing("job") }
            request = .endJob(job)
        default: break
        }
    }
}

private struct ResponsePart: MessageReadable {
    var response: MapReduceResponse?

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        guard let bytes = field.bytes else { return }
        switch field.number {
        case 1: response = .failure(try CallFailure(bytes: bytes))
        case 2: response = .hello(try HelloMessage(bytes: bytes))
        case 3: response = .gossip(try GossipMessage(bytes: bytes))
        case 4: response = .have(bitmap: try BytesPart(bytes: bytes).value)
        case 5: response = .progress(byteCount: try NumberPart(bytes: bytes).value)
        case 6:
            let result = try TaskResultPart(bytes: bytes)
            response = .result(receipt: result.receipt, report: result.report)
        case 7: response = .cancelled(wasRunning: try NumberPart(bytes: bytes).value != 0)
        case 8: response = .jobStatus(try JobStatusMessage(bytes: bytes))
        default: break
        }
    }
}

private struct HavePart: MessagePart {
    var cids: [CID] = []

    init() {}
    init(cids: [CID]) { self.cids = cids }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        guard field.number == 1, let cid = try field.cid("cids") else { return }
        try cids.append(cid, limit: MapReduceRequest.maxHaveCount, field: "cids")
    }

    func write(to writer: inout Protobuf.Writer) {
        for cid in cids { writer.bytes(1, cid.bytes) }
    }
}

/// A message whose field 1 is a CID.
private struct CIDPart: MessagePart {
    var cid: CID?

    init() {}
    init(cid: CID) { self.cid = cid }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        if field.number == 1, let value = try field.cid("job") { cid = value }
    }

    func write(to writer: inout Protobuf.Writer) {
        if let cid { writer.bytes(1, cid.bytes) }
    }
}

/// A message whose field 1 is a number or flag.
private struct NumberPart: MessagePart {
    var value: UInt64 = 0

    init() {}
    init(value: UInt64) { self.value = value }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        if field.number == 1, let number = field.varint { value = number }
    }

    func write(to writer: inout Protobuf.Writer) { writer.number(1, value) }
}

/// A message whose field 1 is bytes.
private struct BytesPart: MessagePart {
    var value: [UInt8] = []

    init() {}
    init(value: [UInt8]) { self.value = value }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        if field.number == 1, let bytes = field.bytes { value = Array(bytes) }
    }

    func write(to writer: inout Protobuf.Writer) { writer.data(1, value) }
}
