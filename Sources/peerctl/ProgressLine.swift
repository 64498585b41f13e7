import CLinux
import Glibc
import PeerNode
import Synchronization

/// How far a copy has come, on one line of a terminal that is written over; throttled.
final class ProgressLine: Sendable {
    private static let intervalMilliseconds: Int64 = 100
    private static let barWidth = 30

    let isShown: Bool
    private let streams: StandardStreams
    private let state = Mutex(State())

    private struct State {
        var total: UInt64 = 0
        var done: UInt64 = 0
        var shownAt: Int64 = 0
        var isOnScreen = false
    }

    init(streams: StandardStreams, isShown: Bool) {
        self.streams = streams
        self.isShown = isShown
    }

    /// Bytes there are; 0: not known.
    var total: UInt64 {
        get { state.withLock { $0.total } }
        set { state.withLock { $0.total = newValue } }
    }

    /// Counts bytes.
    func advance(_ byteCount: Int) {
        guard isShown else { return }
        let now = Clock.milliseconds()
        let text = state.withLock { state -> String? in
            state.done += UInt64(byteCount)
            guard now - state.shownAt >= ProgressLine.intervalMilliseconds else { return nil }
            state.shownAt = now
            state.isOnScreen = true
            return ProgressLine.text(done: state.done, total: state.total)
        }
        if let text { ProgressLine.show(text, streams) }
    }

    /// Takes the line off the screen.
    func clear() {
        let wasOnScreen = state.withLock { state in
            defer { state.isOnScreen = false }
            return state.isOnScreen
        }
        if wasOnScreen { streams.error("\r\u{1b}[K") }
    }

    private static func text(done: UInt64, total: UInt64) -> String {
        guard total > 0 else { return ByteSize.format(done) }
        let share = min(Double(done) / Double(total), 1)
        return "\(bar(share)) \(Int(share * 100))% \(ByteSize.format(done)) of \(ByteSize.format(total))"
    }

    /// Writes over the line on the terminal, cut to one row of it.
    static func show(_ text: String, _ streams: StandardStreams) {
        let columns = Int(terminal_column_count(STDERR_FILENO))
        streams.error("\r\u{1b}[K" + (columns > 0 ? String(text.prefix(columns - 1)) : text))
    }

    /// `[#####-----]`.
    static func bar(_ share: Double) -> String {
        let filled = Int(max(0, min(share, 1)) * Double(barWidth))
        return "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: barWidth - filled)
            + "]"
    }
}

/// Time that only goes forward.
enum Clock {
    static func milliseconds() -> Int64 {
        var time = timespec()
        clock_gettime(CLOCK_MONOTONIC, &time)
        return Int64(time.tv_sec) * 1000 + Int64(time.tv_nsec) / 1_000_000
    }
}
