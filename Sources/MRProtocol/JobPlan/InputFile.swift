/// One file that a job reads, as its leaf blocks in order.
public struct InputFile: Hashable, Sendable {
    /// What record keys call it: the input's name, and behind a `/` the path inside a directory.
    public var name: String
    /// At least one; an empty file has one leaf of no bytes.
    public var leaves: [InputLeaf]

    /// Describes a file.
    public init(name: String, leaves: [InputLeaf]) {
        self.name = name
        self.leaves = leaves
    }
}
