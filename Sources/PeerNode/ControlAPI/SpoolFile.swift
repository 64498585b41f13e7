internal import Glibc

/// Bytes of unknown length, put into a file without a name so that their length is known.
enum SpoolFile {
    /// Copies `source` to a file in `folder` that vanishes with the returned object.
    static func spool(_ source: any ByteSource, in folder: String) throws -> DescriptorSource {
        var template = Array((folder + "/spool-XXXXXX").utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else {
            throw NodeError(
                .file,
                "cannot make a temporary file in \(folder): \(String(cString: strerror(errno)))"
            )
        }
        unlink(template)
        var byteCount: UInt64 = 0
        do {
            byteCount = try copy(source, to: descriptor)
        } catch {
            close(descriptor)
            throw error
        }
        lseek(descriptor, 0, SEEK_SET)
        return DescriptorSource(
            descriptor: descriptor,
            name: "the temporary file",
            byteCount: byteCount,
            owned: true
        )
    }

    private static func copy(_ source: any ByteSource, to descriptor: Int32) throws -> UInt64 {
        var total: UInt64 = 0
        while true {
            let piece = try source.readArray(upTo: 1 << 18)
            if piece.isEmpty { return total }
            guard write(descriptor, piece, piece.count) == piece.count else {
                throw NodeError(.full, "cannot write a temporary file: \(String(cString: strerror(errno)))")
            }
            total += UInt64(piece.count)
        }
    }
}
