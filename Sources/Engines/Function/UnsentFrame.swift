import FunctionProtocol
import Glibc

/// A frame on its way into a helper's socket.
struct UnsentFrame {
    private let front: [UInt8]
    /// Valid as long as the call that sends it.
    private let bytes: UnsafeRawBufferPointer
    private var sentByteCount = 0

    init(
        _ kind: Frame.Kind,
        _ head: [UInt8],
        _ bytes: UnsafeRawBufferPointer = UnsafeRawBufferPointer(start: nil, count: 0)
    ) {
        front = Frame.head(kind, bodyByteCount: head.count + bytes.count) + head
        self.bytes = bytes
    }

    var isSent: Bool { sentByteCount == front.count + bytes.count }

    /// Writes as much as the socket takes.
    ///
    /// - Returns: number of bytes; 0 also when the helper has closed its socket, which a read then tells.
    mutating func send(to socket: Int32) -> Int {
        let before = sentByteCount
        while !isSent {
            let count = sendOnce(to: socket)
            if count > 0 {
                sentByteCount += count
            } else if errno != EINTR {
                break
            }
        }
        return sentByteCount - before
    }

    private func sendOnce(to socket: Int32) -> Int {
        let inFront = min(sentByteCount, front.count)
        return front.withUnsafeBytes { front in
            var parts = [
                iovec(UnsafeRawBufferPointer(rebasing: front[inFront...])),
                iovec(UnsafeRawBufferPointer(rebasing: bytes[(sentByteCount - inFront)...])),
            ]
            return parts.withUnsafeMutableBufferPointer { parts in
                var message = msghdr()
                message.msg_iov = parts.baseAddress
                message.msg_iovlen = parts.count
                return sendmsg(socket, &message, Int32(MSG_NOSIGNAL))
            }
        }
    }
}

extension iovec {
    fileprivate init(_ bytes: UnsafeRawBufferPointer) {
        self.init(iov_base: UnsafeMutableRawPointer(mutating: bytes.baseAddress), iov_len: bytes.count)
    }
}
