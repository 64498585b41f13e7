package import Multiformats

/// How far a job is, as its master says.
package struct JobStatusMessage: Equatable, Sendable {
    /// State of a job; `unknown` also stands for states of later versions.
    package enum State: UInt64, Sendable {
        case unknown = 0
        case waiting = 1
        case running = 2
        case succeeded = 3
        case failed = 4
        case cancelled = 5
    }

    package var state = State.unknown
    package var taskCount: UInt32 = 0
    package var doneTaskCount: UInt32 = 0
    package var runningTaskCount: UInt32 = 0
    /// Of a job that succeeded.
    package var result: CID?
    /// Of a job that failed.
    package var failure: CallFailure?

    /// A job of which nothing is known.
    package init() {}
}

extension JobStatusMessage: MessagePart {
    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        switch field.number {
        case 1: state = field.varint.flatMap(State.init) ?? .unknown
        case 2: taskCount = field.number() ?? taskCount
        case 3: doneTaskCount = field.number() ?? doneTaskCount
        case 4: runningTaskCount = field.number() ?? runningTaskCount
        case 5: result = try field.cid("result")
        case 6: failure = try field.part(CallFailure.self) ?? failure
        default: break
        }
    }

    func write(to writer: inout Protobuf.Writer) {
        writer.number(1, state.rawValue)
        writer.number(2, taskCount)
        writer.number(3, doneTaskCount)
        writer.number(4, runningTaskCount)
        if let result { writer.bytes(5, result.bytes) }
        if let failure { writer.part(6, failure) }
    }
}

/// A master's statement that it runs a job, so that others can take it over; worth something only when signed.
package struct JobAnnouncement: Equatable, Sendable {
    package var job: CID
    package var master: PeerID
    /// Grows with every announcement of the job by this master.
    package var sequence: UInt64
    package var state: JobStatusMessage.State
    package var result: CID?

    /// What announcement signatures are for.
    package static let domain = "mapreduce-job"
    /// Payload type of announcements.
    package static let payloadType = Array("/mapreduce/job/1".utf8)
    /// Longest sealed announcement, in bytes.
    package static let maxByteCount = 4096

    /// Announces a job.
    package init(
        job: CID,
        master: PeerID,
        sequence: UInt64,
        state: JobStatusMessage.State,
        result: CID? = nil
    ) {
        self.job = job
        self.master = master
        self.sequence = sequence
        self.state = state
        self.result = result
    }

    /// Signs the announcement; `publicKey` has to be the master's.
    package func sealed(publicKey: PublicKey, sign: SignedEnvelope.Signer) -> [UInt8] {
        precondition(master == PeerID(publicKey), "an announcement of \(master) signed by another peer")
        var writer = Protobuf.Writer()
        writer.bytes(1, job.bytes)
        writer.bytes(2, master.bytes)
        writer.number(3, sequence)
        writer.number(4, state.rawValue)
        if let result { writer.bytes(5, result.bytes) }
        return SignedEnvelope(
            domain: Self.domain,
            payloadType: Self.payloadType,
            payload: writer.bytes,
            publicKey: publicKey,
            sign: sign
        ).bytes
    }

    /// Reads a sealed announcement and checks its signature, and that the master signed it.
    package init(sealed bytes: [UInt8], verify: SignedEnvelope.Verifier) throws(SealedMessageFault) {
        let envelope = try SealedMessageFault.open(
            bytes,
            maxByteCount: Self.maxByteCount,
            domain: Self.domain,
            payloadType: Self.payloadType,
            verify: verify
        )
        let part: AnnouncementPart
        do throws(MessageFault) {
            part = try AnnouncementPart(bytes: envelope.payload[...])
        } catch {
            throw .message(error)
        }
        guard let job = part.job else { throw .message(.missing("job")) }
        guard part.master == envelope.signer else { throw .wrongSigner }
        self.init(
            job: job,
            master: envelope.signer,
            sequence: part.sequence,
            state: part.state,
            result: part.result
        )
    }
}

private struct AnnouncementPart: MessageReadable {
    var job: CID?
    var master: PeerID?
    var sequence: UInt64 = 0
    var state = JobStatusMessage.State.unknown
    var result: CID?

    mutating func take(_ field: Protobuf.Field) throws(MessageFault) {
        switch field.number {
        case 1: job = try field.cid("job")
        case 2: master = try field.peer("master")
        case 3: sequence = field.varint ?? sequence
        case 4: state = field.varint.flatMap(JobStatusMessage.State.init) ?? .unknown
        case 5: result = try field.cid("result")
        default: break
        }
    }
}
