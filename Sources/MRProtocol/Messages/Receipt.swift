package import Multiformats

/// A worker's statement that a task gave an output; worth something only in its signed envelope.
package struct Receipt: Equatable, Sendable {
    /// What was executed.
    package enum Kind: UInt64, Sendable {
        case map = 1
        case reduce = 2
        case merge = 3
    }

    package var kind: Kind
    package var job: CID
    /// The key that the task came with.
    package var key: [UInt8]
    package var attempt: UInt64
    package var worker: PeerID
    /// Who gave the task.
    package var master: PeerID
    /// The run file or part; its holders serve it by bitswap.
    package var output: StoredFile
    /// Leaves behind its own that a map task read.
    package var lookaheadCount: UInt32
    package var counters: TaskCounters
    package var engine: String
    /// Input blocks that the worker had to fetch.
    package var fetchedBlockCount: UInt32 = 0
    /// Bytes of those blocks.
    package var fetchedByteCount: UInt64 = 0

    /// What receipt signatures are for.
    package static let domain = "mapreduce-receipt"
    /// Payload type of receipts.
    package static let payloadType = Array("/mapreduce/receipt/1".utf8)
    /// Longest sealed receipt, in bytes.
    package static let maxByteCount = 256 << 10

    /// States what a task gave.
    package init(
        kind: Kind,
        head: TaskHead,
        worker: PeerID,
        master: PeerID,
        output: StoredFile,
        lookaheadCount: UInt32,
        counters: TaskCounters
    ) {
        self.init(
            kind: kind,
            job: head.job,
            key: head.key,
            attempt: head.attempt,
            worker: worker,
            master: master,
            output: output,
            lookaheadCount: lookaheadCount,
            counters: counters,
            engine: head.engine
        )
    }

    private init(
        kind: Kind,
        job: CID,
        key: [UInt8],
        attempt: UInt64,
        worker: PeerID,
        master: PeerID,
        output: StoredFile,
        lookaheadCount: UInt32,
        counters: TaskCounters,
        engine: String
    ) {
        self.kind = kind
        self.job = job
        self.key = key
        self.attempt = attempt
        self.worker = worker
        self.master = master
        self.output = output
        self.lookaheadCount = lookaheadCount
        self.counters = counters
        self.engine = engine
    }

    /// Signs the receipt; `publicKey` has to be the worker's.
    package func sealed(publicKey: PublicKey, sign: SignedEnvelope.Signer) -> [UInt8] {
        precondition(worker == PeerID(publicKey), "a receipt of \(worker) signed by another peer")
        return SignedEnvelope(
            domain: Receipt.domain,
            payloadType: Receipt.payloadType,
            payload: ReceiptPart(receipt: self).bytes,
            publicKey: publicKey,
            sign: sign
        ).bytes
    }

    /// Reads a sealed receipt and checks its signature, and that the worker signed it.
    package init(sealed bytes: [UInt8], verify: SignedEnvelope.Verifier) throws(SealedMessageFault) {
        let envelope = try SealedMessageFault.open(
            bytes,
            maxByteCount: Receipt.maxByteCount,
            domain: Receipt.domain,
            payloadType: Receipt.payloadType,
            verify: verify
        )
        do throws(MessageFault) {
            self = try ReceiptPart(bytes: envelope.payload[...]).required()
        } catch {
            throw .message(error)
        }
        guard worker == envelope.signer else { throw .wrongSigner }
    }

    fileprivate struct ReceiptPart: MessagePart {
        private var kind: UInt64 = 0
        private var job: CID?
        private var key: [UInt8] = []
        private var attempt: UInt64 = 0
        private var worker: PeerID?
        private var master: PeerID?
        private var output: FilePart?
        private var lookaheadCount: UInt32 = 0
        private var counters = CountersPart()
        private var engine = ""
        private var fetchedBlockCount: UInt32 = 0
        private var fetchedByteCount: UInt64 = 0

        init() {}

        init(receipt: Receipt) {
            kind = receipt.kind.rawValue
            job = receipt.job
            key = receipt.key
            attempt = receipt.attempt
            worker = receipt.worker
            master = receipt.master
            output = FilePart(file: receipt.output)
            lookaheadCount = receipt.lookaheadCount
            counters = CountersPart(counters: receipt.counters)
            engine = receipt.engine
            fetchedBlockCount = receipt.fetchedBlockCount
            fetchedByteCount = receipt.fetchedByteCount
        }

        func required() throws(MessageFault) -> Receipt {
            guard let kind = Kind(rawValue: kind) else { throw .value("kind") }
            guard let job else { throw .missing("job") }
            guard let worker else { throw .missing("worker") }
            guard let master else { throw .missing("master") }
            guard let output else { throw .missing("output") }
            var receipt = Receipt(
                kind: kind,
                job: job,
                key: key,
                attempt: attempt,
                worker: worker,
                master: master,
                output: try output.required(),
                lookaheadCount: lookaheadCount,
                counters: counters.counters,
                engine: engine
            )
            receipt.fetchedBlockCount = fetchedBlockCount
            receipt.fetchedByteCount = fetchedByteCount
            return receipt
        }

        mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
            switch field.number {
            case 1: kind = field.varint ?? kind
            case 2: job = try field.cid("job")
            case 3: key = field.bytes.map(Array.init) ?? key
            case 4: attempt = field.varint ?? attempt
            case 5: worker = try field.peer("worker")
            case 6: master = try field.peer("master")
            case 7: output = try field.part(FilePart.self) ?? output
            case 8: lookaheadCount = field.number() ?? lookaheadCount
            case 9: counters = try field.part(CountersPart.self) ?? counters
            case 10: engine = try field.text("engine") ?? engine
            case 11: fetchedBlockCount = field.number() ?? fetchedBlockCount
            case 12: fetchedByteCount = field.varint ?? fetchedByteCount
            default: break
            }
        }

        func write(to writer: inout Protobuf.Writer) {
            writer.number(1, kind)
            if let job { writer.bytes(2, job.bytes) }
            writer.data(3, key)
            writer.number(4, attempt)
            if let worker { writer.bytes(5, worker.bytes) }
            if let master { writer.bytes(6, master.bytes) }
            if let output { writer.part(7, output) }
            writer.number(8, lookaheadCount)
            writer.part(9, counters)
            writer.text(10, engine)
            writer.number(11, fetchedBlockCount)
            writer.number(12, fetchedByteCount)
        }
    }
}

/// Why a sealed message is not accepted.
package enum SealedMessageFault: Error, Equatable, Sendable {
    case envelope(EnvelopeFault)
    case message(MessageFault)
    /// The message speaks for another peer than the one that signed.
    case wrongSigner

    static func open(
        _ bytes: [UInt8],
        maxByteCount: Int,
        domain: String,
        payloadType: [UInt8],
        verify: SignedEnvelope.Verifier
    ) throws(SealedMessageFault) -> SignedEnvelope {
        do throws(EnvelopeFault) {
            let envelope = try SignedEnvelope(bytes: bytes, maxByteCount: maxByteCount)
            try envelope.check(domain: domain, payloadType: payloadType, verify: verify)
            return envelope
        } catch {
            throw .envelope(error)
        }
    }
}
