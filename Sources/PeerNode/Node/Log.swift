internal import CLinux
internal import Glibc
internal import Synchronization

/// The daemon's log: one line an event on stderr, `time level message key=value …`.
public final class Log: Sendable {
    private let level: LogLevel
    private let lock = Mutex(())

    /// Logs events up to `level`.
    public init(level: LogLevel) { self.level = level }

    /// Writes one event.
    public func callAsFunction(
        _ level: LogLevel,
        _ message: String,
        _ fields: KeyValuePairs<String, String> = [:]
    ) {
        guard level <= self.level else { return }
        var line = "\(Log.timestamp()) \(level.rawValue) \(message)"
        for (name, value) in fields { line += " \(name)=\(Log.quoted(value))" }
        line += "\n"
        lock.withLock { _ in
            _ = line.withCString { write(STDERR_FILENO, $0, strlen($0)) }
        }
    }

    /// Values with spaces, quotes, control characters or nothing in them stand in quotes, so that a line stays one.
    static func quoted(_ value: String) -> String {
        let isPlain =
            !value.isEmpty
            && value.unicodeScalars.allSatisfy { $0 != " " && $0 != "\"" && !TerminalText.isControl($0) }
        guard !isPlain else { return value }
        var text = "\""
        for scalar in value.unicodeScalars {
            switch scalar {
            case "\"", "\\": text += "\\\(scalar)"
            case "\n": text += "\\n"
            default: text += TerminalText.isControl(scalar) ? "?" : String(scalar)
            }
        }
        return text + "\""
    }

    /// UTC, to the millisecond: `2026-01-31T08:15:00.123Z`.
    static func timestamp() -> String { timestamp(milliseconds: LocalNode.now()) }

    /// A time in milliseconds since 1970 as UTC text.
    package static func timestamp(milliseconds: Int64) -> String {
        var seconds = Int(milliseconds / 1000)
        var parts = tm()
        gmtime_r(&seconds, &parts)
        func padded(_ number: Int, _ width: Int) -> String {
            let digits = String(number)
            return String(repeating: "0", count: max(width - digits.count, 0)) + digits
        }
        let date = [Int(parts.tm_year) + 1900, Int(parts.tm_mon) + 1, Int(parts.tm_mday)].map {
            padded($0, 2)
        }
        let time = [Int(parts.tm_hour), Int(parts.tm_min), Int(parts.tm_sec)].map { padded($0, 2) }
        let fraction = padded(Int(milliseconds % 1000), 3)
        return "\(date.joined(separator: "-"))T\(time.joined(separator: ":")).\(fraction)Z"
    }
}
