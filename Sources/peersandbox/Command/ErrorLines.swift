import FunctionProtocol

/// What a command writes to its standard error: counters and status by Hadoop Streaming's `reporter:` lines, and the log.
struct ErrorLines {
    /// Longest line that is read as one, in bytes.
    static let maxLineByteCount = 64 << 10
    /// The end of the log that a failure shows, in bytes.
    static let maxTailByteCount = 2 << 10

    private static let counterMark = Array("reporter:counter:".utf8)
    private static let statusMark = Array("reporter:status:".utf8)

    private var partial: [UInt8] = []
    private var log: [UInt8] = []
    private var lastLog: [UInt8] = []

    /// The last lines of the log.
    var tail: String { String(decoding: lastLog, as: UTF8.self) }

    /// Takes what was read.
    mutating func take(_ bytes: UnsafeRawBufferPointer, _ channel: Channel) {
        partial += bytes
        var start = 0
        while let end = partial[start...].firstIndex(of: UInt8(ascii: "\n")) {
            take(line: partial[start...end], channel)
            start = end + 1
        }
        partial.removeFirst(start)
        if partial.count > ErrorLines.maxLineByteCount { finish(channel) }
        flush(channel)
    }

    /// Takes a last line without a newline.
    mutating func finish(_ channel: Channel) {
        guard !partial.isEmpty else { return }
        take(line: partial[...], channel)
        partial = []
        flush(channel)
    }

    private mutating func take(line: ArraySlice<UInt8>, _ channel: Channel) {
        let text = line.last == UInt8(ascii: "\n") ? line.dropLast() : line
        if text.starts(with: ErrorLines.statusMark) {
            channel.status(text.dropFirst(ErrorLines.statusMark.count))
        } else if let increment = ErrorLines.counter(text) {
            channel.count(increment)
        } else {
            log += line
        }
    }

    /// `reporter:counter:GROUP,NAME,AMOUNT`; what else begins so is text of the log.
    private static func counter(_ text: ArraySlice<UInt8>) -> CounterIncrement? {
        guard text.starts(with: counterMark) else { return nil }
        let fields = String(decoding: text.dropFirst(counterMark.count), as: UTF8.self)
            .split(separator: ",", maxSplits: 2, omittingEmptySubsequences: false)
        guard fields.count == 3, let amount = Int64(fields[2].filter { $0 != " " && $0 != "\r" }) else {
            return nil
        }
        return CounterIncrement(group: String(fields[0]), name: String(fields[1]), amount: amount)
    }

    private mutating func flush(_ channel: Channel) {
        guard !log.isEmpty else { return }
        channel.log(log)
        lastLog = Array((lastLog + log).suffix(ErrorLines.maxTailByteCount))
        log.removeAll(keepingCapacity: true)
    }
}
