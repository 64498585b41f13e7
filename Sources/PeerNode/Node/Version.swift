/// The version of this program.
public enum Version {
    /// As in CHANGELOG.md.
    public static let text = "0.1.0"
    /// What the node calls itself to peers.
    public static let agent = "peernode/\(text)"
}
