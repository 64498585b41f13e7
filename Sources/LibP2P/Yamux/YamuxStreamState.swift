/// What a session knows of one open stream.
///
/// A class, so that what happens to a stream costs one look-up: changing a value in a dictionary takes one for each change, and
/// memory for each.
///
/// `@unchecked Sendable`: it never leaves its session, which cannot be copied.
final class YamuxStreamState: @unchecked Sendable {
    /// This end's half.
    enum SendingHalf: Sendable {
        case open
        /// FIN follows the queue.
        case closing
        case closed
    }

    let isOutbound: Bool
    var isAcknowledged: Bool
    var sending = SendingHalf.open
    /// The peer's FIN has come.
    var isReceivingClosed = false
    var sendWindow = SendWindow()
    var receiveWindow: ReceiveWindow
    var queue = FIFO<ArraySlice<UInt8>>()
    var queuedByteCount = 0
    /// The stream waits in the scheduler's line.
    var isScheduled = false

    init(isOutbound: Bool, now: Duration) {
        self.isOutbound = isOutbound
        isAcknowledged = !isOutbound
        receiveWindow = ReceiveWindow(now: now)
    }

    var isGone: Bool { sending == .closed && isReceivingClosed }

    /// Whether the scheduler has something to take from this stream.
    var isSendable: Bool {
        queuedByteCount > 0 ? sendWindow.remaining > 0 : sending == .closing
    }

    /// Queues bytes; small neighbours are joined, so that a frame carries more than one of them.
    func enqueue(_ bytes: ArraySlice<UInt8>) {
        queuedByteCount += bytes.count
        if !queue.join(bytes) { queue.append(bytes) }
    }

    /// Takes the next body, as one slice.
    func dequeue(maxByteCount: Int) -> ArraySlice<UInt8> {
        var body: ArraySlice<UInt8> = []
        queue.updateFirst { first in
            let count = sendWindow.take(min(maxByteCount, first.count))
            body = first.prefix(count)
            first = first.dropFirst(count)
            return !first.isEmpty
        }
        queuedByteCount -= body.count
        return body
    }
}
