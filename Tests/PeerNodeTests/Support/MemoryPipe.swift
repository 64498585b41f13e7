import PeerNode

/// One direction of a stream in memory: bounded like a Yamux window, so that writers feel slow readers.
actor MemoryPipe {
    struct Reset: Error {}

    private var chunks: [[UInt8]] = []
    private var byteCount = 0
    private var isClosed = false
    private var isReset = false
    private var reader: CheckedContinuation<Void, Never>?
    private var writer: CheckedContinuation<Void, Never>?
    private let window: Int

    init(window: Int = 256 << 10) { self.window = window }

    func read(atMost limit: Int) async throws -> [UInt8]? {
        while chunks.isEmpty {
            if isReset || Task.isCancelled { throw Reset() }
            if isClosed { return nil }
            await withTaskCancellationHandler {
                await withCheckedContinuation { reader = $0 }
            } onCancel: {
                Task { await self.wake() }
            }
        }
        if isReset { throw Reset() }
        var first = chunks.removeFirst()
        if first.count > limit {
            chunks.insert(Array(first[limit...]), at: 0)
            first = Array(first[..<limit])
        }
        byteCount -= first.count
        wakeWriter()
        return first
    }

    func write(_ bytes: [UInt8]) async throws {
        while byteCount >= window, !isReset {
            if Task.isCancelled { throw Reset() }
            await withTaskCancellationHandler {
                await withCheckedContinuation { writer = $0 }
            } onCancel: {
                Task { await self.wake() }
            }
        }
        if isReset || isClosed { throw Reset() }
        guard !bytes.isEmpty else { return }
        chunks.append(bytes)
        byteCount += bytes.count
        wakeReader()
    }

    func close() {
        isClosed = true
        wakeReader()
    }

    func reset() {
        isReset = true
        chunks = []
        wake()
    }

    private func wake() {
        wakeReader()
        wakeWriter()
    }

    private func wakeReader() {
        reader?.resume()
        reader = nil
    }

    private func wakeWriter() {
        writer?.resume()
        writer = nil
    }
}

/// One end of a stream in memory.
final class MemoryStream: PeerStream {
    private let incoming: MemoryPipe
    private let outgoing: MemoryPipe

    init(incoming: MemoryPipe, outgoing: MemoryPipe) {
        self.incoming = incoming
        self.outgoing = outgoing
    }

    /// Two ends that are joined.
    static func pair() -> (MemoryStream, MemoryStream) {
        let there = MemoryPipe()
        let back = MemoryPipe()
        return (MemoryStream(incoming: back, outgoing: there), MemoryStream(incoming: there, outgoing: back))
    }

    func read(atMost maxByteCount: Int) async throws -> [UInt8]? {
        try await incoming.read(atMost: maxByteCount)
    }
    func write(_ bytes: [UInt8]) async throws { try await outgoing.write(bytes) }
    func closeWrite() async throws { await outgoing.close() }
    func reset() async {
        await incoming.reset()
        await outgoing.reset()
    }
}
