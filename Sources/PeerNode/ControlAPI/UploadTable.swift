internal import Synchronization

/// Files whose length is not known beforehand: each is sent in pieces, by requests of known length, into a pipe that
/// one `addFile` reads.
final class UploadTable: Sendable {
    /// Most uploads at a time.
    static let limit = 16

    private let uploads = Mutex<[String: Upload]>([:])

    /// Starts an upload; `add` reads what its pieces bring.
    func begin(_ add: @escaping @Sendable (PipeSource) async throws -> AddedNode) throws(NodeError) -> String
    {
        let upload = Upload(add)
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

    func abandonAll() {
        for upload in uploads.withLock({ $0.values.map(\.self) }) {
            upload.pipe.fail("the daemon is stopping")
        }
    }
}

/// One file on its way in.
final class Upload: Sendable {
    /// Longest wait for the next piece, in seconds: its sender may be a pipe that a slow program feeds.
    static let idleLimitSeconds = 3_600

    let pipe: BytePipe
    /// Outlives the requests that feed it, so it is no child of theirs; it ends with the pipe.
    let result: Task<AddedNode, any Error>
    private let byteCount = Mutex<UInt64>(0)
    private let ended: Flag

    /// Set by one task, read by others.
    private final class Flag: Sendable {
        let value = Mutex(false)
    }

    init(_ add: @escaping @Sendable (PipeSource) async throws -> AddedNode) {
        let pipe = BytePipe()
        let ended = Flag()
        self.pipe = pipe
        self.ended = ended
        result = Task {
            defer { ended.value.withLock { $0 = true } }
            return try await add(PipeSource(pipe, byteCount: nil, stallLimitSeconds: Upload.idleLimitSeconds))
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
