/// Whether a descriptor can be read and written, and who waits for it.
///
/// Edge-triggered: a flag is cleared *before* the system call that may find nothing, so that an edge which comes after
/// it is never lost. Waits look at the flags again inside the continuation's body: the caller may have been queued anew
/// on the way there, when its task prefers another executor.
///
/// `@unchecked Sendable`: touched on the event loop's thread only.
final class Readiness: @unchecked Sendable {
    var token: UInt64 = 0
    private(set) var isReadable = true
    private(set) var isWritable = true
    /// The peer has shut down or the socket failed: reads go on until they say so themselves.
    private(set) var hasEnded = false
    private(set) var isClosed = false
    /// Who is told of each change, beside those who wait.
    var client: (any LoopClient)?
    private var reader: UnsafeContinuation<Void, Never>?
    private var writer: UnsafeContinuation<Void, Never>?

    func report(isReadable: Bool, isWritable: Bool, hasEnded: Bool) {
        if hasEnded { self.hasEnded = true }
        if isReadable || hasEnded {
            self.isReadable = true
            take(&reader)?.resume()
        }
        if isWritable || hasEnded {
            self.isWritable = true
            take(&writer)?.resume()
        }
        if let client { NetworkActor.assumeIsolated { client.readinessChanged() } }
    }

    /// Wakes every waiter for good.
    func close() {
        isClosed = true
        client = nil
        take(&reader)?.resume()
        take(&writer)?.resume()
    }

    func willRead() { isReadable = hasEnded }
    func foundNothing() { isReadable = false }
    func didFillBuffer() { isReadable = true }
    func willWrite() { isWritable = false }
    func didWriteAll() { isWritable = true }

    /// Waits until a read may find something, or the descriptor is closed.
    @NetworkActor
    func readable() async {
        guard !isReadable, !isClosed else { return }
        await withUnsafeContinuation { continuation in
            guard !isReadable, !isClosed else { return continuation.resume() }
            precondition(reader == nil, "one task reads a descriptor")
            reader = continuation
        }
    }

    /// Waits until a write may find room, or the descriptor is closed.
    @NetworkActor
    func writable() async {
        guard !isWritable, !isClosed else { return }
        await withUnsafeContinuation { continuation in
            guard !isWritable, !isClosed else { return continuation.resume() }
            precondition(writer == nil, "one task writes a descriptor")
            writer = continuation
        }
    }

    private func take(_ waiter: inout UnsafeContinuation<Void, Never>?) -> UnsafeContinuation<Void, Never>? {
        defer { waiter = nil }
        return waiter
    }
}
