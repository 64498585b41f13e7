internal import Synchronization

/// Files whose length is not known beforehand: each is sent in pieces, by requests of known length, into a pipe that
/// one `addFile` reads.
final class UploadTable: Sendable {
    /// Most uploads at a time.
    static let limit = 16

    private let uploads = Mutex<[String: Upload]>([:])
    /// Adds that a connection of their client stands for.
    private let held = Mutex<Set<AddSession>>([])

    /// Lets the uploads of an add wait for as long as its client is there.
    func hold(_ session: AddSession) { _ = held.withLock { $0.insert(session) } }

    /// Starts an upload; `add` reads what its pieces bring.
    func begin(
        _ session: AddSession,
        _ add: @escaping @Sendable (PipeSource) async throws -> AddedNode
    ) throws(NodeError) -> String {
        let isHeld = held.withLock { $0.contains(session) }
        let upload = Upload(session, isHeld: isHeld, add)
        let id = RandomName.make()
        let isAccepted = uploads.withLock { uploads in
            uploads = uploads.filter { !$0.value.hasEnded }
            guard uploads.count < UploadTable.limit else { return false }
            uploads[id] = upload
            return true
        }
        guard isAccepted else {
            upload.pipe.fail("refused")
            throw NodeError(
                .tooMuch,
                "\(UploadTable.limit) uploads are running; try again when one has ended"
            )
        }
        return id
    }

    func upload(_ id: String) throws(NodeError) -> Upload {
        guard let upload = uploads.withLock({ $0[id] }) else {
            throw NodeError(.notFound, "there is no upload \(id)")
        }
        return upload
    }

    /// Ends an upload and gives the node that it made.
    func finish(_ id: String) async throws -> AddedNode {
        let upload = try upload(id)
        upload.pipe.finish()
        defer { _ = uploads.withLock { $0.removeValue(forKey: id) } }
        return try await upload.result.value
    }

    /// Ends the uploads of an add that nobody wants any more.
    func abandon(_ session: AddSession) {
        _ = held.withLock { $0.remove(session) }
        let all = uploads.withLock { uploads in
            let mine = uploads.filter { $0.value.session == session }
            for id in mine.keys { uploads[id] = nil }
            return mine.values.map(\.self)
        }
        for upload in all { upload.pipe.fail("the client went away") }
    }

    func abandonAll() {
        for upload in uploads.withLock({ $0.values.map(\.self) }) {
            upload.pipe.fail("the daemon is stopping")
        }
    }
}

/// One file on its way in.
final class Upload: Sendable {
    /// Longest wait for the next piece when the client is known to be there, in seconds: as good as none.
    ///
    /// What feeds the client may be a slow program. Without that knowledge the wait is a pipe's.
    static let heldLimitSeconds = 365 * 24 * 3_600

    /// The add that it belongs to.
    let session: AddSession
    let pipe: BytePipe
    /// Outlives the requests that feed it, so it is no child of theirs; it ends with the pipe.
    let result: Task<AddedNode, any Error>
    private let byteCount = Mutex<UInt64>(0)
    private let ended: Flag

    /// Set by one task, read by others.
    private final class Flag: Sendable {
        let value = Mutex(false)
    }

    init(
        _ session: AddSession,
        isHeld: Bool,
        _ add: @escaping @Sendable (PipeSource) async throws -> AddedNode
    ) {
        let limit = isHeld ? Upload.heldLimitSeconds : BytePipe.stallLimitSeconds
        let pipe = BytePipe()
        let ended = Flag()
        self.session = session
        self.pipe = pipe
        self.ended = ended
        result = Task {
            defer { ended.value.withLock { $0 = true } }
            return try await add(PipeSource(pipe, byteCount: nil, stallLimitSeconds: limit))
        }
    }

    /// The file was added, or adding it failed.
    var hasEnded: Bool { ended.value.withLock { $0 } }

    /// Checks that a piece follows the one before.
    func expect(offset: UInt64) throws(NodeError) {
        let expected = byteCount.withLock { $0 }
        guard offset == expected else {
            throw NodeError(.conflict, "the piece starts at \(offset), but \(expected) bytes have arrived")
        }
    }

    func received(_ count: UInt64) { byteCount.withLock { $0 += count } }
}
