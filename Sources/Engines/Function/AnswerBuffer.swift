import FunctionProtocol
import Glibc

/// Takes a helper's bytes from its socket and finds the frames in them.
final class AnswerBuffer {
    /// Room at first and between attempts, in bytes.
    private static let usualByteCount = 2 * Frame.batchByteCount

    enum Arrival: Equatable {
        case some
        case none
        /// The helper has closed the socket.
        case closed
    }

    private var storage = UnsafeMutableRawBufferPointer.allocate(byteCount: usualByteCount, alignment: 16)
    private var start = 0
    private var end = 0

    deinit { storage.deallocate() }

    /// Reads once from `socket`, which does not block.
    func receive(from socket: Int32) -> Arrival {
        makeRoom()
        while let base = storage.baseAddress {
            let count = read(socket, base + end, storage.count - end)
            if count > 0 {
                end += count
                return .some
            }
            if count == 0 || errno == ECONNRESET { return .closed }
            if errno != EINTR { return .none }
        }
        return .none
    }

    /// The next whole frame, or `nil` when more bytes are needed; its body is valid until the next call of any method.
    func next() throws(FunctionProcess.Fault) -> (kind: Frame.Kind, body: UnsafeRawBufferPointer)? {
        guard end - start >= Frame.headByteCount else { return nil }
        let head = storage[start..<start + Frame.headByteCount]
        guard let (kind, byteCount) = Frame.parse(head: head) else {
            throw .violation("bytes that are no frame: \(Array(head))")
        }
        let body = start + Frame.headByteCount
        guard end - body >= byteCount else { return nil }
        start = body + byteCount
        return (kind, UnsafeRawBufferPointer(rebasing: storage[body..<body + byteCount]))
    }

    /// Gives back the room that a large frame took.
    func shrink() {
        guard storage.count > AnswerBuffer.usualByteCount, end - start <= AnswerBuffer.usualByteCount else {
            return
        }
        move(to: AnswerBuffer.usualByteCount)
    }

    /// Room grows as bytes arrive, not as a head announces them; a frame's length bounds it.
    private func makeRoom() {
        if start == end {
            start = 0
            end = 0
        }
        guard end == storage.count else { return }
        move(to: start >= storage.count / 2 ? storage.count : 2 * storage.count)
    }

    private func move(to byteCount: Int) {
        let moved = UnsafeMutableRawBufferPointer.allocate(byteCount: byteCount, alignment: 16)
        moved.copyMemory(from: UnsafeRawBufferPointer(rebasing: storage[start..<end]))
        storage.deallocate()
        storage = moved
        end -= start
        start = 0
    }
}
