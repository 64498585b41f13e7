internal import Multiformats

/// Sends bytes to `/bench/echo/1` and checks that the same come back.
struct EchoCall {
    static let protocolID = "/bench/echo/1"
    /// Most bytes of one call.
    static let maxByteCount: UInt64 = 64 << 30
    private static let chunkByteCount = 256 << 10

    let stream: any PeerStream
    let byteCount: UInt64
    /// End our side first and read to the end of theirs.
    let halfCloses: Bool

    /// - Returns: how many bytes came back.
    func run() async throws -> UInt64 {
        let received = try await withThrowingTaskGroup(of: UInt64.self) { group in
            group.addTask {
                try await write()
                return 0
            }
            group.addTask { try await read() }
            return try await group.reduce(0, +)
        }
        await stream.reset()
        return received
    }

    private func write() async throws {
        var sent: UInt64 = 0
        while sent < byteCount {
            let count = Int(min(byteCount - sent, UInt64(EchoCall.chunkByteCount)))
            try await stream.write((0..<count).map { EchoCall.byte(at: sent + UInt64($0)) })
            sent += UInt64(count)
        }
        if halfCloses { try await stream.closeWrite() }
    }

    private func read() async throws -> UInt64 {
        var received: UInt64 = 0
        while halfCloses || received < byteCount {
            guard let bytes = try await stream.read(atMost: EchoCall.chunkByteCount) else { break }
            for byte in bytes {
                guard byte == EchoCall.byte(at: received) else {
                    throw NodeError(.damagedInput, "the echo differs at byte \(received)")
                }
                received += 1
            }
        }
        guard received == byteCount else {
            throw NodeError(.damagedInput, "the echo has \(received) bytes of \(byteCount)")
        }
        return received
    }

    /// The bytes that are sent, without a period that a chunk could hide.
    private static func byte(at offset: UInt64) -> UInt8 {
        UInt8(truncatingIfNeeded: offset &* 7 &+ offset >> 9 &+ offset >> 17)
    }
}
