internal import Glibc

/// Whole small files.
enum TextFile {
    /// Reads a file of at most `limit` bytes.
    ///
    /// - Returns: `nil` when there is none.
    static func read(_ path: String, limit: Int) throws(NodeError) -> [UInt8]? {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        if descriptor < 0, errno == ENOENT { return nil }
        guard descriptor >= 0 else {
            throw NodeError(.file, "cannot read \(path): \(String(cString: strerror(errno)))")
        }
        let source = DescriptorSource(descriptor: descriptor, name: path, byteCount: nil, owned: true)
        let bytes: [UInt8]
        do { bytes = try source.readArray(upTo: limit + 1) } catch { throw NodeError.wrap(error) }
        guard bytes.count <= limit else { throw NodeError(.file, "\(path) is over \(limit) bytes") }
        return bytes
    }

    /// Writes a new file that only its owner may read; an existing one stays.
    ///
    /// - Returns: `false` when there was one.
    static func create(_ path: String, _ bytes: [UInt8]) throws(NodeError) -> Bool {
        let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        if descriptor < 0, errno == EEXIST { return false }
        guard descriptor >= 0 else {
            throw NodeError(.file, "cannot make \(path): \(String(cString: strerror(errno)))")
        }
        defer { close(descriptor) }
        guard write(descriptor, bytes, bytes.count) == bytes.count, fsync(descriptor) == 0 else {
            throw NodeError(.file, "cannot write \(path): \(String(cString: strerror(errno)))")
        }
        return true
    }
}
