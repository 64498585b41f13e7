package import Multiformats

/// What one node tells another of the peers it knows; call and answer alike.
package struct GossipMessage: Equatable, Sendable {
    /// Sealed peer records, each as its owner signed it.
    package var records: [[UInt8]] = []
    package var suspicions: [Suspicion] = []
    /// One number for each bucket of peers, or nothing.
    ///
    /// Equal numbers mean equal knowledge.
    package var summary: [UInt32] = []
    /// In a call: a peer to call on the sender's behalf.
    package var probe: PeerID?
    /// In an answer: the peer to probe answered.
    package var isProbeAnswered = false
    /// In a call: a bit for each bucket of which the sender lacks records; the answer brings those without a mark in `marks`.
    package var wantedBuckets: UInt64 = 0
    /// In a call: what the sender has in the wanted buckets.
    package var marks: [UInt32] = []

    /// The claim that a peer cannot be reached.
    package struct Suspicion: Hashable, Sendable {
        package var peer: PeerID
        /// Sequence number of the record that is suspected; a newer record refutes the claim.
        package var sequence: UInt64

        /// Claims that the peer of a record cannot be reached.
        package init(peer: PeerID, sequence: UInt64) {
            self.peer = peer
            self.sequence = sequence
        }
    }

    /// Most records in a message.
    package static let maxRecordCount = 512
    /// Most suspicions in a message.
    package static let maxSuspicionCount = 256
    /// Most marks in a message.
    package static let maxMarkCount = 8192
    /// Numbers in a summary.
    package static let bucketCount = 64

    /// A message that says nothing.
    package init() {}

    /// Asks to call a peer.
    package init(probe: PeerID) { self.probe = probe }
}

extension GossipMessage: MessagePart {
    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        switch (field.number, field.value) {
        case (1, .bytes(let record)):
            try records.append(Array(record), limit: Self.maxRecordCount, field: "records")
        case (2, .bytes(let bytes)):
            guard let suspicion = try SuspicionPart(bytes: bytes).suspicion else { throw .missing("peer") }
            try suspicions.append(suspicion, limit: Self.maxSuspicionCount, field: "suspicions")
        case (3, .bytes(let bytes)):
            guard bytes.count == 4 * Self.bucketCount else { throw .value("summary") }
            summary = Self.numbers(bytes)
        case (4, .bytes): probe = try field.peer("probe")
        case (5, .varint(let value)): isProbeAnswered = value != 0
        case (6, .varint(let value)): wantedBuckets = value
        case (7, .bytes(let bytes)):
            guard bytes.count.isMultiple(of: 4), bytes.count <= 4 * Self.maxMarkCount else {
                throw .value("marks")
            }
            marks = Self.numbers(bytes)
        default: break
        }
    }

    func write(to writer: inout Protobuf.Writer) {
        for record in records { writer.bytes(1, record) }
        for suspicion in suspicions { writer.part(2, SuspicionPart(suspicion: suspicion)) }
        if !summary.isEmpty { writer.bytes(3, Self.bytes(summary)) }
        if let probe { writer.bytes(4, probe.bytes) }
        writer.flag(5, isProbeAnswered)
        if wantedBuckets != 0 { writer.varint(6, wantedBuckets) }
        writer.data(7, Self.bytes(marks))
    }

    /// Little-endian numbers of 32 bits.
    private static func numbers(_ bytes: ArraySlice<UInt8>) -> [UInt32] {
        stride(from: bytes.startIndex, to: bytes.endIndex, by: 4).map { start in
            bytes[start..<start + 4].reversed().reduce(0) { $0 << 8 | UInt32($1) }
        }
    }

    private static func bytes(_ numbers: [UInt32]) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(4 * numbers.count)
        for number in numbers {
            for shift in stride(from: 0, to: 32, by: 8) {
                bytes.append(UInt8(truncatingIfNeeded: number >> UInt32(shift)))
            }
        }
        return bytes
    }
}

private struct SuspicionPart: MessagePart {
    var peer: PeerID?
    var sequence: UInt64 = 0

    init() {}
    init(suspicion: GossipMessage.Suspicion) {
        peer = suspicion.peer
        sequence = suspicion.sequence
    }

    var suspicion: GossipMessage.Suspicion? {
        peer.map { GossipMessage.Suspicion(peer: $0, sequence: sequence) }
    }

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        if field.number == 1 { peer = try field.peer("peer") }
        if field.number == 2, let value = field.varint { sequence = value }
    }

    func write(to writer: inout Protobuf.Writer) {
        if let peer { writer.bytes(1, peer.bytes) }
        writer.number(2, sequence)
    }
}
