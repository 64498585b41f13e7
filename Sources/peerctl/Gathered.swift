import Synchronization

/// Bytes that come piece by piece, from whatever thread.
final class Gathered: Sendable {
    private let bytes = Mutex<[UInt8]>([])

    func append(_ piece: UnsafeRawBufferPointer) { bytes.withLock { $0 += piece } }

    func take() -> [UInt8] { bytes.withLock { $0 } }
}
