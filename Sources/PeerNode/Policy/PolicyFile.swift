internal import CLinux
internal import Glibc

/// `policy.json` in a home: read whole and strictly, replaced whole.
struct PolicyFile: Sendable {
    let path: String
    private let folder: String

    init(_ home: HomeFolder) {
        path = home.policy
        folder = home.path
    }

    /// Whether there is a file.
    var exists: Bool { access(path, F_OK) == 0 }

    /// The policy that the file states; `nil` when there is no file.
    ///
    /// - Throws: `NodeError` with code `file` when it cannot be read, or says anything that is not understood.
    func read() throws(NodeError) -> Policy? {
        guard let bytes = try TextFile.read(path, limit: Policy.fileByteLimit) else { return nil }
        return try Policy(parsing: bytes, file: path)
    }

    /// Changes the policy; one at a time, in whatever process, and never half.
    ///
    /// - Parameters:
    ///   - change: changes what the file says.
    ///   - publish: gets the new policy while no other change can be made.
    /// - Throws: what `change` throws; `NodeError` with code `file` when the file cannot be read or written.
    func update(
        _ change: (inout Policy) throws(NodeError) -> Void,
        publish: (Policy) -> Void
    ) throws(NodeError) {
        try locked { () throws(NodeError) in
            var policy = try read() ?? Policy()
            try change(&policy)
            try replace(with: Array((policy.json.pretty + "\n").utf8))
            publish(policy)
        }
    }

    /// Removes the file: the defaults hold again, which `publish` makes known while no other change can be made.
    func remove(publish: () -> Void) throws(NodeError) {
        try locked { () throws(NodeError) in
            guard unlink(path) == 0 || errno == ENOENT else { throw failure("remove") }
            publish()
        }
    }

    /// Holds the folder against others who change the policy.
    private func locked<Value>(_ body: () throws(NodeError) -> Value) throws(NodeError) -> Value {
        let descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
        guard descriptor >= 0, flock(descriptor, LOCK_EX) == 0 else { throw failure("lock the folder of") }
        defer { close(descriptor) }
        let value = try body()
        // The name is on the disk when the call returns.
        guard fsync(descriptor) == 0 else { throw failure("write") }
        return value
    }

    private func replace(with bytes: [UInt8]) throws(NodeError) {
        let fresh = path + ".new"
        guard unlink(fresh) == 0 || errno == ENOENT else { throw failure("write") }
        _ = try TextFile.create(fresh, bytes)
        guard rename(fresh, path) == 0 else { throw failure("write") }
    }

    private func failure(_ verb: String) -> NodeError {
        NodeError(.file, "cannot \(verb) \(path): \(String(cString: strerror(errno)))")
    }
}
