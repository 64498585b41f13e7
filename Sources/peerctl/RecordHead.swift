import MRProtocol
import PeerNode
import Synchronization

/// The first records of a file, gathered from pieces.
struct RecordHead: Sendable {
    private(set) var bytes: [UInt8] = []
    /// As many records as wanted are there, whole.
    private(set) var isFull = false
    private var missing: UInt64
    private let format: RecordFormat
    private var isInWord = false

    /// Wants `count` records, at least one.
    init(_ count: UInt64, _ format: RecordFormat) {
        missing = count
        self.format = format
    }

    /// Takes the next piece, up to the end of the last record that is wanted.
    ///
    /// - Throws: `NodeError` when the records are over `LocalTrial.maxInputByteCount`.
    mutating func take(_ piece: [UInt8], _ name: String) throws(NodeError) {
        for (index, byte) in piece.enumerated() where !isFull && ends(byte) {
            missing -= 1
            guard missing == 0 else { continue }
            isFull = true
            bytes += piece[...index]
        }
        if !isFull { bytes += piece }
        guard bytes.count <= LocalTrial.maxInputByteCount else {
            let limit = ByteSize.format(UInt64(LocalTrial.maxInputByteCount))
            throw NodeError(
                .tooMuch,
                "the first records of \(name) have over \(limit); try fewer with --limit"
            )
        }
    }

    /// Whether a record ends with this byte.
    private mutating func ends(_ byte: UInt8) -> Bool {
        guard format == .words else { return byte == 0x0a }
        let isSpace = byte == 0x20 || (0x09...0x0d).contains(byte)
        defer { isInWord = !isSpace }
        return isSpace && isInWord
    }
}

/// A value that callbacks change.
final class Collected<Value: Sendable>: Sendable {
    private let storage: Mutex<Value>

    init(_ value: Value) { storage = Mutex(value) }

    var value: Value { storage.withLock { $0 } }

    func change(_ body: (inout Value) throws -> Void) rethrows { try storage.withLock { try body(&$0) } }
}

/// Enough has come.
struct EnoughCollected: Error {}
