public import Multiformats

/// A file that commands of a job find in their working folder.
public struct JobFile: Hashable, Sendable {
    /// What the file is called there; see `isSafe`.
    public var name: String
    /// Names the file's content.
    public var root: CID

    /// Longest name, in UTF-8 bytes.
    public static let maxNameByteCount = 255

    /// Names a file.
    public init(name: String, root: CID) {
        self.name = name
        self.root = root
    }

    /// Whether a file may be called `name`: it stays in its folder, is not hidden, and holds no control characters.
    public static func isSafe(_ name: String) -> Bool {
        1...maxNameByteCount ~= name.utf8.count && !name.hasPrefix(".")
            && !name.utf8.contains { $0 < 0x20 || $0 == 0x2f || $0 == 0x7f }
    }
}
