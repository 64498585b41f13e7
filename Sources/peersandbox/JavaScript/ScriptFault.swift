import FunctionProtocol

/// What JavaScriptCore tells of an error, as the author of a function wants to read it.
struct ScriptFault {
    /// Most frames that are shown.
    private static let maxFrameCount = 12

    var message: String
    var line: UInt32
    var column: UInt32
    /// As `error.stack` has it: `name@file:line:column`, a frame a line.
    var stack: String

    /// The fault; only frames of the file `name` are kept.
    func functionFault(_ code: FunctionFault.Code, file name: String) -> FunctionFault {
        let frames = stack.split(separator: "\n").compactMap { Frame($0, file: name) }
        let first = frames.first ?? Frame(function: "", line: line, column: column)
        return FunctionFault(
            code,
            message,
            line: first.line,
            column: first.column,
            stack: ScriptFault.text(of: frames, file: name)
        )
    }

    /// A frame a line; a function that calls itself in one place is told once.
    private static func text(of frames: [Frame], file name: String) -> String {
        var lines: [String] = []
        for frame in frames where lines.count < maxFrameCount {
            let line = frame.text(file: name)
            if line != lines.last { lines.append(line) }
        }
        return lines.joined(separator: "\n")
    }

    private struct Frame {
        let function: String
        let line: UInt32
        /// In the file; the text that is evaluated has a prefix in its first line.
        let column: UInt32

        init(function: String, line: UInt32, column: UInt32) {
            self.function = function
            self.line = line
            let prefix = line == 1 ? UInt32(ScriptSource.prefix.utf16.count) : 0
            self.column = column > prefix ? column - prefix : column
        }

        /// Reads `name@file:line:column` or `file:line:column`; `nil` for a frame that is not of this file.
        init?(_ text: Substring, file: String) {
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count >= 3, let line = UInt32(parts[parts.count - 2]),
                let column = UInt32(parts[parts.count - 1])
            else { return nil }
            let place = parts.dropLast(2).joined(separator: ":")
            guard place.hasSuffix(file) else { return nil }
            let front = place.dropLast(file.count)
            guard front.isEmpty || front.hasSuffix("@") else { return nil }
            self.init(function: String(front.dropLast()), line: line, column: column)
        }

        func text(file: String) -> String {
            let place = "\(file):\(line):\(column)"
            return function.isEmpty || function == "global code" ? "at \(place)" : "at \(function) (\(place))"
        }
    }
}
