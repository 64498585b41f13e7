import Foundation
import MRProtocol
import Multiformats
import Testing

@Suite("Messages of /mapreduce/1")
struct MapReduceMessageTests {
    private static func vectors() throws -> [String: [UInt8]] {
        let folder = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let data = try Data(contentsOf: folder.appendingPathComponent("Vectors/mapreduce/messages.json"))
        return try JSONDecoder().decode([String: String].self, from: data).compactMapValues {
            Base16.decode($0.utf8)
        }
    }

    private static func raw(_ text: String) -> CID { .of(Array(text.utf8), codec: .raw) }
    private static func key(_ number: UInt8) -> PublicKey {
        PublicKey(simulated: [UInt8](repeating: number, count: 32))
    }
    private static func peer(_ number: UInt8) -> PeerID { PeerID(key(number)) }
    private static let spec: [UInt8] = [0xa0]
    private static let job = CID.of(spec, codec: .dagCBOR)
    private static let head = TaskHead(
        job: job,
        spec: spec,
        attempt: 7,
        key: [UInt8](repeating: 1, count: 32),
        engine: "builtin/1"
    )

    private static var hello: HelloMessage {
        HelloMessage(
            agent: "peernode/0.1",
            engines: ["builtin/1", "js/1"],
            slots: 4,
            busySlots: 300,
            features: ["x"]
        )
    }

    private static var gossip: GossipMessage {
        var message = GossipMessage()
        message.records = [[1, 2]]
        message.suspicions = [.init(peer: peer(3), sequence: 1 << 63 + 5)]
        message.summary = (0..<64).map { $0 }
        message.probe = peer(4)
        return message
    }

    private static var gossipPull: GossipMessage {
        var message = GossipMessage()
        message.wantedBuckets = 1 << 63 + 5
        message.marks = [1, 0xfffe_fdfc]
        return message
    }

    private static var mapTask: MapTaskMessage {
        let first = MapSegment(
            fileIndex: 2,
            fileName: "a/b.txt",
            fileOffset: 1 << 33,
            leaves: [InputLeaf(cid: raw("a"), byteCount: 262_144), InputLeaf(cid: raw("b"), byteCount: 1)],
            lookahead: [InputLeaf(cid: raw("c"), byteCount: 9)],
            reachesEndOfFile: true
        )
        let second = MapSegment(
            fileIndex: 0,
            fileName: "",
            fileOffset: 0,
            leaves: [InputLeaf(cid: raw("d"), byteCount: 5)],
            lookahead: [],
            reachesEndOfFile: false
        )
        return MapTaskMessage(head: head, assignment: MapAssignment(segments: [first, second]))
    }

    private static let run = StoredFile(root: raw("r"), byteCount: 10, holders: [peer(1), peer(2)])

    private static var requests: [(String, MapReduceRequest)] {
        [
            ("hello", .hello(hello)), ("gossip", .gossip(gossip)), ("have", .have([raw("a"), raw("b")])),
            ("gossip_pull", .gossip(gossipPull)),
            ("map", .map(mapTask)),
            (
                "map_merged_later",
                .map(MapTaskMessage(head: head, assignment: mapTask.assignment, isMergedLater: true))
            ),
            (
                "reduce",
                .reduce(
                    ReduceTaskMessage(
                        head: head,
                        partition: 3,
                        runs: [run, StoredFile(root: raw("s"), byteCount: 0, holders: [])]
                    )
                )
            ),
            (
                "merge",
                .merge(
                    MergeTaskMessage(
                        head: head,
                        runs: [StoredFile(root: raw("r"), byteCount: 10, holders: [])]
                    )
                )
            ),
            ("cancel", .cancel(attempt: 7)), ("job_status", .jobStatus(job)),
        ]
    }

    private static var responses: [(String, MapReduceResponse)] {
        var answer = GossipMessage()
        answer.isProbeAnswered = true
        var status = JobStatusMessage()
        (status.state, status.taskCount, status.doneTaskCount, status.runningTaskCount) = (.failed, 10, 9, 1)
        status.failure = CallFailure(.function(name: "map", file: "f", offset: 12, reason: "no"))
        let thrown = FunctionFailure(
            .threw,
            function: "wc.js",
            role: "map",
            message: "no",
            line: 3,
            column: 14,
            stack: "map@wc.js:3:14",
            input: "f",
            offset: 12,
            excerpt: Array("x y".utf8)
        )
        var failure = CallFailure(.userFunction(thrown))
        failure.log = Array("said\n".utf8)
        var report = TaskReport()
        (report.log, report.droppedLogByteCount) = (Array("a\n".utf8), 7)
        (report.status, report.skipped) = ("half", [thrown])
        return [
            ("gossip_answer", .gossip(answer)), ("have_answer", .have(bitmap: [5, 1])),
            ("cancel_answer", .cancelled(wasRunning: true)), ("job_status_answer", .jobStatus(status)),
            ("progress", .progress(byteCount: 1 << 40)), ("result", .result(receipt: [1, 2, 3])),
            ("user_function", .failure(failure)),
            ("result_with_report", .result(receipt: [1, 2, 3], report: report)),
            (
                "failure",
                .failure(CallFailure(.blockUnavailable(raw("a"), file: "f", offset: 5, reason: "gone")))
            ),
        ]
    }

    private static var receipt: Receipt {
        var counters = TaskCounters()
        (counters.inputRecords, counters.inputBytes, counters.mapOutputPairs) = (1, 2, 3)
        (counters.combinedPairs, counters.shuffledBytes, counters.reduceInputPairs) = (4, 5, 6)
        (counters.reduceInputKeys, counters.outputRecords, counters.outputBytes) = (7, 8, 9)
        (counters.spilledBytes, counters.skippedRecords, counters.user) = (10, 11, ["a": 1, "b": 0])
        return Receipt(
            kind: .map,
            head: head,
            worker: peer(1),
            master: peer(2),
            output: StoredFile(root: raw("r"), byteCount: 10, holders: [peer(1)]),
            lookaheadCount: 1,
            counters: counters
        )
    }

    private static func sign(_ message: [UInt8]) -> [UInt8] { [UInt8](repeating: 5, count: 64) }

    @Test("requests are those that protoc's classes write, and are read back the same")
    func requests() throws {
        let vectors = try Self.vectors()
        for (name, request) in Self.requests {
            let bytes = try #require(vectors[name])
            #expect(Base16.encode(request.bytes) == Base16.encode(bytes), "\(name)")
            #expect(try MapReduceRequest(bytes: bytes) == request, "\(name)")
        }
    }

    @Test("answers are those that protoc's classes write, and are read back the same")
    func responses() throws {
        let vectors = try Self.vectors()
        for (name, response) in Self.responses {
            let bytes = try #require(vectors[name])
            #expect(Base16.encode(response.bytes) == Base16.encode(bytes), "\(name)")
            #expect(try MapReduceResponse(bytes: bytes) == response, "\(name)")
        }
    }

    @Test("a receipt's payload is what protoc's classes write; it is read back when the signature is right")
    func receipt() throws {
        let sealed = Self.receipt.sealed(publicKey: Self.key(1), sign: Self.sign)
        #expect(try SignedEnvelope(bytes: sealed).payload == Self.vectors()["receipt_payload"])
        #expect(try Receipt(sealed: sealed) { _, _, signature in signature == Self.sign([]) } == Self.receipt)
        #expect(throws: SealedMessageFault.envelope(.signature)) {
            try Receipt(sealed: sealed) { _, _, _ in false }
        }
    }

    @Test("an announcement's payload is what protoc's classes write; a receipt is none")
    func announcement() throws {
        let announcement = JobAnnouncement(job: Self.job, master: Self.peer(1), sequence: 9, state: .running)
        let sealed = announcement.sealed(publicKey: Self.key(1), sign: Self.sign)
        #expect(try SignedEnvelope(bytes: sealed).payload == Self.vectors()["announcement_payload"])
        #expect(try JobAnnouncement(sealed: sealed) { _, _, _ in true } == announcement)
        let receipt = Self.receipt.sealed(publicKey: Self.key(1), sign: Self.sign)
        #expect(throws: SealedMessageFault.envelope(.payloadType)) {
            try JobAnnouncement(sealed: receipt) { _, _, _ in true }
        }
    }

    @Test("a receipt that names another worker than its signer is refused")
    func foreignReceipt() throws {
        let payload = try #require(try Self.vectors()["receipt_payload"])
        let envelope = SignedEnvelope(
            domain: Receipt.domain,
            payloadType: Receipt.payloadType,
            payload: payload,
            publicKey: Self.key(9),
            sign: Self.sign
        )
        #expect(throws: SealedMessageFault.wrongSigner) {
            try Receipt(sealed: envelope.bytes) { _, _, _ in true }
        }
    }

    @Test("a call or an answer of a later version is unknown, not malformed; unknown fields are skipped")
    func unknown() throws {
        #expect(try MapReduceRequest(bytes: [0x7a, 1, 0]) == .unknown)
        #expect(try MapReduceRequest(bytes: []) == .unknown)
        #expect(try MapReduceResponse(bytes: [0x7a, 1, 0]) == .unknown)
        #expect(try MapReduceRequest(bytes: [0x32, 5, 0x08, 7, 0x7a, 1, 0, 0x78, 9]) == .cancel(attempt: 7))
        let failure = try MapReduceResponse(bytes: [0x0a, 3, 0x08, 0xe7, 0x07])
        #expect(failure == .failure(CallFailure(.init(number: 999), message: "")))
    }

    @Test("every shorter piece of a task is refused or is another message, and nothing traps")
    func truncated() {
        let bytes = MapReduceRequest.map(Self.mapTask).bytes
        for count in 1..<bytes.count {
            #expect(throws: MessageFault.self, "\(count)") {
                try MapReduceRequest(bytes: Array(bytes.prefix(count)))
            }
        }
    }

    @Test("a task whose specification is not its job's is refused")
    func wrongSpec() {
        var task = Self.mapTask
        task.head.spec = [0xa1]
        #expect(throws: MessageFault.value("spec")) {
            try MapReduceRequest(bytes: MapReduceRequest.map(task).bytes)
        }
    }

    @Test("limits on lists and lengths hold")
    func limits() throws {
        let many = [CID](repeating: Self.raw("a"), count: MapReduceRequest.maxHaveCount)
        #expect(try MapReduceRequest(bytes: MapReduceRequest.have(many).bytes) == .have(many))
        #expect(throws: MessageFault.value("cids")) {
            try MapReduceRequest(bytes: MapReduceRequest.have(many + [Self.raw("a")]).bytes)
        }
        #expect(throws: MessageFault.tooLong(4_194_305, limit: 4_194_304)) {
            try MapReduceRequest(bytes: [UInt8](repeating: 0, count: 4_194_305))
        }
        let hello = HelloMessage(
            agent: "",
            engines: [String](repeating: "e", count: 65),
            slots: 0,
            busySlots: 0
        )
        #expect(throws: MessageFault.value("engines")) {
            try MapReduceRequest(bytes: MapReduceRequest.hello(hello).bytes)
        }
    }

    @Test("a long reason is cut at a character, and read; text that is not UTF-8 is refused")
    func texts() throws {
        let reason = "x" + String(repeating: "é", count: 3000)
        let bytes = MapReduceResponse.failure(CallFailure(.store(reason))).bytes
        let expected = CallFailure(.store("x" + String(repeating: "é", count: 2047)))
        #expect(try MapReduceResponse(bytes: bytes) == .failure(expected))
        #expect(throws: MessageFault.value("message")) {
            try MapReduceResponse(bytes: [0x0a, 3, 0x12, 1, 0xff])
        }
    }

    @Test("bitmaps hold one bit a block, the first lowest, and missing bytes say no")
    func bitmaps() {
        let flags = [true, false, true, false, false, false, false, false, true]
        #expect(MapReduceResponse.bitmap(flags) == [5, 1])
        #expect(MapReduceResponse.flags(of: [5, 1], count: 9) == flags)
        #expect(MapReduceResponse.flags(of: [], count: 2) == [false, false])
    }

    @Test(
        "every fault of a task crosses the wire",
        arguments: [
            TaskFault.recordTooLong(file: "f", offset: 1, limit: 2),
            .blockUnavailable(raw("a"), file: "f", offset: 3, reason: "r"),
            .mapOutputUnavailable(raw("b"), reason: "r"), .malformedMapOutput(runIndex: 4, reason: "r"),
            .argument(name: "n", reason: "r"), .function(name: "n", file: "f", offset: 5, reason: "r"),
            .malformedInput(file: "f", offset: 6, reason: "r"), .malformedValue(key: [0, 255], reason: "r"),
            .store("r"), .cancelled,
        ]
    )
    func faults(fault: TaskFault) throws {
        let bytes = MapReduceResponse.failure(CallFailure(fault)).bytes
        guard case .failure(let failure) = try MapReduceResponse(bytes: bytes) else {
            Issue.record("no failure")
            return
        }
        #expect(failure.taskFault == fault)
        #expect(CallFailure(.busy, message: "").taskFault == nil)
    }
}
