package import Multiformats

/// Bytes of bitswap messages.
extension BitswapMessage {
    /// Reads one message, without its length; block data are slices of `bytes`.
    ///
    /// - Throws: `BitswapCodecFault`; the stream is to be reset.
    package init(bytes: [UInt8]) throws(BitswapCodecFault) {
        var reader = BitswapFieldReader(bytes[...])
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let value)): try readWantlist(value)
            case (2, .bytes(let value)):
                // Version 1.0.0's bare blocks are CIDv0; old peers may still mix them in.
                try append(Block(prefix: [], data: value))
            case (3, .bytes(let value)): try readBlock(value)
            case (4, .bytes(let value)): try readPresence(value)
            case (5, .varint(let value)): pendingByteCount = Int32(truncatingIfNeeded: value)
            default: break
            }
        }
    }

    private mutating func readWantlist(_ bytes: ArraySlice<UInt8>) throws(BitswapCodecFault) {
        var reader = BitswapFieldReader(bytes)
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let value)):
                guard wants.count < BitswapMessage.maxEntryCount else { throw .tooManyEntries }
                wants.append(try BitswapMessage.want(in: value))
            case (2, .varint(let value)): isFull = value != 0
            default: break
            }
        }
    }

    private static func want(in bytes: ArraySlice<UInt8>) throws(BitswapCodecFault) -> Want {
        var reader = BitswapFieldReader(bytes)
        var cid: ArraySlice<UInt8> = []
        var priority: Int32 = 0
        var isCancel = false
        var type: UInt64 = 0
        var sendsDontHave = false
        while let field = try reader.next() {
            switch (field.number, field.value) {
            case (1, .bytes(let value)): cid = value
            case (2, .varint(let value)): priority = Int32(truncatingIfNeeded: value)
            case (3, .varint(let value)): isCancel = value != 0
            case (4, .varint(let value)): type = value
            case (5, .varint(let value)): sendsDontHave = value != 0
            default: break
            }
        }
        // A want of a type that is not known yet is best answered like the cheapest one.
        let kind: Want.Kind = isCancel ? .cancel : type == 0 ? .block : .have
        return Want(try parseCID(cid), kind: kind, priority: priority, sendsDontHave: sendsDontHave)
    }

    private mutating func readBlock(_ bytes: ArraySlice<UInt8>) throws(BitswapCodecFault) {
        var reader = BitswapFieldReader(bytes)
        var block = Block(prefix: [], data: [])
        while let field = try reader.next() {
            if field.number == 1, let value = field.bytes { block.prefix = value }
            if field.number == 2, let value = field.bytes { block.data = value }
        }
        try append(block)
    }

    private mutating func append(_ block: Block) throws(BitswapCodecFault) {
        guard block.data.count <= BitswapMessage.maxBlockByteCount else {
            throw .blockTooLong(block.data.count)
        }
        guard blocks.count < BitswapMessage.maxBlockCount else { throw .tooManyEntries }
        blocks.append(block)
    }

    private mutating func readPresence(_ bytes: ArraySlice<UInt8>) throws(BitswapCodecFault) {
        guard presences.count < BitswapMessage.maxEntryCount else { throw .tooManyEntries }
        var reader = BitswapFieldReader(bytes)
        var cid: ArraySlice<UInt8> = []
        var type: UInt64 = 0
        while let field = try reader.next() {
            if field.number == 1, let value = field.bytes { cid = value }
            if field.number == 2, let value = field.varint { type = value }
        }
        presences.append(Presence(try BitswapMessage.parseCID(cid), isHeld: type == 0))
    }

    private static func parseCID(_ bytes: ArraySlice<UInt8>) throws(BitswapCodecFault) -> CID {
        guard bytes.count <= maxCIDByteCount else { throw .cidTooLong(bytes.count) }
        do throws(CIDFault) {
            return try CID(bytes: bytes)
        } catch {
            throw .cid(error)
        }
    }

    /// The message with its length before it, in pieces to be written one after the other.
    ///
    /// Block data stand in pieces of their own, uncopied, unless they are small.
    package var pieces: [ArraySlice<UInt8>] {
        var front = Protobuf.Writer()
        if !wants.isEmpty || isFull { front.bytes(1, wantlistBytes) }
        var body = [front.bytes[...]]
        for block in blocks { append(block, to: &body) }
        var back = Protobuf.Writer()
        for presence in presences {
            var inner = Protobuf.Writer()
            inner.bytes(1, presence.cid.bytes)
            if !presence.isHeld { inner.varint(2, 1) }
            back.bytes(4, inner.bytes)
        }
        if pendingByteCount != 0 { back.varint(5, UInt64(bitPattern: Int64(pendingByteCount))) }
        body.append(back.bytes[...])
        let byteCount = body.reduce(0) { $0 + $1.count }
        body[0] = (Varint.encode(UInt64(byteCount)) + body[0])[...]
        return body.filter { !$0.isEmpty }
    }

    /// The message with its length before it, in one piece.
    package var delimitedBytes: [UInt8] { Array(pieces.joined()) }

    private var wantlistBytes: [UInt8] {
        var list = Protobuf.Writer()
        for want in wants {
            var entry = Protobuf.Writer()
            entry.bytes(1, want.cid.bytes)
            if want.priority != 0 { entry.varint(2, UInt64(bitPattern: Int64(want.priority))) }
            switch want.kind {
            case .cancel: entry.varint(3, 1)
            case .have: entry.varint(4, 1)
            case .block: break
            }
            if want.sendsDontHave { entry.varint(5, 1) }
            list.bytes(1, entry.bytes)
        }
        if isFull { list.varint(2, 1) }
        return list.bytes
    }

    private func append(_ block: Block, to body: inout [ArraySlice<UInt8>]) {
        var prefix = Protobuf.Writer()
        prefix.bytes(1, block.prefix)
        var head: [UInt8] = []
        let dataHead =
            Varint.encode(2 << 3 | Protobuf.WireType.bytes.rawValue) + Varint.encode(UInt64(block.data.count))
        Varint.append(3 << 3 | Protobuf.WireType.bytes.rawValue, to: &head)
        Varint.append(UInt64(prefix.bytes.count + dataHead.count + block.data.count), to: &head)
        body[body.count - 1] += head + prefix.bytes + dataHead
        if block.data.count <= BitswapMessage.maxInlinePieceByteCount {
            body[body.count - 1] += block.data
        } else {
            body.append(block.data)
            body.append([])
        }
    }

    /// Block data up to this length are copied next to their header, in bytes: a piece of its own costs more.
    package static let maxInlinePieceByteCount = 4096
}

/// Reads fields, naming faults in bitswap's words.
private struct BitswapFieldReader {
    private var reader: Protobuf.Reader

    init(_ bytes: ArraySlice<UInt8>) { reader = Protobuf.Reader(bytes) }

    mutating func next() throws(BitswapCodecFault) -> Protobuf.Field? {
        do throws(Protobuf.Fault) {
            return try reader.next()
        } catch {
            throw .malformed(error)
        }
    }
}

/// Why bytes are not a bitswap message.
package enum BitswapCodecFault: Error, Equatable, Sendable {
    case malformed(Protobuf.Fault)
    case cid(CIDFault)
    case cidTooLong(Int)
    case blockTooLong(Int)
    case tooManyEntries
}
