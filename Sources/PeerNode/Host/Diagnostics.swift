import LibP2P
import Multiformats

/// Protocols for tests and benchmarks, served only when asked for.
///
/// **Layout** `/bench/echo/1`: what comes in goes out, to the end. `/bench/sink/1`: 8 bytes big-endian n, then n bytes
/// in; one byte `01` out. `/bench/source/1`: 8 bytes n in; n bytes out. `/perf/1.0.0`: 8 bytes n, then bytes to the end
/// in; n bytes out.
/// **Source** interop/bench.py; libp2p/specs perf.
extension Host {
    /// Bytes written at once by a source.
    private static let sourceByteCount = 64 * 1024

    func serveDiagnostics() {
        let limit = ConnectionLimits.maxStreamCountPerProtocol
        protocols.serve("/bench/echo/1", maxStreamCount: limit) { _, stream in
            while let bytes = try await stream.readSlice() { try await stream.write(slice: bytes) }
        }
        protocols.serve("/bench/sink/1", maxStreamCount: limit) { _, stream in
            var reader = CountReader(stream)
            var left = try await reader.next()
            left -= min(left, UInt64(reader.rest.count))
            while left > 0, let bytes = try await stream.readSlice() {
                left -= min(left, UInt64(bytes.count))
            }
            try await stream.write([1])
        }
        protocols.serve("/bench/source/1", maxStreamCount: limit) { _, stream in
            var reader = CountReader(stream)
            try await Self.send(reader.next(), to: stream)
        }
        protocols.serve("/perf/1.0.0", maxStreamCount: limit) { _, stream in
            var reader = CountReader(stream)
            let count = try await reader.next()
            while try await stream.readSlice() != nil {}
            try await Self.send(count, to: stream)
        }
    }

    private static func send(_ count: UInt64, to stream: MuxedStream) async throws {
        let zeros = [UInt8](repeating: 0, count: sourceByteCount)
        var left = count
        while left > 0 {
            let piece = zeros.prefix(Int(min(left, UInt64(zeros.count))))
            try await stream.write(slice: piece)
            left -= UInt64(piece.count)
        }
    }

    /// Reads the 8 bytes that these protocols begin with.
    @NetworkActor
    private struct CountReader {
        let stream: MuxedStream
        private(set) var rest: ArraySlice<UInt8> = []

        init(_ stream: MuxedStream) { self.stream = stream }

        mutating func next() async throws -> UInt64 {
            while rest.count < 8 {
                guard let bytes = try await stream.readSlice() else { throw StreamFault.closedHere }
                rest += bytes
            }
            defer { rest = rest.dropFirst(8) }
            return rest.prefix(8).reduce(0) { $0 << 8 | UInt64($1) }
        }
    }
}
