import FunctionProtocol
import Glibc

/// The socket to the node: frames in, answers out, both blocking.
///
/// When the node hangs up the process ends: there is nobody left to work for.
final class Channel {
    /// The socket's number.
    static let descriptor: Int32 = 3
    /// The page's number.
    static let pageDescriptor: Int32 = 4

    /// Where this process says what the attempt is at; `nil` when it cannot be mapped.
    ///
    /// Asked for the first time before the process is confined.
    nonisolated(unsafe) static let page: PlacePage? = {
        defer { close(pageDescriptor) }
        return PlacePage(descriptor: pageDescriptor)
    }()

    /// Pairs not sent yet.
    private var batch: [UInt8] = []
    private var isInputOpen = false
    private var frameCount = 0

    init() { batch.reserveCapacity(2 * Frame.batchByteCount) }

    /// The next `records` or `input` frame, or `nil` behind the `end` of the attempt's input.
    func next() throws(FunctionFault) -> Frame? {
        guard isInputOpen else { return nil }
        guard let frame = receive() else { _exit(0) }
        switch frame.kind {
        case .records, .input:
            frameCount += 1
            return frame
        case .end:
            isInputOpen = false
            Channel.page?[.frame] = 0
            return nil
        case .prepare, .begin, .ready, .output, .counter, .log, .status, .skipped, .done, .failed:
            send(
                .failed,
                FunctionFault(.protocolViolation, "a frame of kind \(frame.kind) in an attempt").body
            )
            _exit(1)
        }
    }

    /// Emits packed pairs (`PackedPairs`); sent when a batch is full and at the end of the attempt.
    ///
    /// - Throws: `limit` when the pairs of one call are larger than a frame.
    func emit(_ packedPairs: UnsafeRawBufferPointer) throws(FunctionFault) {
        guard packedPairs.count <= Frame.maxBodyByteCount else {
            throw FunctionFault(
                .limit,
                "pairs of \(packedPairs.count) bytes were emitted at once; the limit is \(Frame.maxBodyByteCount) bytes"
            )
        }
        if batch.isEmpty, packedPairs.count >= Frame.batchByteCount {
            return send(.output, packedPairs)
        }
        if batch.count + packedPairs.count > Frame.maxBodyByteCount { flush() }
        batch.append(contentsOf: packedPairs)
        if batch.count >= Frame.batchByteCount { flush() }
    }

    /// Emits packed pairs.
    func emit(_ packedPairs: [UInt8]) throws(FunctionFault) {
        try packedPairs.withUnsafeBufferPointer { pairs throws(FunctionFault) in
            try emit(UnsafeRawBufferPointer(pairs))
        }
    }

    /// Appends text to the attempt's log.
    func log(_ text: some Collection<UInt8>) { sendText(.log, text) }

    /// Says in a line what the attempt is doing.
    func status(_ text: some Collection<UInt8>) { sendText(.status, text) }

    /// Makes a user counter grow.
    func count(_ increment: CounterIncrement) { send(.counter, increment.body) }

    /// Tells of a record that was skipped.
    func skipped(_ fault: FunctionFault) { send(.skipped, fault.body) }

    private func sendText(_ kind: Frame.Kind, _ text: some Collection<UInt8>) {
        send(kind, Array(text.prefix(Frame.batchByteCount)))
    }
}

// MARK: - Attempts

extension Channel {
    func beginAttempt() {
        batch.removeAll(keepingCapacity: true)
        isInputOpen = true
        frameCount = 0
    }

    /// Says that the attempt gets on.
    static func getsOn() { page?[.steps] += 1 }

    /// Says that the record or batch at this offset of the frame at hand is being mapped.
    func isAt(_ offset: UInt64) {
        Channel.page?[.frame] = Double(frameCount)
        Channel.page?[.offset] = Double(offset)
    }

    /// Sends what was emitted, and that it is all; passes over input left unread.
    func endAttempt() {
        flush()
        send(.done, [])
        skipInput()
    }

    /// Drops what was emitted and not sent; passes over input left unread.
    func failAttempt(_ fault: FunctionFault) {
        send(.failed, fault.body)
        skipInput()
    }

    private func skipInput() {
        while isInputOpen {
            // A fault of the protocol ends the process inside `next`.
            _ = try? next()
        }
    }

    private func flush() {
        guard !batch.isEmpty else { return }
        batch.withUnsafeBytes { send(.output, $0) }
        batch.removeAll(keepingCapacity: true)
    }
}

// MARK: - Frames

extension Channel {
    /// The next frame of any kind, or `nil` when the node has hung up; ends the process on bytes that are no frame.
    func receive() -> Frame? {
        let head = [UInt8](unsafeUninitializedCapacity: Frame.headByteCount) { buffer, count in
            count = fill(UnsafeMutableRawBufferPointer(buffer))
        }
        guard head.count == Frame.headByteCount else { return nil }
        guard let (kind, byteCount) = Frame.parse(head: head) else {
            send(.failed, FunctionFault(.protocolViolation, "bytes that are no frame: \(head)").body)
            _exit(1)
        }
        let body = [UInt8](unsafeUninitializedCapacity: byteCount) { buffer, count in
            count = fill(
                UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<byteCount])
            )
        }
        return body.count == byteCount ? Frame(kind, body) : nil
    }

    func send(_ kind: Frame.Kind, _ body: [UInt8]) { body.withUnsafeBytes { send(kind, $0) } }

    func send(_ kind: Frame.Kind, _ body: UnsafeRawBufferPointer) {
        Frame.head(kind, bodyByteCount: body.count).withUnsafeBytes { head in
            var parts = [iovec(head), iovec(body)]
            writeAll(&parts)
        }
    }

    /// Reads until `buffer` is full; returns fewer bytes when the node has hung up.
    private func fill(_ buffer: UnsafeMutableRawBufferPointer) -> Int {
        var count = 0
        while count < buffer.count, let start = buffer.baseAddress {
            let taken = Glibc.read(Channel.descriptor, start + count, buffer.count - count)
            if taken > 0 {
                count += taken
            } else if taken == 0 || errno != EINTR {
                break
            }
        }
        return count
    }

    private func writeAll(_ parts: inout [iovec]) {
        while !parts.isEmpty {
            let written = writev(Channel.descriptor, parts, Int32(parts.count))
            if written >= 0 {
                parts.drop(written)
            } else if errno != EINTR {
                _exit(0)
            }
        }
    }
}

extension iovec {
    fileprivate init(_ bytes: UnsafeRawBufferPointer) {
        self.init(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    }
}

extension [iovec] {
    /// Drops bytes that were written, and parts that have none left.
    fileprivate mutating func drop(_ byteCount: Int) {
        var left = byteCount
        while let part = first, part.iov_len <= left {
            left -= part.iov_len
            removeFirst()
        }
        if left > 0 {
            self[0].iov_base += left
            self[0].iov_len -= left
        }
    }
}
