internal import Glibc

extension RemoteNode {
    /// Longest wait for a daemon that is starting or stopping, in milliseconds.
    static let startLimitMilliseconds = 10_000

    /// Waits until the daemon that holds the home accepts connections.
    ///
    /// - Throws: `NodeError` with code `unreachable` after `startLimitMilliseconds`.
    package func waitUntilReachable() async throws {
        var waited = 0
        while !canConnect() {
            guard waited < RemoteNode.startLimitMilliseconds else {
                throw NodeError(
                    .unreachable,
                    "another process holds the home, but nobody answers at \(socketPath); is a peernode stuck or stopping?"
                )
            }
            try await Task.sleep(for: .milliseconds(50))
            waited += 50
        }
    }

    /// Without waiting: a daemon that is stopped takes no connections, and the kernel lets only some stand in line.
    private static let socketKind =
        Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue) | Int32(SOCK_NONBLOCK.rawValue)

    private func canConnect() -> Bool {
        let descriptor = socket(AF_UNIX, RemoteNode.socketKind, 0)
        guard descriptor >= 0 else { return false }
        defer { close(descriptor) }
        var address = sockaddr_un()
        address.sun_family = sa_family_t(AF_UNIX)
        let path = Array(socketPath.utf8)
        guard path.count < MemoryLayout.size(ofValue: address.sun_path) else { return false }
        withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: path) }
        return withUnsafePointer(to: &address) { pointer in
            pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
                Glibc.connect(descriptor, $0, socklen_t(MemoryLayout<sockaddr_un>.size)) == 0
            }
        }
    }
}
