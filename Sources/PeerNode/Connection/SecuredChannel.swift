import LibP2P
import Multiformats

/// The Noise channel of a connection: plaintext batches in, frames out.
///
/// The buffers for ciphertext are shared by all connections (they run on one thread), so an idle connection holds none.
@NetworkActor
final class SecuredChannel {
    private static let input = UnsafeMutableRawBufferPointer.allocate(
        byteCount: ConnectionLimits.socketBatchByteCount,
        alignment: 64
    )
    private static let output = UnsafeMutableRawBufferPointer.allocate(
        byteCount: ConnectionLimits.socketBatchByteCount,
        alignment: 64
    )

    let raw: RawChannel
    private var transport: NoiseTransport
    /// The front of a message whose rest has not come.
    private var partial: [UInt8]
    /// Whole messages may have come behind the handshake.
    private var hasLeftover: Bool

    init(raw: RawChannel, transport: consuming NoiseTransport, leftover: ArraySlice<UInt8>) {
        self.raw = raw
        self.transport = transport
        partial = Array(leftover)
        hasLeftover = !leftover.isEmpty
    }

    /// Whether `readNow` may find something.
    ///
    /// A read that did not fill the buffer took all there was: what comes later is reported.
    var mayHaveMore: Bool { raw.socket.mayHaveMore || raw.socket.isClosed || hasLeftover }

    /// The plaintext of everything that has arrived, for a negotiation; waits for at least one byte.
    func read() async throws(ConnectionFault) -> [UInt8] {
        while true {
            if mayHaveMore {
                let plaintext = try readNow()
                if !plaintext.isEmpty { return plaintext }
            }
            await raw.socket.readable()
        }
    }

    /// The plaintext of what has arrived, a batch at most; empty when no message is whole.
    ///
    /// - Throws: `ConnectionFault`: the end of the stream, an error of the socket, or what no peer seals.
    func readNow() throws(ConnectionFault) -> [UInt8] {
        let input = Self.input
        hasLeftover = false
        input.copyBytes(from: partial)
        let received = try raw.receive(into: .init(rebasing: input[partial.count...]))
        let available = UnsafeRawBufferPointer(rebasing: input[..<(partial.count + (received ?? 0))])
        guard !available.isEmpty else { return [] }
        let plaintext: [UInt8]
        let byteCount: Int
        do throws(NoiseFault) {
            (plaintext, byteCount) = try transport.open(available)
        } catch {
            throw .noise(error)
        }
        partial = Array(available[byteCount...])
        return plaintext
    }

    /// Sends bytes, for a negotiation.
    func write(_ bytes: [UInt8]) async throws(ConnectionFault) {
        guard !bytes.isEmpty else { return }
        precondition(
            bytes.count <= NoiseTransport.maxPlaintextByteCount,
            "a negotiation of \(bytes.count) bytes"
        )
        let output = Self.output
        try beginMessage()
        bytes.withUnsafeBytes { transport.seal($0, into: output) }
        try raw.submit(.init(rebasing: output[..<transport.endMessage(output)]))
        try await raw.flush()
    }

    /// Seals a session's frames, as many as a batch holds, and hands them to the socket.
    ///
    /// - Parameters:
    ///   - session: whose frames are taken.
    ///   - sent: told of each frame.
    /// - Throws: `ConnectionFault` of the socket.
    func submit(_ session: inout YamuxSession, sent: (YamuxFrame) -> Void) throws(ConnectionFault) {
        let output = Self.output
        var byteCount = 0
        while session.hasFrames, output.count - byteCount >= Self.roomForMessage {
            let message = UnsafeMutableRawBufferPointer(rebasing: output[byteCount...])
            guard let count = try sealMessage(&session, into: message, sent: sent) else { break }
            byteCount += count
        }
        if byteCount > 0 { try raw.submit(.init(rebasing: output[..<byteCount])) }
    }

    private static let roomForMessage = NoiseTransport.maxCiphertextByteCount + NoiseTransport.lengthByteCount

    /// Fills one message with frames: header and body are sealed from where they are.
    private func sealMessage(
        _ session: inout YamuxSession,
        into message: UnsafeMutableRawBufferPointer,
        sent: (YamuxFrame) -> Void
    ) throws(ConnectionFault) -> Int? {
        var room = NoiseTransport.maxPlaintextByteCount
        while let frame = session.nextFrame(maxByteCount: room) {
            if room == NoiseTransport.maxPlaintextByteCount { try beginMessage() }
            seal(frame, into: message)
            room -= frame.byteCount
            sent(frame)
        }
        return room == NoiseTransport.maxPlaintextByteCount ? nil : transport.endMessage(message)
    }

    /// Seals header and body, together if the body is short: a call of the cipher costs more than such a copy.
    private func seal(_ frame: YamuxFrame, into message: UnsafeMutableRawBufferPointer) {
        let isShort = frame.body.count <= Self.shortBodyByteCount
        let room = YamuxHeader.byteCount + Self.shortBodyByteCount
        withUnsafeTemporaryAllocation(byteCount: room, alignment: 4) { piece in
            frame.header.write(to: piece)
            var byteCount = YamuxHeader.byteCount
            if isShort {
                UnsafeMutableRawBufferPointer(rebasing: piece[byteCount...]).copyBytes(from: frame.body)
                byteCount += frame.body.count
            }
            transport.seal(UnsafeRawBufferPointer(rebasing: piece[..<byteCount]), into: message)
        }
        if !isShort { frame.body.withUnsafeBytes { transport.seal($0, into: message) } }
    }

    /// Longest body that is copied behind its header.
    private static let shortBodyByteCount = 244

    private func beginMessage() throws(ConnectionFault) {
        do throws(NoiseFault) { try transport.beginMessage() } catch { throw .noise(error) }
    }
}
