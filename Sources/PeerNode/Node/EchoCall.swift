internal import Glibc
internal import Multiformats

/// Sends bytes to `/bench/echo/1` and checks that the same come back.
struct EchoCall {
    static let protocolID = "/bench/echo/1"
    /// Most bytes of one call.
    static let maxByteCount: UInt64 = 64 << 30
    /// Length of what is sent again and again: a prime, so that no chunk or frame of a power of two hides a loss.
    private static let patternByteCount = 65_521
    private static let pattern = (0..<patternByteCount).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 9) }

    let stream: any PeerStream
    let byteCount: UInt64
    /// End our side first and read to the end of theirs.
    let halfCloses: Bool

    /// Runs where the stream does: handing each piece from thread to thread costs more than making and comparing it.
    ///
    /// - Returns: how many bytes came back.
    func run() async throws -> UInt64 {
        let received = try await withThrowingTaskGroup(of: UInt64.self) { group in
            group.addTask(executorPreference: EventLoop.shared) {
                try await write()
                return 0
            }
            group.addTask(executorPreference: EventLoop.shared) { try await read() }
            return try await group.reduce(0, +)
        }
        await stream.reset()
        return received
    }

    private func write() async throws {
        var sent: UInt64 = 0
        while sent < byteCount {
            let piece = EchoCall.expected(at: sent, atMost: byteCount - sent)
            try await stream.write(Array(piece))
            sent += UInt64(piece.count)
        }
        if halfCloses { try await stream.closeWrite() }
    }

    private func read() async throws -> UInt64 {
        var received: UInt64 = 0
        while halfCloses || received < byteCount {
            guard let bytes = try await stream.read(atMost: EchoCall.patternByteCount) else { break }
            var rest = bytes[...]
            while !rest.isEmpty {
                let piece = EchoCall.expected(at: received, atMost: UInt64(rest.count))
                guard Self.hasFront(rest, piece) else {
                    throw NodeError(
                        .damagedInput,
                        "the echo differs within \(piece.count) bytes from byte \(received)"
                    )
                }
                received += UInt64(piece.count)
                rest = rest.dropFirst(piece.count)
            }
        }
        guard received == byteCount else {
            throw NodeError(.damagedInput, "the echo has \(received) bytes of \(byteCount)")
        }
        return received
    }

    /// Whether bytes begin with a piece that is no longer.
    private static func hasFront(_ bytes: ArraySlice<UInt8>, _ piece: ArraySlice<UInt8>) -> Bool {
        bytes.withUnsafeBytes { bytes in
            piece.withUnsafeBytes { piece in
                guard let first = bytes.baseAddress, let second = piece.baseAddress else {
                    return piece.isEmpty
                }
                return memcmp(first, second, piece.count) == 0
            }
        }
    }

    /// The bytes from an offset to the end of the pattern there, or fewer.
    private static func expected(at offset: UInt64, atMost count: UInt64) -> ArraySlice<UInt8> {
        let start = Int(offset % UInt64(patternByteCount))
        return pattern[start...].prefix(Int(min(count, UInt64(patternByteCount))))
    }
}
