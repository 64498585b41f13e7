internal import Glibc
internal import Synchronization

/// Bytes that are read once, front to back; reading may block its thread.
public protocol ByteSource: Sendable {
    /// How many bytes there are, when that is known beforehand.
    var byteCount: UInt64? { get }

    /// Fills the front of `buffer`.
    ///
    /// - Returns: the number of bytes, 0 at the end only.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int
}

extension ByteSource {
    /// Reads up to `limit` bytes, fewer only at the end.
    package func readArray(upTo limit: Int) throws -> [UInt8] {
        var failure: (any Error)?
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            do {
                while count < limit {
                    let rest = UnsafeMutableRawBufferPointer(
                        rebasing: UnsafeMutableRawBufferPointer(buffer)[count...]
                    )
                    let read = try self.read(into: rest)
                    if read == 0 { return }
                    count += read
                }
            } catch { failure = error }
        }
        if let failure { throw failure }
        return bytes
    }
}

/// The bytes of an open file, pipe or terminal.
public final class DescriptorSource: ByteSource {
    /// Size of a regular file when it was opened, up to which it is read; `nil` for anything else.
    public let byteCount: UInt64?
    private let descriptor: Int32
    private let name: String
    private let owned: Bool
    private let progress: @Sendable (Int) -> Void
    /// Bytes of a file of known size that are not read yet: what is appended meanwhile is no part of it.
    private let rest: Mutex<UInt64>

    /// Reads `descriptor`, which is closed with this object when `owned`.
    ///
    /// Errors call the file `name`; `progress` gets the number of bytes after each read.
    public init(
        descriptor: Int32,
        name: String,
        byteCount: UInt64?,
        owned: Bool,
        progress: @escaping @Sendable (Int) -> Void = { _ in }
    ) {
        self.descriptor = descriptor
        self.name = name
        self.byteCount = byteCount
        self.owned = owned
        self.progress = progress
        rest = Mutex(byteCount ?? .max)
    }

    deinit { if owned { close(descriptor) } }

    /// Reads from the descriptor.
    ///
    /// - Throws: `NodeError` with code `file`.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        let limit = Int(rest.withLock { min($0, UInt64(buffer.count)) })
        guard limit > 0 else { return 0 }
        while true {
            let count = Glibc.read(descriptor, buffer.baseAddress, limit)
            if count >= 0 {
                rest.withLock { $0 -= UInt64(count) }
                progress(count)
                return count
            }
            if errno == EINTR { continue }
            throw NodeError(.file, "cannot read \(name): \(String(cString: strerror(errno)))")
        }
    }
}

/// Bytes that arrive through a pipe: the body of a request.
package final class PipeSource: ByteSource, @unchecked Sendable {
    // Unchecked: one thread reads a source; `rest` is its alone.
    package let byteCount: UInt64?
    private let pipe: BytePipe
    private var rest: ArraySlice<UInt8> = []

    private let stallLimitSeconds: Int

    /// Reads what is written to `pipe`.
    ///
    /// It waits at most `stallLimitSeconds` for the next bytes.
    package init(
        _ pipe: BytePipe,
        byteCount: UInt64?,
        stallLimitSeconds: Int = BytePipe.stallLimitSeconds
    ) {
        self.pipe = pipe
        self.byteCount = byteCount
        self.stallLimitSeconds = stallLimitSeconds
    }

    /// Takes what has arrived, waiting for the first byte.
    package func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
        if rest.isEmpty { rest = try pipe.read(upTo: .max, stallLimitSeconds: stallLimitSeconds)[...] }
        let count = min(rest.count, buffer.count)
        buffer.copyBytes(from: rest.prefix(count))
        rest = rest.dropFirst(count)
        return count
    }
}
